"""Restart a web application under load: `python -m benchmarks.requests_under_restart --help`.

Every server serves the application of examples/rolling to the same clients, with one process and
with four. They restart in turn.
"""

import contextlib
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple, Type

from benchmarks.others import find_pm2
from benchmarks.results import markdown, spread, write
from benchmarks.servers import Gunicorn, Pm2Cluster, Server, UnderSupervisor, Uvicorn, wait_gone
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


def report(restarts: int, folder: Path) -> None:
    """Measure, print both tables, and write requests.csv and broken-release.csv."""
    rows: List[Dict[str, Any]] = []
    for size in SIZES:
        rows += under_load(size, restarts, CLIENTS)
        write(folder, 'requests', rows)
    print(markdown(rows))
    print('\nA release that does not start:\n')
    rows = []
    for size in SIZES:
        for make, name in _ways(size):
            print('%d processes, a broken release, %s' % (size, name), file=sys.stderr)
            rows.append({'processes': size, 'command': name,
                         'old ones that still serve': broken_release(make(), name)})
            write(folder, 'broken-release', rows)
    print(markdown(rows))


def under_load(size: int, restarts: int, clients: int) -> List[Dict[str, Any]]:
    """Let every server restart in turn under load, and return the rows of requests.csv."""
    seen: Dict[str, List[Restart]] = {}
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(make()) for make in _servers(size)]
        for turn in range(restarts):
            print('%d processes, round %d of %d' % (size, turn + 1, restarts), file=sys.stderr)
            for server in servers:
                ways: Dict[str, Callable[[], Any]] = {}
                if server is servers[0]:
                    ways[NOTHING] = lambda: time.sleep(2)
                ways.update(server.ways())
                for name, way in ways.items():
                    seen.setdefault(name, []).append(restart(server, name, way, clients))
    return [summary(size, name, taken) for name, taken in seen.items()]


def restart(server: Server, name: str, way: Callable[[], None], clients: int) -> Restart:
    """Restart a server under load; raises AssertionError unless all its processes are new."""
    before = server.up()
    with server.load(clients=clients) as load:
        time.sleep(AROUND)
        began = time.monotonic()
        way()
        if name != NOTHING:
            wait_gone(before)
        seconds = time.monotonic() - began
        time.sleep(AROUND)
    after = server.up()
    if len(after) != server.size or (name != NOTHING and after & before):
        raise AssertionError('%s: %d of %d processes serve, %d of them are old ones' % (
            name, len(after), server.size, len(after & before)))
    return Restart(seconds, load.counts())


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
        'seconds, median': '%.2f' % spread([one.seconds for one in restarts]).median,
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


def _servers(size: int) -> List[Callable[[], Server]]:
    pm2 = find_pm2()
    kinds: Tuple[Type[Server], ...] = (UnderSupervisor, Gunicorn) + (
        (Uvicorn,) if size > 1 else ())
    makers: List[Callable[[], Server]] = [lambda kind=kind: kind(size) for kind in kinds]
    if pm2 is None:
        print('pm2 is left out: it needs Node.js and npm, and a registry for npm', file=sys.stderr)
    else:
        makers.append(lambda: Pm2Cluster(size, pm2))
    return makers


def _ways(size: int) -> List[Tuple[Callable[[], Server], str]]:
    """Return all ways to restart, by name, each with what makes its server."""
    found = []
    for make in _servers(size):
        server = make()
        found += [(make, name) for name in server.ways()]
        server.__exit__()
    return found
