"""Groups of processes that declare their readiness, for tests and benchmarks."""

import contextlib
import socket
import sys
from pathlib import Path
from typing import List, Tuple

from tests.daemon import Daemon

SLOW_STARTER = '%s %s' % (sys.executable, Path(__file__).parent / 'slow_starter.py')

# An ASGI application that needs half a second to start, and says when it has.
APP = """
import asyncio
import os
import socket


async def app(scope, receive, send):
    if scope['type'] == 'lifespan':
        await receive()
        await asyncio.sleep(0.5)
        if 'NOTIFY_SOCKET' in os.environ:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
                notify.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])
        await send({'type': 'lifespan.startup.complete'})
        await receive()
        await send({'type': 'lifespan.shutdown.complete'})
        return
    body = b'%d' % os.getpid()
    await send({'type': 'http.response.start', 'status': 200,
                'headers': [(b'content-length', b'%d' % len(body))]})
    await send({'type': 'http.response.body', 'body': body})
"""


def free_ports(count: int) -> List[int]:
    """Return ports of the loopback interface, one after the other, that nobody listens on."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(('127.0.0.1', 0))
            begin = first.getsockname()[1]
            try:
                for port in range(begin + 1, begin + count):
                    stack.enter_context(socket.socket()).bind(('127.0.0.1', port))
            except (OSError, OverflowError):
                continue
            return list(range(begin, begin + count))


def declaring(command: str, ready: str, numprocs: int = 1, startsecs: float = 0,
              **settings: object) -> str:
    """Return the configuration of a group `web` whose processes web_0, web_1, … declare `ready`."""
    lines = {'command': command, 'numprocs': numprocs, 'startsecs': '%g' % startsecs,
             'process_name': '%(program_name)s_%(process_num)d', 'directory': '%(here)s',
             'environment': 'RESTARTER_READY="%s"' % ready}
    lines.update(settings)
    return '[program:web]\n' + ''.join('%s = %s\n' % pair for pair in lines.items())


def slow_starters(seconds: float, kind: str, numprocs: int = 1, startsecs: float = 0,
                  **settings: object) -> Tuple[str, List[int]]:
    """Return a group of slow_starter.py, and the ports of its processes, where it has some."""
    ports = free_ports(numprocs) if kind in ('http', 'tcp') else []
    where, ready = '', kind
    if ports:
        # The configuration counts from the first port on.
        settings['numprocs_start'] = ports[0]
        where, ready = '%(process_num)d', '%s://127.0.0.1:%%(process_num)d' % kind
    elif kind == 'unix':
        where = '%(here)s/%(process_num)d.sock'
        ready = 'unix://' + where
    return declaring('%s %g %s %s' % (SLOW_STARTER, seconds, kind, where), ready, numprocs,
                     startsecs, **settings), ports


def uvicorns(numprocs: int, startsecs: float) -> Tuple[Daemon, List[int]]:
    """Return a supervisord, to be started, with a group of uvicorns, each on its own port."""
    ports = free_ports(numprocs)
    command = ('%s -m uvicorn --port %%(process_num)d --no-access-log '
               '--timeout-graceful-shutdown 5 app:app' % sys.executable)
    daemon = Daemon(declaring(command, 'http://127.0.0.1:%(process_num)d/', numprocs, startsecs,
                              numprocs_start=ports[0]), {'timeout': 30})
    (daemon.folder / 'app.py').write_text(APP)
    return daemon, ports
