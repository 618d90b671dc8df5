"""Two restarts as they happen, a rolling one and one with surge: who is in which state when."""

import time
from typing import Any, Dict, List, Optional, Tuple

from benchmarks.results import Options, write
from tests.support.daemon import MANNERS, Daemon, group
from tests.support.faults import Call

SIZE = 12
WINDOW = 3
PACINGS = {'rolling': {'max_unavailable': WINDOW}, 'surge': {'max_surge': WINDOW}}
BEFORE, AFTER = 0.4, 0.6  # seconds that are shown around the restart

# Seconds since the call, and the states by the names of the processes.
Sample = Tuple[float, Dict[str, str]]


def sampled(pacing: Dict[str, Any]) -> List[Sample]:
    """Restart a group with this pacing, and return the states of its processes meanwhile.

    The processes take half a second to stop and have startsecs=1. Their states are sampled by
    getAllProcessInfo, some fifty times a second.
    """
    samples: List[Sample] = []
    call: Optional[Call] = None
    programs = group('web', SIZE, MANNERS['late'], startsecs=1, stopasgroup='true')
    with Daemon(programs) as daemon, daemon.connection() as rpc:
        daemon.wait_running('web')
        now, until = -BEFORE, float('inf')
        began = time.monotonic() - now
        while now < until:
            infos = rpc.supervisor.getAllProcessInfo()
            now = time.monotonic() - began
            samples.append((now, {info['name']: info['statename'] for info in infos}))
            if call is None and now > 0:
                call = Call(daemon, 'web', dict(pacing, timeout=30))
            elif call and not call.is_alive():
                until = min(until, now + AFTER)
            time.sleep(0.015)
        if call.answer is not True:
            raise AssertionError('the restart ended with %r' % call.answer)
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


def measure(options: Options) -> None:
    """Restart a group once with each pacing, and write timeline.csv."""
    rows: List[Dict[str, str]] = []
    for pacing, window in PACINGS.items():
        found = stretches(sampled(window))
        rows += [dict({'pacing': pacing}, **row) for row in found]
        print('  %d processes, %s with %d: %d stretches' % (SIZE, pacing, WINDOW, len(found)))
    write(options.results, 'timeline', rows)
