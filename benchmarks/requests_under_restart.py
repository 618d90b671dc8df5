"""Restart a web application under load.

Every server serves the application of examples/rolling to the same clients, with one process and
with four. They restart in turn.
"""

import contextlib
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from benchmarks.contenders import LIMIT
from benchmarks.results import Options, markdown, write
from benchmarks.servers import Pm2Cluster, Reloaded, Server, UnderSupervisor
from tests.support.daemon import wait_until
from tests.support.load import Counts

CLIENTS = 6  # with one connection each
SIZES = (1, 4)
NOTHING = 'no restart'
AROUND = 0.5  # seconds of load before and after a restart
SETTLES = 8.0  # seconds after which nothing more comes of a broken release
GENTLE = 0.02  # seconds between two requests of a client, where the requests are not counted


class Restart(NamedTuple):
    """One restart under load: seconds until all were new, and what the clients saw."""

    seconds: float
    counts: Counts


def measure(options: Options) -> None:
    """Measure, print both tables, and write requests.csv and broken-release.csv."""
    pm2, folder = options.pm2, options.results
    if pm2 is None:
        print('pm2 is left out: it needs Node.js and npm, and a registry for npm', file=sys.stderr)
    rows: List[Dict[str, Any]] = []
    for size in SIZES:
        rows += under_load(size, pm2, 1 if options.quick else 5)
        write(folder, 'requests', rows)
    print(markdown(rows))
    print('\nA release that does not start:\n')
    rows = []
    for size in SIZES:
        for make, name in _ways(size, pm2):
            print('%d processes, a broken release, %s' % (size, name), file=sys.stderr)
            rows.append({'processes': size, 'command': name,
                         'old ones that still serve': broken_release(make(), name)})
            write(folder, 'broken-release', rows)
    print(markdown(rows))


def under_load(size: int, pm2: Optional[Path], restarts: int) -> List[Dict[str, Any]]:
    """Let every server restart in turn under load, and return the rows of requests.csv."""
    seen: Dict[str, List[Restart]] = {}
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(make()) for make in _servers(size, pm2)]
        for turn in range(restarts):
            print('%d processes, round %d of %d' % (size, turn + 1, restarts), file=sys.stderr)
            for server in servers:
                ways: Dict[str, Callable[[], Any]] = {}
                if server is servers[0]:
                    ways[NOTHING] = lambda: time.sleep(2)
                ways.update(server.ways())
                for name, way in ways.items():
                    seen.setdefault(name, []).append(restart(server, name, way))
    return [summary(size, name, taken) for name, taken in seen.items()]


def restart(server: Server, name: str, way: Callable[[], None]) -> Restart:
    """Restart a server under load; raises AssertionError unless all its processes are new."""
    before = server.up()
    with server.load(clients=CLIENTS) as load:
        time.sleep(AROUND)
        began = time.monotonic()
        way()
        if name != NOTHING:
            wait_until(lambda: not any(map(_lives, before)), 'the old processes have ended', LIMIT)
        seconds = time.monotonic() - began
        time.sleep(AROUND)
    after = server.up()
    if len(after) != server.size or (name != NOTHING and after & before):
        raise AssertionError('%s: %d of %d processes serve, %d of them are old ones' % (
            name, len(after), server.size, len(after & before)))
    return Restart(seconds, load.counts())


def _lives(pid: int) -> bool:
    try:
        return Path('/proc/%d/cmdline' % pid).read_bytes() != b''  # empty: it has ended
    except OSError:
        return False


def summary(size: int, name: str, restarts: List[Restart]) -> Dict[str, Any]:
    """Return one row of the table; counts are sums over the restarts."""
    def total(of: Callable[[Counts], int]) -> int:
        return sum(of(one.counts) for one in restarts)
    return {
        'processes': size,
        'command': name,
        'restarts': len(restarts),
        'requests': total(lambda counts: counts.requests),
        'failed': total(lambda counts: counts.failed),
        'of them refused': total(lambda counts: counts.refused),
        'repeated': total(lambda counts: counts.retried),
        'seconds, median': '%.2f' % statistics.median(one.seconds for one in restarts),
        'slowest request, seconds': '%.3f' % max(one.counts.slowest for one in restarts),
    }


def broken_release(server: Server, name: str) -> int:
    """Return how many processes still serve after a restart with a release that does not start."""
    with server:
        before = server.up()
        server.break_release()
        with server.load(pause=GENTLE):
            server.ways()[name]()
            time.sleep(SETTLES)
        return len(before & server.up())


def _servers(size: int, pm2: Optional[Path]) -> List[Callable[[], Server]]:
    names = ['gunicorn'] + ['uvicorn'] * (size > 1)  # With one process, uvicorn does not reload.
    makers: List[Callable[[], Server]] = [lambda: UnderSupervisor(size)]
    makers += [lambda name=name: Reloaded(size, name) for name in names]
    return makers + ([lambda: Pm2Cluster(size, pm2)] if pm2 else [])


def _ways(size: int, pm2: Optional[Path]) -> Iterator[Tuple[Callable[[], Server], str]]:
    """Return all ways to restart, by name, each with what makes its server."""
    for make in _servers(size, pm2):
        server = make()
        yield from ((make, name) for name in server.ways())
        server.__exit__()
