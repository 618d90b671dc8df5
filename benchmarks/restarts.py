"""How long every contender takes to restart a group, and what that costs its daemon."""

import contextlib
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from benchmarks.contenders import GROUP, LIMIT, Contender, NotRestarted, Supervised
from benchmarks.others import Circus, Pm2
from benchmarks.results import Options, Sample, read, summary, write

SIZES = (1, 10, 100, 1000)
ROW = ('  %(contender)-26s N=%(processes)-5d startsecs=%(startsecs)d %(seconds_median)10s s '
       '(%(seconds_lowest)s to %(seconds_highest)s)  CPU %(cpu_median)s s  %(repetitions)d times')
FAILURES = (AssertionError, NotRestarted, OSError)


class Plan(NamedTuple):
    """What to measure. `share` are the seconds for one contender with one group."""

    sizes: Tuple[int, ...]
    repetitions: int
    share: float
    wanted: Tuple[str, ...] = ('',)  # contenders whose name begins like one of these

    def has(self, row: Dict[str, Any]) -> bool:
        """Whether a row of restarts.csv, or of left-out.csv, is one that is to be measured."""
        # What is left out as a whole has no size.
        return row['contender'].startswith(self.wanted) and int(row['processes']) in (
            0, *self.sizes)


def measure(options: Options) -> None:
    """Compare with the plan that the options come to."""
    compare(Plan(tuple(sorted(options.sizes or (SIZES[:2] if options.quick else SIZES))),
                 options.repetitions or (3 if options.quick else 12),
                 2.0 if options.quick else 9.0, options.only), options.pm2, options.results)


def compare(plan: Plan, pm2: Optional[Path], folder: Path) -> None:
    """Measure the contenders in turn, and write restarts.csv and left-out.csv.

    What these have of other sizes and contenders stays.
    """
    rows: List[Dict[str, Any]] = [row for row in read(folder, 'restarts') if not plan.has(row)]
    left_out: List[Dict[str, Any]] = [row for row in read(folder, 'left-out') if not plan.has(row)]
    if pm2 is None:
        Round(plan, 0, 0, rows, left_out).leave_out(
            'pm2', 'needs Node.js and npm, and a registry for npm')
    for size in plan.sizes:
        for startsecs in (0, 1):
            turn = Round(plan, size, startsecs, rows, left_out)
            daemons = [Supervised(size, startsecs)]
            if not startsecs:
                daemons += [Circus(size)] + ([Pm2(size, pm2)] if pm2 else [])
            with contextlib.ExitStack() as stack:
                contenders = [one for daemon in daemons for one in turn.enter(stack, daemon)]
                for name, samples in turn.measure(contenders).items():
                    rows.append(summary(name, size, startsecs, samples))
                    print(ROW % rows[-1], flush=True)
                write(folder, 'restarts', sorted(rows, key=_size))
                write(folder, 'left-out', left_out)


class Round(NamedTuple):
    """The restarts of groups of one size, with one value of startsecs; `rows` has the others."""

    plan: Plan
    size: int
    startsecs: int
    rows: List[Dict[str, Any]]
    left_out: List[Dict[str, Any]]

    def enter(self, stack: contextlib.ExitStack, daemon: Any) -> List[Contender]:
        """Start a daemon unless none of its contenders is to be measured; return those that are."""
        chosen = [one for one in daemon.contenders() if self._is_measured(one.name)]
        if not chosen:
            daemon.__exit__(None, None, None)
            return []
        try:
            stack.enter_context(daemon)
        except FAILURES as why:
            for contender in chosen:
                self.leave_out(contender.name, str(why))
            return []
        return chosen

    def _is_measured(self, name: str) -> bool:
        if not name.startswith(self.plan.wanted):
            return False
        smaller = [row for row in self.rows if _size(row) < self.size and (
            row['contender'], int(row['startsecs'])) == (name, self.startsecs)]
        if smaller:
            last = max(smaller, key=_size)
            seconds = float(last['seconds_median'])
            if seconds * self.size / _size(last) > LIMIT and seconds > self.startsecs + 2:
                self.leave_out(name, '%.1f seconds with %d processes' % (seconds, _size(last)))
                return False
        elif self.size > min(self.plan.sizes):
            self.leave_out(name, 'left out with fewer processes')
            return False
        return True

    def measure(self, contenders: List[Contender]) -> Dict[str, List[Sample]]:
        """Let each restart once a round; the first round warms up, where it is a short one."""
        samples: Dict[str, List[Sample]] = {contender.name: [] for contender in contenders}
        spent = dict.fromkeys(samples, 0.0)
        for turn in range(self.plan.repetitions + 1):
            for contender in contenders:
                taken = samples.get(contender.name)
                if taken is None or (taken and spent[contender.name] > self.plan.share):
                    continue
                try:
                    sample = contender.measure()
                except FAILURES as why:
                    del samples[contender.name]
                    self.leave_out(contender.name, str(why))
                    _bring_up(contender.daemon)
                    continue
                spent[contender.name] += sample.seconds
                if turn or sample.seconds > self.plan.share / 2:
                    taken.append(sample)
        return {name: taken for name, taken in samples.items() if taken}

    def leave_out(self, name: str, why: str) -> None:
        """Say why a contender is left out, and note it for left-out.csv; size 0: everywhere."""
        self.left_out.append({'contender': name, 'processes': self.size,
                              'startsecs': self.startsecs, 'why': why})
        where = (' with %d processes, startsecs=%d' % (self.size, self.startsecs)
                 if self.size else '')
        print('  %s is left out%s: %s' % (name, where, why), flush=True)


def _bring_up(daemon: Any) -> None:
    """After a failed restart, bring up what it left down, for the next contender."""
    if isinstance(daemon, Supervised):
        daemon.rpc.supervisor.startProcessGroup(GROUP, False)
        daemon.wait_running(GROUP, LIMIT)


def _size(row: Dict[str, Any]) -> int:
    return int(row['processes'])
