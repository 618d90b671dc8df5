"""What a restart may cost, beside the floor."""

import math
import os
import resource
import signal
import statistics
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from benchmarks.contenders import Supervised
from benchmarks.results import Line, Options, Sample
from tests.support.daemon import Daemon, group, wait_until
from tests.support.faults import all_new, restart, wait_reloaded

MEGABYTE = 2 ** 20
MINFDS = 65536  # a usual one on machines with many connections; less where that is not allowed
FORKED = 1.1  # programs with another user than supervisord's own are forked


def measure(options: Options) -> Iterator[Line]:
    """Yield the lines of the table; `quick` takes fewer restarts of smaller groups."""
    quick = options.quick
    times = 3 if quick else 9
    for size, most in (1, 0.8), (10, 0.5), (100, 0.45):
        if size < 100 or not quick:
            yield from _times_the_floor(size, {'minfds': 1024}, most, times)
            floor, plugin = _both(Supervised(size, 1), times)
            yield Line('restart over the floor, N=%d, startsecs=1' % size, 's', plugin.seconds,
                       1.05 * floor.seconds + 0.010)
            if size == 10:
                yield Line('CPU of supervisord, N=10, startsecs=1', 's', plugin.cpu, 0.06)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    highest = MINFDS if hard == resource.RLIM_INFINITY else min(MINFDS, hard)
    some = 10 if quick else 100
    yield from _times_the_floor(some, {'minfds': 4096}, math.inf, times)
    yield from _times_the_floor(some, {'minfds': highest}, 0.4, times)
    if os.getuid() == 0:
        yield from _times_the_floor(some, {'minfds': 1024, 'user': 'nobody'}, FORKED, times)
    yield from _times_the_floor(100 if quick else 1000, {'minfds': 4096}, 0.35, 3, most_cpu=0.5)
    yield from _back_to_back(30 if quick else 300, daemonize=False)
    yield from _back_to_back(30 if quick else 300, daemonize=True)


def _times_the_floor(size: int, settings: Dict[str, Any], most: float, repetitions: int,
                     most_cpu: float = math.inf) -> List[Line]:
    """Return how many times the floor's seconds and CPU a restart takes."""
    floor, plugin = _both(Supervised(size, 0, **settings), repetitions)
    what = ', '.join([', N=%d' % size] + ['%s=%s' % pair for pair in settings.items()])
    return [Line('restart over the floor' + what, 'x', plugin.seconds / floor.seconds, most),
            Line("CPU over the floor's" + what, 'x', plugin.cpu / floor.cpu, most_cpu),
            Line('the floor' + what, 's', floor.seconds)]


def _both(supervised: Supervised, repetitions: int) -> Tuple[Sample, Sample]:
    """Return the medians of the floor and of the plugin, which restart in turn."""
    with supervised:
        chosen = {c.name: c for c in supervised.contenders() if c.name in ('floor', 'plugin')}
        samples: Dict[str, List[Sample]] = {name: [] for name in chosen}
        for turn in range(repetitions + 1):
            for name, contender in chosen.items():
                sample = contender.measure()
                samples[name] += [sample] if turn else []
    floor, plugin = (Sample(*map(statistics.median, zip(*samples[name])))
                     for name in ('floor', 'plugin'))
    return floor, plugin


def _back_to_back(times: int, daemonize: bool) -> Iterator[Line]:
    where = ', daemonized' if daemonize else ''
    with Daemon(group('web', 10, startsecs=0), loglevel='info', daemonize=daemonize) as daemon:
        daemon.wait_running('web')
        _seconds(daemon, 20)  # until memory is what a supervisord that is in use has
        wait_until(lambda: _wakeups(daemon) == 0, 'nothing of a restart is left')
        descriptors, memory = daemon.descriptors_at_rest(), daemon.memory()
        took = _seconds(daemon, times)
        descriptors = daemon.descriptors_at_rest() - descriptors
        memory = daemon.memory() - memory
        name = '%d restarts back to back%s: ' % (times, where)
        yield Line(name + 'the longest', 's', max(took), 10 * statistics.median(took))
        yield Line(name + 'descriptors', '', descriptors, 0)
        yield Line(name + 'resident memory', 'MB', memory / MEGABYTE, 1)
        if daemonize:
            yield Line('restarts, SIGHUP, a restart, SIGTERM: processes left', '',
                       _reload_and_end(daemon), 0)


def _seconds(daemon: Daemon, times: int) -> Tuple[float, ...]:
    """Restart the group so many times, and return the seconds that each took."""
    answers, seconds = zip(*(restart(daemon, 'web') for _ in range(times)))
    assert all(answer is True for answer in answers), answers
    return seconds


def _wakeups(daemon: Daemon) -> int:
    """Return how many alarms are set for supervisord and caught: bit 13 of its caught signals."""
    status = Path('/proc/%d/status' % daemon.pid).read_text()
    caught = next(line for line in status.splitlines() if line.startswith('SigCgt'))
    return int(caught.split()[1], 16) >> 13 & 1


def _reload_and_end(daemon: Daemon) -> int:
    """Reload the supervisord, restart the group, end it; return how many processes are left."""
    daemon.signal(signal.SIGHUP)
    wait_reloaded(daemon)
    pids = daemon.wait_running('web')
    _seconds(daemon, 1)
    new = daemon.wait_running('web')
    assert all_new(pids, new), 'the restart after SIGHUP left old processes'
    daemon.signal(signal.SIGTERM)
    daemon.wait_ended()
    return sum(Path('/proc/%d' % pid).exists() for pid in new.values())
