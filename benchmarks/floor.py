"""The table of what a restart may cost, over the processes' own time: `python -m benchmarks.floor`.

It prints what is allowed beside what was seen.
"""

import argparse
import signal
import statistics
import sys
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any, Dict, List, NamedTuple
from xmlrpc.client import Fault

from benchmarks.contenders import Supervised
from benchmarks.results import RESULTS, allowed, write
from tests.daemon import Daemon, group, wait_until

MEGABYTE = 2 ** 20


class Line(NamedTuple):
    """One line of the table. `seen` may be at most `most`."""

    what: str
    unit: str
    most: float
    seen: float


def measure(quick: bool = False) -> List[Line]:
    """Return the lines of the table; `quick` takes fewer restarts."""
    lines = []
    for size in (1, 10) if quick else (1, 10, 100):
        for startsecs in (0, 1):
            lines.append(_over_the_floor(size, startsecs, 3 if quick else 9))
    lines.append(_cpu(3 if quick else 7))
    lines += _back_to_back(30 if quick else 300, daemonize=False)
    lines += _back_to_back(30 if quick else 300, daemonize=True)
    return lines


def report(lines: List[Line], folder: Path) -> bool:
    """Print the table and write floor.csv; return whether all is met."""
    rows: List[Dict[str, Any]] = []
    print('  %-58s %9s %9s' % ('what', 'allowed', 'seen'))
    for line in lines:
        met = line.seen <= line.most
        print('  %-58s %9.4g %9.4g  %-3s %s' % (line.what, line.most, line.seen, line.unit,
                                                'met' if met else 'MISSED'))
        rows.append({'what': line.what, 'unit': line.unit, 'allowed': '%.4g' % line.most,
                     'seen': '%.4g' % line.seen, 'verdict': 'met' if met else 'missed'})
    write(folder, 'floor', rows)
    return all(row['verdict'] == 'met' for row in rows)


def _over_the_floor(size: int, startsecs: int, repetitions: int) -> Line:
    with Supervised(size, startsecs) as daemon:
        chosen = {c.name: c for c in daemon.contenders() if c.name in ('floor', 'plugin')}
        seconds: Dict[str, List[float]] = {name: [] for name in chosen}
        for turn in range(repetitions + 1):
            for name, contender in chosen.items():
                sample = contender.measure()
                seconds[name] += [sample.seconds] if turn else []
    return Line('restart over the floor, N=%d, startsecs=%d' % (size, startsecs), 's',
                allowed(statistics.median(seconds['floor'])), statistics.median(seconds['plugin']))


def _cpu(repetitions: int) -> Line:
    with Supervised(10, 1) as daemon:
        plugin = next(c for c in daemon.contenders() if c.name == 'plugin')
        used = [plugin.measure().cpu for _ in range(repetitions + 1)][1:]
    return Line('CPU of supervisord, N=10, startsecs=1', 's', 0.06, statistics.median(used))


def _back_to_back(times: int, daemonize: bool) -> List[Line]:
    where = ', daemonized' if daemonize else ''
    with Daemon(group('web', 10, startsecs=0), loglevel='info', daemonize=daemonize) as daemon:
        daemon.wait_running('web')
        with daemon.connection() as rpc:
            for _ in range(20):  # until memory is what a supervisord that is in use has
                _restart(rpc)
            wait_until(lambda: _wakeups(daemon) == 0, 'nothing of a restart is left')
            descriptors, memory = len(daemon.descriptors()), daemon.memory()
            took = [_restart(rpc) for _ in range(times)]
            descriptors = len(daemon.descriptors()) - descriptors
            memory = daemon.memory() - memory
        median = statistics.median(took)
        name = '%d restarts back to back%s: ' % (times, where)
        lines = [Line(name + 'the longest', 's', 10 * median, max(took)),
                 Line(name + 'descriptors', '', 0, descriptors),
                 Line(name + 'resident memory', 'MB', 1, memory / MEGABYTE)]
        if daemonize:
            lines.append(Line('restarts, SIGHUP, a restart, SIGTERM: processes left', '', 0,
                              _reload_and_end(daemon)))
    return lines


def _restart(rpc: Any) -> float:
    began = time.monotonic()
    answer = rpc.restarter.restartProcessGroup('web')
    seconds = time.monotonic() - began
    if answer is not True:
        raise AssertionError('a restart ended with %r' % answer)
    return seconds


def _wakeups(daemon: Daemon) -> int:
    """Return how many alarms are set for supervisord and caught: bit 13 of its caught signals."""
    status = Path('/proc/%d/status' % daemon.pid).read_text()
    caught = next(line for line in status.splitlines() if line.startswith('SigCgt'))
    return int(caught.split()[1], 16) >> 13 & 1


def _reload_and_end(daemon: Daemon) -> int:
    """Reload the supervisord, restart the group, end it; return how many processes are left."""
    before = set(daemon.pids('web').values())
    daemon.signal(signal.SIGHUP)

    def reloaded() -> bool:
        try:
            pids = set(daemon.pids('web').values())
            return bool(pids) and not before & pids
        except (OSError, HTTPException, Fault):  # its socket is being made anew
            return False

    wait_until(reloaded, 'supervisord has reloaded')
    pids = daemon.wait_running('web')
    with daemon.connection() as rpc:
        _restart(rpc)
    new = daemon.wait_running('web')
    if set(pids.values()) & set(new.values()):
        raise AssertionError('the restart after SIGHUP left old processes')
    daemon.signal(signal.SIGTERM)
    daemon.wait_ended()
    return sum(Path('/proc/%d' % pid).exists() for pid in new.values())


def main() -> int:
    """Print the table, and return 1 where something is missed."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.floor', description=__doc__)
    parser.add_argument('--quick', action='store_true', help='fewer restarts, and no N=100')
    parser.add_argument('--results', type=Path, metavar='FOLDER', default=RESULTS,
                        help='where floor.csv goes')
    options = parser.parse_args()
    return 0 if report(measure(options.quick), options.results) else 1


if __name__ == '__main__':
    sys.exit(main())
