"""The table of what a restart may cost, beside the floor: `python -m benchmarks.floor`.

It prints what is allowed beside what was seen.
"""

import argparse
import math
import os
import resource
import signal
import statistics
import sys
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple
from xmlrpc.client import Fault

from benchmarks.contenders import Supervised
from benchmarks.results import RESULTS, Sample, allowed, write
from tests.support.daemon import Daemon, group, wait_until

MEGABYTE = 2 ** 20
MINFDS = 65536  # a usual one on machines with many connections; less where that is not allowed
FORKED = 1.1  # programs with another user than supervisord's own are forked


class Line(NamedTuple):
    """One line of the table. `seen` may be at most `most`, which may be infinite."""

    what: str
    unit: str
    most: float
    seen: float


def measure(quick: bool = False) -> List[Line]:
    """Return the lines of the table; `quick` takes fewer restarts of smaller groups."""
    lines = []
    times = 3 if quick else 9
    for size, most in (1, 0.8), (10, 0.5), (100, 0.45):
        if size < 100 or not quick:
            lines += _times_the_floor(size, {'minfds': 1024}, most, times)
            lines.append(_over_the_floor(size, 1, times))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    highest = MINFDS if hard == resource.RLIM_INFINITY else min(MINFDS, hard)
    some = 10 if quick else 100
    lines += _times_the_floor(some, {'minfds': 4096}, math.inf, times)
    lines += _times_the_floor(some, {'minfds': highest}, 0.4, times)
    if os.getuid() == 0:
        lines += _times_the_floor(some, {'minfds': 1024, 'user': 'nobody'}, FORKED, times)
    lines += _times_the_floor(100 if quick else 1000, {'minfds': 4096}, 0.35, 3, most_cpu=0.5)
    lines.append(_cpu(3 if quick else 7))
    lines += _back_to_back(30 if quick else 300, daemonize=False)
    lines += _back_to_back(30 if quick else 300, daemonize=True)
    return lines


def report(lines: List[Line], folder: Path, kind: str = 'floor') -> bool:
    """Print the table and write KIND.csv; return whether all is met."""
    rows: List[Dict[str, Any]] = []
    print('  %-70s %9s %9s' % ('what', 'allowed', 'seen'))
    for line in lines:
        most, verdict = '%.4g' % line.most, 'met' if line.seen <= line.most else 'missed'
        if line.most == math.inf:
            most = verdict = ''
        print('  %-70s %9s %9.4g  %-3s %s' % (line.what, most or '-', line.seen, line.unit,
                                              verdict.replace('missed', 'MISSED')))
        rows.append({'what': line.what, 'unit': line.unit, 'allowed': most,
                     'seen': '%.4g' % line.seen, 'verdict': verdict})
    write(folder, kind, rows)
    return all(row['verdict'] != 'missed' for row in rows)


def _over_the_floor(size: int, startsecs: int, repetitions: int) -> Line:
    floor, plugin = _both(Supervised(size, startsecs), repetitions)
    return Line('restart over the floor, N=%d, startsecs=%d' % (size, startsecs), 's',
                allowed(floor.seconds), plugin.seconds)


def _times_the_floor(size: int, settings: Dict[str, Any], most: float, repetitions: int,
                     most_cpu: float = math.inf) -> List[Line]:
    """Return how many times the floor's seconds and CPU a restart takes."""
    floor, plugin = _both(Supervised(size, 0, **settings), repetitions)
    what = ', '.join([', N=%d' % size] + ['%s=%s' % pair for pair in settings.items()])
    return [Line('restart over the floor' + what, 'x', most, plugin.seconds / floor.seconds),
            Line("CPU over the floor's" + what, 'x', most_cpu, plugin.cpu / floor.cpu),
            Line('the floor' + what, 's', math.inf, floor.seconds)]


def _both(supervised: Supervised, repetitions: int) -> Tuple[Sample, Sample]:
    """Return the medians of the floor and of the plugin, which restart in turn."""
    with supervised:
        chosen = {c.name: c for c in supervised.contenders() if c.name in ('floor', 'plugin')}
        samples: Dict[str, List[Sample]] = {name: [] for name in chosen}
        for turn in range(repetitions + 1):
            for name, contender in chosen.items():
                sample = contender.measure()
                samples[name] += [sample] if turn else []
    floor, plugin = (Sample(statistics.median(sample.seconds for sample in samples[name]),
                            statistics.median(sample.cpu for sample in samples[name]))
                     for name in ('floor', 'plugin'))
    return floor, plugin


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
                restart(rpc)
            wait_until(lambda: _wakeups(daemon) == 0, 'nothing of a restart is left')
            descriptors, memory = len(daemon.descriptors()), daemon.memory()
            took = [restart(rpc) for _ in range(times)]
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


def restart(rpc: Any, **options: Any) -> float:
    """Restart the group, and return the seconds that the call took."""
    began = time.monotonic()
    answer = rpc.restarter.restartProcessGroup('web', options)
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
        restart(rpc)
    new = daemon.wait_running('web')
    if set(pids.values()) & set(new.values()):
        raise AssertionError('the restart after SIGHUP left old processes')
    daemon.signal(signal.SIGTERM)
    daemon.wait_ended()
    return sum(Path('/proc/%d' % pid).exists() for pid in new.values())


def main() -> int:
    """Print the table, and return 1 where something is missed."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.floor', description=__doc__)
    parser.add_argument('--quick', action='store_true', help='fewer restarts of smaller groups')
    parser.add_argument('--results', type=Path, metavar='FOLDER', default=RESULTS,
                        help='where floor.csv goes (default: %(default)s)')
    options = parser.parse_args()
    return 0 if report(measure(options.quick), options.results) else 1


if __name__ == '__main__':
    sys.exit(main())
