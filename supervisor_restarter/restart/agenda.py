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
        self._up: Set[str] = set()
        self._each = _Times(first=True)
        self._all = _Times(first=False)

    def changed(self, name: str) -> None:
        """Look at a process in the next pass, which is due at once."""
        self._changed.add(name)

    def came_up(self, name: str) -> None:
        """Look at a process in the next pass, which is due when nothing else is expected.

        So where many come up one by one, there is no pass for each of them.
        """
        self.forget(name)
        self._up.add(name)

    def expect(self, name: str, when: float) -> None:
        """Look at a process at a time, unless that is said for an earlier one."""
        self._each.put(name, when)

    def expect_last(self, name: str, when: float) -> None:
        """Look at a process at a time, or when that of all for which this is said has come."""
        self._all.put(name, when)

    def forget(self, name: str) -> None:
        """Expect nothing of a process any more."""
        self._up.discard(name)
        self._each.drop(name)
        self._all.drop(name)

    def due(self) -> float:
        """Return the time of the next pass; one that is past means at once."""
        if self._changed or (self._up and not self._each and not self._all):
            return -math.inf
        return min(self._looked_at_all + self._delay, self._each.next(), self._all.next())

    def take(self, now: float, everything: bool, busy: bool) -> Tuple[Set[str], bool]:
        """Return whom to look at now, and whether at all the others too.

        Those are then off the agenda. With `everything` it is all of them in any case; while the
        restart is `busy`, only the ones whose turn it is.
        """
        names = self._changed | self._up
        self._changed, self._up = set(), set()
        for times in (self._each, self._all):
            while times.next() <= now:
                names.add(times.pop())
        if everything or (not busy and self._looked_at_all + self._delay <= now):
            everything = True
            self._looked_at_all = now
        return names, everything


class _Times:
    """Names with a time for each; `next` is the first of the times, or else the last."""

    def __init__(self, first: bool):
        self._sign = 1 if first else -1
        self._when: Dict[str, float] = {}
        self._heap: List[Tuple[float, str]] = []  # and some that are dropped

    def __bool__(self) -> bool:
        return bool(self._when)

    def put(self, name: str, when: float) -> None:
        # Often the same time is said again, give or take what the clocks do: so the heap is small.
        if when < self._when.get(name, math.inf):
            self._when[name] = when
            heapq.heappush(self._heap, (self._sign * when, name))

    def drop(self, name: str) -> None:
        self._when.pop(name, None)

    def next(self) -> float:
        while self._heap and self._when.get(self._heap[0][1]) != self._sign * self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._sign * self._heap[0][0] if self._heap else math.inf

    def pop(self) -> str:
        """Drop one whose time `next` is, and return its name."""
        name = heapq.heappop(self._heap)[1]
        self.drop(name)
        return name
