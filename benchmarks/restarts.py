"""How long every contender takes to restart a group, and what that costs its daemon."""

import contextlib
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from benchmarks.contenders import LIMIT, Contender, NotRestarted, Supervised
from benchmarks.others import Circus, Pm2
from benchmarks.results import Sample, read, spread, summary, write

SIZES = (1, 10, 100, 1000)


class Plan(NamedTuple):
    """What to measure. `share` are the seconds for one contender with one group."""

    sizes: Tuple[int, ...]
    repetitions: int
    share: float
    wanted: Tuple[str, ...]  # contenders whose name begins like one of these; none: all

    def has(self, row: Dict[str, Any]) -> bool:
        """Whether a row of restarts.csv, or of left-out.csv, is one that is to be measured."""
        named = not self.wanted or row['contender'].startswith(self.wanted)
        # What is left out as a whole has no size.
        return named and int(row['processes']) in (0, *self.sizes)


def report(plan: Plan, pm2: Any, folder: Path) -> None:
    """Measure the contenders in turn, and write restarts.csv and left-out.csv.

    What these have of other sizes and contenders stays.
    """
    rows: List[Dict[str, Any]] = [row for row in read(folder, 'restarts') if not plan.has(row)]
    left_out: List[Dict[str, Any]] = [row for row in read(folder, 'left-out') if not plan.has(row)]
    last: Dict[Tuple[str, int], Tuple[int, float]] = {
        (row['contender'], int(row['startsecs'])):
            (int(row['processes']), float(row['seconds_median']))
        for row in sorted(rows, key=_size) if _size(row) < min(plan.sizes)}
    if pm2 is None:
        _leave_out(left_out, 'pm2', 0, 0, 'needs Node.js and npm, and a registry for npm')
    for size in plan.sizes:
        for startsecs in (0, 1):
            with contextlib.ExitStack() as stack:
                contenders: List[Contender] = []
                makers: List[Callable[[], Any]] = [lambda: Supervised(size, startsecs)]  # noqa: B023
                if not startsecs:
                    makers += [lambda: Circus(size)]  # noqa: B023
                    makers += [lambda: Pm2(size, pm2)] if pm2 else []  # noqa: B023
                for make in makers:
                    contenders += _entered(stack, make, plan, size, startsecs, last, left_out)
                for name, samples in _in_turn(contenders, plan, size, startsecs, left_out):
                    rows.append(summary(name, size, startsecs, samples))
                    last[name, startsecs] = size, spread([s.seconds for s in samples]).median
                    _print_row(rows[-1])
                write(folder, 'restarts', sorted(rows, key=_size))
                write(folder, 'left-out', left_out)


def _entered(stack: contextlib.ExitStack, make: Callable[[], Any], plan: Plan, size: int,
             startsecs: int, last: Dict, left_out: List) -> List[Contender]:
    """Start a daemon unless none of its contenders is to be measured; return those that are."""
    daemon = make()
    chosen = []
    for contender in daemon.contenders():
        if plan.wanted and not contender.name.startswith(plan.wanted):
            continue
        smaller, seconds = last.get((contender.name, startsecs), (size, 0.0))
        expected = seconds * size / smaller
        if size > min(plan.sizes) and (contender.name, startsecs) not in last:
            _leave_out(left_out, contender.name, size, startsecs, 'left out with fewer processes')
            continue
        if expected > LIMIT and seconds > startsecs + 2:
            why = '%.1f seconds with %d processes' % (seconds, smaller)
            _leave_out(left_out, contender.name, size, startsecs, why)
            last.pop((contender.name, startsecs))
        else:
            chosen.append(contender)
    if chosen:
        try:
            stack.enter_context(daemon)
        except (AssertionError, NotRestarted, OSError) as why:
            for contender in chosen:
                _leave_out(left_out, contender.name, size, startsecs, str(why))
            chosen = []
    else:
        daemon.__exit__(None, None, None)
    return chosen


def _in_turn(contenders: List[Contender], plan: Plan, size: int, startsecs: int,
             left_out: List) -> List[Tuple[str, List[Sample]]]:
    """Let each restart once a round; the first round warms up, where it is a short one."""
    samples: Dict[str, List[Sample]] = {contender.name: [] for contender in contenders}
    spent = dict.fromkeys(samples, 0.0)
    failed = set()
    for turn in range(plan.repetitions + 1):
        for contender in contenders:
            name = contender.name
            if name in failed or (samples[name] and spent[name] > plan.share):
                continue
            try:
                sample = contender.measure()
            except (NotRestarted, OSError, AssertionError) as why:
                failed.add(name)
                _leave_out(left_out, name, size, startsecs, str(why))
                _bring_up(contender)
                continue
            spent[name] += sample.seconds
            if turn or sample.seconds > plan.share / 2:
                samples[name].append(sample)
    return [(name, taken) for name, taken in samples.items() if taken and name not in failed]


def _bring_up(contender: Contender) -> None:
    """After a failed restart, bring up what it left down, for the next contender."""
    if isinstance(contender.daemon, Supervised):
        daemon = contender.daemon.daemon
        with daemon.connection() as rpc:
            rpc.supervisor.startProcessGroup('web', False)
        daemon.wait_running('web', LIMIT)


def _leave_out(left_out: List, name: str, size: int, startsecs: int, why: str) -> None:
    """Say why a contender is left out, and note it for left-out.csv; size 0: everywhere."""
    left_out.append({'contender': name, 'processes': size, 'startsecs': startsecs, 'why': why})
    where = ' with %d processes, startsecs=%d' % (size, startsecs) if size else ''
    print('  %s is left out%s: %s' % (name, where, why), flush=True)


def _size(row: Dict[str, Any]) -> int:
    return int(row['processes'])


def _print_row(row: Dict[str, Any]) -> None:
    print('  %-26s N=%-5d startsecs=%d %9.3f s (%.3f to %.3f)  CPU %7.3f s  %d times' % (
        row['contender'], row['processes'], row['startsecs'], float(row['seconds_median']),
        float(row['seconds_lowest']), float(row['seconds_highest']), float(row['cpu_median']),
        row['repetitions']), flush=True)
