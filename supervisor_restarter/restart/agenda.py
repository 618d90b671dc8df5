"""Whom the next pass of a restart looks at, and when that pass is due."""

import heapq
import math
from typing import Dict, List, Set, Tuple


class Agenda:
    """The processes that have changed, and those that time alone will change.

    So a pass need not look at every process each time; it looks at all when the option `delay` has
    passed since it did so last. Times are monotonic seconds.
    """

    def __init__(self, delay: float):
        self._delay = delay
        self._looked_at_all = -math.inf
        self._changed: Set[str] = set()
        self._when: Dict[str, float] = {}
        self._times: List[Tuple[float, str]] = []  # a heap of these, and of some that are forgotten
        self._last = math.inf

    def changed(self, name: str) -> None:
        """Look at a process in the next pass."""
        self._changed.add(name)

    def expect(self, name: str, when: float) -> None:
        """Look at a process at a time, unless that is said for an earlier one."""
        if when < self._when.get(name, math.inf):
            self._when[name] = when
            heapq.heappush(self._times, (when, name))

    def forget(self, name: str) -> None:
        """Expect nothing of a process any more."""
        self._when.pop(name, None)

    def expect_last(self, when: float) -> None:
        """Look at all processes at a time, or later if that is said for a later one."""
        self._last = when if self._last == math.inf else max(when, self._last)

    def due(self) -> float:
        """Return the time of the next pass; one that is past means at once."""
        if self._changed:
            return -math.inf
        return min(self._looked_at_all + self._delay, self._first(), self._last)

    def take(self, now: float, everything: bool, busy: bool) -> Tuple[Set[str], bool]:
        """Return whom to look at now, and whether at all the others too.

        Those are then off the agenda. With `everything` it is all of them in any case; while the
        restart is `busy`, only the ones whose turn it is.
        """
        names, self._changed = self._changed, set()
        while self._first() <= now:
            name = heapq.heappop(self._times)[1]
            self.forget(name)
            names.add(name)
        if self._last <= now:
            self._last = math.inf
            everything = True
        if everything or (not busy and self._looked_at_all + self._delay <= now):
            everything = True
            self._looked_at_all = now
        return names, everything

    def _first(self) -> float:
        while self._times and self._when.get(self._times[0][1]) != self._times[0][0]:
            heapq.heappop(self._times)
        return self._times[0][0] if self._times else math.inf
