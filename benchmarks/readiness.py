"""What a declared readiness is worth in a restart."""

import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

from benchmarks.results import percentile, write
from tests.support.daemon import MANNERS, Daemon, free_port, wait_until
from tests.support.readiness import (
    SLOW_STARTER,
    declaring,
    ready_at,
    serves,
    slow_starters,
    uvicorns,
)
from tests.support.reports import killed_at

ONE = {'max_unavailable': 1, 'timeout': 60}
CALLS = 0.01  # seconds between two calls of another client

Row = Dict[str, Any]


def row(name: str, figure: float, unit: str, allowed: float, note: str = '') -> Row:
    """Return a row of readiness.csv, and print it."""
    print('  %-38s %10.4g %-9s allowed %-8.4g %s%s' % (
        name, figure, unit, allowed, 'met' if figure <= allowed else 'MISSED',
        ' (%s)' % note if note else ''), flush=True)
    return {'figure': name, 'value': '%.6f' % figure, 'unit': unit, 'allowed': '%.6f' % allowed,
            'note': note}


def starts() -> List[Row]:
    """Four uvicorns, each on its own port, one at a time, with startsecs = 5."""
    times = {}
    for declared in (True, False):
        daemon, ports = uvicorns(4, startsecs=5)
        if not declared:
            text = daemon.configuration.read_text()
            daemon.configuration.write_text(text.replace('RESTARTER_READY', 'NOT_DECLARED'))
        with daemon:
            daemon.wait_running('web')
            wait_until(lambda ports=ports: all(map(serves, ports)), 'all serve')
            begin = time.monotonic()
            with daemon.connection() as rpc:
                assert rpc.restarter.restartProcessGroup('web', ONE) is True
            times[declared] = time.monotonic() - begin
            if declared:
                start = statistics.median(_start_of_one(daemon.folder) for _ in range(5))
    return [row('four uvicorns, one at a time', times[True], 'seconds', 4 * start + 5 + 0.3,
                'the application starts in %.2f s; without readiness %.1f s' % (
                    start, times[False]))]


def _start_of_one(folder: Path) -> float:
    """Return the seconds from the start of the application until it serves."""
    port = free_port()
    begin = time.monotonic()
    process = subprocess.Popen([sys.executable, '-m', 'uvicorn', '--port', str(port), 'app:app'],
                               cwd=str(folder), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: serves(port), 'it serves')
        return time.monotonic() - begin
    finally:
        process.terminate()
        process.wait()


def gaps() -> List[Row]:
    """From ready to the next stop, twenty processes, one at a time."""
    rows = []
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
        rows.append(row('from ready to the next stop, %s' % kind, statistics.median(seconds),
                        'seconds', allowed, 'the longest %.3f' % max(seconds)))
    return rows


def calls(size: int = 500) -> List[Row]:
    """Other calls while processes are restarted and asked, and answer 503 for three seconds."""
    port = free_port()
    programs = declaring(MANNERS['at once'], 'http://127.0.0.1:%d/' % port, size,
                         stdout_logfile='NONE', stderr_logfile='NONE')
    with Daemon(programs, minfds=8192, loglevel='info') as daemon:
        server = subprocess.Popen((SLOW_STARTER + ' 0 http %d' % port).split(),
                                  cwd=str(daemon.folder))
        try:
            wait_until(lambda: serves(port), 'the server serves')
            daemon.wait_running('web', 120)
            (daemon.folder / 'status').write_text('503')
            waits: List[float] = []
            done = threading.Event()
            caller = threading.Thread(target=_call, args=(daemon, waits, done))
            caller.start()
            with daemon.connection() as rpc:
                rpc.restarter.restartProcessGroup('web', {'timeout': 120, 'wait': False})
                time.sleep(3)
                (daemon.folder / 'status').write_text('200')
                wait_until(lambda: rpc.restarter.getRestartInfo('web')['state'] == 'FINISHED',
                           'all are ready', 120)
                restarted = rpc.restarter.getRestartInfo('web')['restarted']
            done.set()
            caller.join()
        finally:
            server.terminate()
            server.wait()
    assert restarted == size, '%d of %d restarted' % (restarted, size)
    return [row('other calls while %d are asked' % size, max(waits), 'seconds', 0.150,
                '%d calls, median %.4f, 99 %% within %.4f' % (
                    len(waits), statistics.median(waits), percentile(waits, 99)))]


def _call(daemon: Daemon, waits: List[float], done: threading.Event) -> None:
    with daemon.connection() as rpc:
        while not done.wait(CALLS):
            began = time.monotonic()
            rpc.supervisor.getState()
            waits.append(time.monotonic() - began)


PARTS: Dict[str, Callable[[], List[Row]]] = {'starts': starts, 'gaps': gaps, 'calls': calls}


def report(only: Sequence[str], folder: Path) -> None:
    """Measure, print, and write readiness.csv; `only` some of the parts: then write nothing."""
    rows = [found for name, part in PARTS.items() if not only or name.startswith(tuple(only))
            for found in part()]
    if not only:
        write(folder, 'readiness', rows)
