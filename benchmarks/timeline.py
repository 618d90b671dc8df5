"""Two restarts as they happen, a rolling one and one with surge: who is in which state when."""

import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

from benchmarks.results import write
from tests.support.daemon import MANNERS, Daemon, group

SIZE = 12
WINDOW = 3
PACINGS = {'rolling': {'max_unavailable': WINDOW}, 'surge': {'max_surge': WINDOW}}
BEFORE, AFTER = 0.4, 0.6  # seconds that are shown around the restart

# Seconds since the call, and the states by the names of the processes.
Sample = Tuple[float, Dict[str, str]]


def measure(options: Dict[str, Any]) -> List[Sample]:
    """Restart a group with these options, and return the states of its processes meanwhile.

    The processes take half a second to stop and have startsecs=1. Their states are sampled by
    getAllProcessInfo, some fifty times a second.
    """
    samples: List[Sample] = []
    with Daemon(group('web', SIZE, MANNERS['late'], startsecs=1, stopasgroup='true')) as daemon:
        daemon.wait_running('web')
        answers: List[Any] = []

        def restart() -> None:
            time.sleep(BEFORE)
            answers.append(daemon.rpc.restarter.restartProcessGroup(
                'web', dict(options, timeout=30)))

        caller = threading.Thread(target=restart)
        began = time.monotonic()
        caller.start()
        until = float('inf')
        with daemon.connection() as rpc:
            while time.monotonic() < until:
                infos = rpc.supervisor.getAllProcessInfo()
                samples.append((time.monotonic() - began - BEFORE,
                                {info['name']: info['statename'] for info in infos}))
                if not caller.is_alive() and until == float('inf'):
                    until = time.monotonic() + AFTER
                time.sleep(0.015)
        if answers != [True]:
            raise AssertionError('the restart ended with %r' % answers)
    return samples


def stretches(samples: List[Sample]) -> List[Dict[str, str]]:
    """Join the samples into stretches of one state of one process.

    A process that is there for a while only has no state before and after.
    """
    rows = []
    for name in sorted({name for _, states in samples for name in states}):
        begin, state = samples[0][0], samples[0][1].get(name)
        for moment, states in samples[1:] + [(samples[-1][0], {})]:
            if states.get(name) != state:
                if state is not None:
                    rows.append({'process': name, 'state': state, 'begin': '%.3f' % begin,
                                 'end': '%.3f' % moment})
                begin, state = moment, states.get(name)
    return rows


def report(folder: Path) -> None:
    """Restart a group once with each pacing, and write timeline.csv."""
    rows: List[Dict[str, str]] = []
    for pacing, options in PACINGS.items():
        found = stretches(measure(options))
        rows += [dict({'pacing': pacing}, **row) for row in found]
        print('  %d processes, %s with %d: %d stretches' % (SIZE, pacing, WINDOW, len(found)))
    write(folder, 'timeline', rows)
