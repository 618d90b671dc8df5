"""Groups of processes that declare their readiness, for tests and benchmarks."""

import http.client
import os
import sys
import threading
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

from tests.support.daemon import Daemon, free_ports
from tests.support.load import fetch

PROGRAMS = Path(__file__).parents[1] / 'programs'
SLOW_STARTER = '%s %s' % (sys.executable, PROGRAMS / 'slow_starter.py')


def declaration(ready: Optional[str]) -> Dict[str, str]:
    """Return the settings of a program that declares `ready`; none for None."""
    return {} if ready is None else {
        'environment': 'RESTARTER_READY="%s"' % ready, 'directory': '%(here)s'}


def temporary_folder(daemon: Daemon) -> Path:
    """Give a supervisord that is yet to be started a temporary folder of its own."""
    made = daemon.folder / 'tmp'
    made.mkdir()
    daemon.folder.chmod(0o755)  # else its sockets would not be there
    daemon.env = dict(daemon.env or os.environ, TMPDIR=str(made))
    return made


def declaring(command: str, ready: str, numprocs: int = 1, startsecs: float = 0,
              **settings: object) -> str:
    """Return the configuration of a group `web` whose processes web_0, web_1, … declare `ready`."""
    lines = {'command': command, 'numprocs': numprocs, 'startsecs': '%g' % startsecs,
             'process_name': '%(program_name)s_%(process_num)d'}
    lines.update(declaration(ready), **settings)
    return '[program:web]\n' + ''.join('%s = %s\n' % pair for pair in lines.items())


def slow_starters(seconds: Union[float, str], kind: str, numprocs: int = 1, startsecs: float = 0,
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
    return declaring('%s %s %s %s' % (SLOW_STARTER, seconds, kind, where), ready, numprocs,
                     startsecs, **settings), ports


def serves(port: int, timeout: float = 2.0) -> bool:
    """Whether a GET to a port of the loopback interface is answered with 200."""
    try:
        return fetch(('127.0.0.1', port), timeout).status == 200
    except (OSError, http.client.HTTPException):
        return False


def ready_at(daemon: Daemon) -> Dict[int, float]:
    """Return when each slow_starter.py became ready, in seconds since the epoch, by process id."""
    notes = daemon.folder / 'ready'
    lines = notes.read_text().split() if notes.exists() else []
    return dict(zip(map(int, lines[1::2]), map(float, lines[::2])))


class Watched:
    """Ports that are asked all the time, each by a thread of its own.

    `outages` has, for each port that was without an answer, the first and the last monotonic time
    at which that was so; `requests` is how often they were asked.
    """

    def __init__(self, ports: List[int]):
        self.outages: List[Tuple[float, float]] = []
        self.requests = 0
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(port,)) for port in ports]

    @property
    def most_at_once(self) -> int:
        """How many were without an answer at the same time, at most."""
        return max((sum(begin <= moment <= end for begin, end in self.outages)
                    for moment, _ in self.outages), default=0)

    def _ask(self, port: int) -> None:
        failed = []
        while not self._done.wait(0.005):
            began = time.monotonic()
            self.requests += 1
            if not serves(port, 10):
                failed.append(began)
        if failed:
            self.outages.append((failed[0], failed[-1]))

    def __enter__(self) -> 'Watched':
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()
