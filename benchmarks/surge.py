"""What new before old costs, and whether it keeps its bounds: `python -m benchmarks.surge`.

It prints what is allowed beside what was seen.
"""

import argparse
import statistics
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List

from benchmarks.contenders import GROUP, Supervised
from benchmarks.floor import MEGABYTE, Line, report, restart
from benchmarks.results import RESULTS
from tests.support.daemon import Daemon, descendants, group

SLOW = 10  # processes that are replaced one after the other


def measure(quick: bool = False) -> List[Line]:
    """Return the lines of the table; `quick` takes fewer restarts of smaller groups."""
    return (_one_at_a_time(1 if quick else 3)
            + _against_rolling(20 if quick else 100, 3 if quick else 9)
            + _back_to_back(20 if quick else 200))


def _one_at_a_time(repetitions: int) -> List[Line]:
    with Daemon(group(GROUP, SLOW, startsecs=1), options={'timeout': 30},
                loglevel='info') as daemon, daemon.connection() as caller:
        daemon.wait_running(GROUP)
        seconds = statistics.median(restart(caller, max_surge=1) for _ in range(repetitions))
        # Questions turn the main loop, so these are asked in a restart of their own.
        running: List[int] = []
        alive: List[int] = []
        with daemon.connection() as rpc:
            def look() -> None:
                states = [info['statename'] for info in rpc.supervisor.getAllProcessInfo()]
                running.append(states.count('RUNNING'))
                alive.append(len(descendants(daemon.pid)))
            _meanwhile(look, lambda: restart(caller, max_surge=1))
    name = 'N=%d, max_surge=1, startsecs=1' % SLOW
    return [Line(name, 's', SLOW + 0.3, seconds),
            Line(name + ': fewer than %d RUNNING' % SLOW, '', 0, max(0, SLOW - min(running))),
            Line(name + ': most that were alive', '', SLOW + 1, max(alive))]


def _against_rolling(size: int, repetitions: int) -> List[Line]:
    with Supervised(size, 0) as daemon:
        chosen = {c.name: c for c in daemon.contenders()
                  if c.name in ('plugin, surge', 'plugin, rolling')}
        seconds: Dict[str, List[float]] = {name: [] for name in chosen}
        for turn in range(repetitions + 1):
            for name, contender in chosen.items():
                sample = contender.measure()
                seconds[name] += [sample.seconds] if turn else []
    surge, rolling = (statistics.median(seconds[name]) for name in
                      ('plugin, surge', 'plugin, rolling'))
    return [Line('N=%d, startsecs=0: max_surge=25%% over max_unavailable=25%%' % size, 'x', 1.3,
                 surge / rolling)]


def _back_to_back(times: int) -> List[Line]:
    with Daemon(group(GROUP, 10, startsecs=0), loglevel='info') as daemon:
        names = set(daemon.wait_running(GROUP))
        with daemon.connection() as rpc:
            for _ in range(20):  # until memory is what a supervisord that is in use has
                restart(rpc, max_surge='25%')
        descriptors, memory = daemon.descriptors_at_rest(), daemon.memory()
        with daemon.connection() as rpc:
            took = [restart(rpc, max_surge='25%') for _ in range(times)]
        descriptors = daemon.descriptors_at_rest() - descriptors
        memory = daemon.memory() - memory
        others = names ^ set(daemon.pids(GROUP))
    name = '%d surges back to back: ' % times
    return [Line(name + 'the longest', 's', 10 * statistics.median(took), max(took)),
            Line(name + 'descriptors', '', 0, descriptors),
            Line(name + 'resident memory', 'MB', 1, memory / MEGABYTE),
            Line(name + 'names that have come or gone', '', 0, len(others))]


def _meanwhile(look: Callable[[], None], action: Callable[[], Any]) -> None:
    """Look again and again while an action takes place."""
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            look()
            done.wait(0.01)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        action()
    finally:
        done.set()
        watcher.join()


def main() -> int:
    """Print the table, and return 1 where something is missed."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.surge', description=__doc__)
    parser.add_argument('--quick', action='store_true', help='fewer restarts of smaller groups')
    parser.add_argument('--results', type=Path, metavar='FOLDER', default=RESULTS,
                        help='where surge.csv goes')
    options = parser.parse_args()
    return 0 if report(measure(options.quick), options.results, 'surge') else 1


if __name__ == '__main__':
    sys.exit(main())
