"""One rolling restart as it happens: who is in which state when."""

import threading
import time
from pathlib import Path
from typing import Any, Dict, List

from benchmarks.results import write
from tests.daemon import MANNERS, Daemon, group

SIZE = 12
WINDOW = 3
BEFORE, AFTER = 0.4, 0.6  # seconds that are shown around the restart


def measure() -> List[Dict[str, Any]]:
    """Return the rows of timeline.csv: the stretches that each process was in a state for.

    The processes take half a second to stop and have startsecs=1. Their states are sampled by
    getAllProcessInfo, some fifty times a second.
    """
    samples: List[Any] = []
    with Daemon(group('web', SIZE, MANNERS['late'], startsecs=1, stopasgroup='true')) as daemon:
        daemon.wait_running('web')
        answers: List[Any] = []

        def restart() -> None:
            time.sleep(BEFORE)
            answers.append(daemon.rpc.restarter.restartProcessGroup(
                'web', {'max_unavailable': WINDOW, 'timeout': 30}))

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
    return stretches(samples)


def stretches(samples: List[Any]) -> List[Dict[str, Any]]:
    """Join the samples, pairs of a time and the states by process, into stretches of one state."""
    rows = []
    for name in sorted(samples[0][1]):
        begin, state = samples[0][0], samples[0][1][name]
        for moment, states in samples[1:]:
            if states[name] != state:
                rows.append({'process': name, 'state': state, 'begin': '%.3f' % begin,
                             'end': '%.3f' % moment})
                begin, state = moment, states[name]
        rows.append({'process': name, 'state': state, 'begin': '%.3f' % begin,
                     'end': '%.3f' % samples[-1][0]})
    return rows


def report(folder: Path) -> None:
    """Restart a group once, and write timeline.csv."""
    rows = measure()
    write(folder, 'timeline', rows)
    print('  %d processes, at most %d down: %d stretches' % (SIZE, WINDOW, len(rows)))
