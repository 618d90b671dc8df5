"""Measure everything: `python -m benchmarks --help`."""

import argparse
import contextlib
import math
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from benchmarks import costs, engine, floor, latency, requests_under_restart, surge, timeline
from benchmarks.contenders import LIMIT, Contender, NotRestarted, Supervised
from benchmarks.others import Circus, Pm2, find_pm2
from benchmarks.results import RESULTS, Sample, allowed, machine, read, spread, summary, write

SIZES = (1, 10, 100, 1000)
PARTS = ('restarts', 'floor', 'surge', 'requests', 'engine', 'latency', 'costs', 'timeline')


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


def main() -> int:
    """Run the benchmark, and return its exit status."""
    options = _options()
    quick = options.quick
    began = time.monotonic()
    pm2 = find_pm2(install=bool({'restarts', 'requests'} & set(options.parts)))
    write(options.results, 'machine', machine(pm2))
    steps: Dict[str, Callable[[], None]] = {
        'floor': lambda: floor.report(floor.measure(quick), options.results),
        'surge': lambda: surge.report(surge.measure(quick), options.results, 'surge'),
        'requests': lambda: requests_under_restart.report(
            requests_under_restart.SIZES, 1 if quick else 5, 6, options.results),
        'engine': lambda: engine.report(engine.SIZES[:2] if quick else engine.SIZES,
                                        options.results),
        'latency': lambda: latency.report(100 if quick else 1000, options.results),
        'costs': lambda: costs.report(options.results),
        'timeline': lambda: timeline.report(options.results),
        'restarts': lambda: restarts(_plan(options), pm2, options.results),
    }
    for part in PARTS:
        if part in options.parts:
            print('\n== %s' % part, flush=True)
            steps[part]()
    print('\n%d seconds; the results are in %s' % (time.monotonic() - began, options.results))
    return 0


def restarts(plan: Plan, pm2: Any, folder: Path) -> None:
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
    _print_targets(read(folder, 'restarts'))


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


def _print_targets(rows: List[Dict[str, str]]) -> None:
    """Print what the plugin takes beside what it may take."""
    table = {(r['contender'], int(r['processes']), int(r['startsecs'])): r for r in rows}
    print('\n  %-58s %9s %9s' % ('what', 'allowed', 'seen'))
    for (name, size, startsecs), row in table.items():
        bases = {'plugin': 'floor', 'plugin, command': 'supervisorctl restart'}
        base = table.get((bases.get(name, ''), size, startsecs))
        if base is None:
            continue
        seen, other = float(row['seconds_median']), float(base['seconds_median'])
        if name == 'plugin':
            _print_target('plugin over the floor, N=%d, startsecs=%d (s)' % (size, startsecs),
                          allowed(other), seen)
            _print_target('CPU over that of the floor, N=%d, startsecs=%d (s)' % (size, startsecs),
                          1.1 * float(base['cpu_median']) if size == 1000 else math.inf,
                          float(row['cpu_median']))
        elif not startsecs:
            _print_target('command against supervisorctl restart, N=%d (s)' % size,
                          other / 8 if size in (1, 10) else math.inf, seen)
            circus = table.get(('circus restart', size, 0))
            if circus and size <= 100:
                _print_target('command against circus restart, N=%d (s)' % size,
                              float(circus['seconds_median']), seen)


def _print_target(what: str, most: float, seen: float) -> None:
    shown = '-' if most == math.inf else '%.3f' % most
    print('  %-58s %9s %9.3f  %s' % (what, shown, seen, 'met' if seen <= most else 'MISSED'))


def _plan(options: argparse.Namespace) -> Plan:
    sizes = options.sizes or ([1, 10] if options.quick else SIZES)
    repetitions = options.repetitions or (3 if options.quick else 12)
    return Plan(tuple(sorted(sizes)), repetitions, 2.0 if options.quick else 9.0,
                tuple(options.contenders or ()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m benchmarks', description=__doc__)
    parser.add_argument('--quick', action='store_true', help='few repetitions and small groups')
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS),
                        help='what to measure (default: everything)')
    parser.add_argument('--contenders', nargs='+', metavar='NAME',
                        help='only those whose names begin like this; see restarts.csv')
    parser.add_argument('--sizes', nargs='+', type=_count, metavar='N', help='processes in a group')
    parser.add_argument('--repetitions', type=_count, metavar='N',
                        help='at most so many restarts by each, after one to warm up')
    parser.add_argument('--results', type=Path, metavar='FOLDER', default=RESULTS,
                        help='where the CSV files go (default: %(default)s)')
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError('%s: must be a whole number, 1 or greater' % text)
    return int(text)


if __name__ == '__main__':
    sys.exit(main())
