"""What a declared readiness is worth in a restart."""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator

from benchmarks.results import Line, Options
from benchmarks.servers import Server
from tests.support.daemon import MANNERS, Daemon, free_port, free_ports, wait_until
from tests.support.faults import Caller
from tests.support.readiness import SLOW_STARTER, declaring, ready_at, serves, slow_starters
from tests.support.reports import killed_at

ONE = {'max_unavailable': 1, 'timeout': 60}
UVICORN = (sys.executable + ' -m uvicorn --port %s --no-access-log '
           '--timeout-graceful-shutdown 5 app:app')
# That of examples/rolling, and it takes half a second to start.
APPLICATION = 'import time; time.sleep(0.5)\n' + Server.application.read_text()


def starts() -> Iterator[Line]:
    """Four uvicorns, each on its own port, one at a time, with startsecs = 5."""
    name = 'four uvicorns, one at a time'
    for declared in (True, False):
        ports = free_ports(4)
        programs = declaring(UVICORN % '%(process_num)d', 'http://127.0.0.1:%(process_num)d/', 4,
                             startsecs=5, numprocs_start=ports[0])
        if not declared:
            programs = programs.replace('RESTARTER_READY', 'NOT_DECLARED')
        daemon = Daemon(programs)
        (daemon.folder / 'app.py').write_text(APPLICATION)
        with daemon, daemon.connection() as rpc:
            daemon.wait_running('web')
            wait_until(lambda ports=ports: all(map(serves, ports)), 'all serve')
            begin = time.monotonic()
            assert rpc.restarter.restartProcessGroup('web', ONE) is True
            seconds = time.monotonic() - begin
            if declared:
                start = statistics.median(_start_of_one(daemon.folder) for _ in range(5))
                yield Line('one uvicorn starts', 's', start)
                yield Line(name, 's', seconds, 4 * start + 5 + 0.3)
            else:
                yield Line(name + ', without readiness', 's', seconds)


def _start_of_one(folder: Path) -> float:
    """Return the seconds from the start of the application until it serves."""
    port = free_port()
    begin = time.monotonic()
    process = subprocess.Popen((UVICORN % port).split(), cwd=str(folder),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: serves(port), 'it serves')
        return time.monotonic() - begin
    finally:
        process.terminate()
        process.wait()


def gaps() -> Iterator[Line]:
    """From ready to the next stop, twenty processes, one at a time."""
    for kind, allowed in (('notify', 0.015), ('http', 0.2), ('tcp', 0.2), ('unix', 0.2)):
        programs, _ = slow_starters(0.3, kind, numprocs=20, startsecs=1)
        with Daemon(programs, {'delay': 0.2}) as daemon:
            daemon.wait_running('web')
            wait_until(lambda daemon=daemon: len(ready_at(daemon)) == 20, 'all are ready')
            old = set(ready_at(daemon))
            with daemon.connection() as rpc:
                assert rpc.restarter.restartProcessGroup('web', ONE) is True
            ready = sorted(when for pid, when in ready_at(daemon).items() if pid not in old)
            stops = sorted(killed_at(daemon.log()))[1:]
        seconds = [stop - when for when, stop in zip(ready, stops)]
        name = 'from ready to the next stop, ' + kind
        yield Line(name, 's', statistics.median(seconds), allowed)
        yield Line(name + ', the longest', 's', max(seconds))


def calls(size: int = 500) -> Iterator[Line]:
    """Other calls while processes are restarted, and asked for three seconds: the answer is 503."""
    port = free_port()
    programs = declaring(MANNERS['at once'], 'http://127.0.0.1:%d/' % port, size,
                         stdout_logfile='NONE', stderr_logfile='NONE')
    with Daemon(programs, minfds=8192, loglevel='info') as daemon, daemon.connection() as rpc:
        server = subprocess.Popen((SLOW_STARTER + ' 0 http %d' % port).split(),
                                  cwd=str(daemon.folder))
        try:
            wait_until(lambda: serves(port), 'the server serves')
            daemon.wait_running('web', 120)
            (daemon.folder / 'status').write_text('503')
            with Caller(daemon, pause=0.01) as caller:
                rpc.restarter.restartProcessGroup('web', {'timeout': 120, 'wait': False})
                wait_until(lambda: rpc.restarter.getRestartInfo('web')['starting'] == size,
                           'all are asked', 60)
                time.sleep(3)
            assert rpc.restarter.getRestartInfo('web')['starting'] == size
        finally:
            server.terminate()
            server.wait()
    name = 'other calls while %d are asked' % size
    yield Line(name, 's', max(caller.waits), 0.150)
    yield Line(name + ', the median', 's', statistics.median(caller.waits))
    yield Line(name + ', 99 of 100 within', 's', statistics.quantiles(caller.waits, n=100)[98])


PARTS = {'starts': starts, 'gaps': gaps, 'calls': calls}


def measure(options: Options) -> Iterator[Line]:
    """Yield the lines of the parts whose names begin like one of `only`."""
    for name, part in PARTS.items():
        if name.startswith(options.only):
            yield from part()
