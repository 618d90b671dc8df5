"""How many at a time, and for how long: which process may go down or be started now, and until when
it has time.
"""

import math
from typing import Any, Dict, Iterable, NamedTuple, Set

from supervisor_restarter.restart.settings import Settings
from supervisor_restarter.restart.slot import Phase, Slot, Window

# Which way the turn of a slot goes: the old process is stopped first, or the new one started first.
STOP_FIRST, START_FIRST = 'stop first', 'start first'

# How long a process may take to be RUNNING beyond its `startsecs`, or to be ready where it declares
# its readiness; and to be gone beyond its `stopwaitsecs`, after which Supervisor kills it. Seconds.
TO_RUN, TO_BE_READY, TO_BE_GONE = 5.0, 60.0, 5.0


class Progress(NamedTuple):
    """How far a restart has come.

    `elapsed` are the seconds since the first pass. Of `total` processes to replace or remove,
    `taken` have had their turn. Of the group, `down` are not up and `failed` have failed, though
    they were up at the call; `surging` are more than the group has. `removing`: the next slot is to
    be removed.
    """

    elapsed: float
    total: int
    taken: int
    down: int
    surging: int
    failed: int
    removing: bool = False


class Staggered:
    """Batches over time: batch k goes down k times `delay` seconds after the first pass.

    The batches are of equal size, and the first ones take the remainder.
    """

    is_rolling = False

    def __init__(self, batches: int, delay: float):
        self.batches = batches
        self.delay = delay

    def __str__(self) -> str:
        if self.batches == 1:
            return 'all at once'
        return 'in %d batches, %g seconds apart' % (self.batches, self.delay)

    def next_turn(self, progress: Progress) -> str:
        """Return which way the next turn goes now; '' where the next one has to wait."""
        begun = self._begun(progress.elapsed)
        size, remainder = divmod(progress.total, self.batches)
        if progress.taken >= begun * size + min(begun, remainder):
            return ''
        return STOP_FIRST

    def next_in(self, elapsed: float) -> float:
        """Return the seconds until the next batch; infinity where time alone allows no more."""
        begun = self._begun(elapsed)
        return math.inf if begun == self.batches else begun * self.delay - elapsed

    def _begun(self, elapsed: float) -> int:
        past = int(min(elapsed / self.delay, self.batches - 1))
        # A quotient can be rounded down where the product, which `next_in` goes by, is not.
        if (past + 1) * self.delay <= elapsed:
            past += 1
        return min(past + 1, self.batches)

    def used_up(self, failed: int) -> bool:
        """Return False: the batches go on, however many have failed."""
        return False


class Rolling:
    """Two windows: how many of the group may be down, and how many more there may be.

    A process is stopped while fewer than `max_unavailable` are not up; a new one is started beside
    its predecessor while there are fewer than `max_surge` more than the group has.
    """

    is_rolling = True

    def __init__(self, max_unavailable: int, max_surge: int = 0):
        self.max_unavailable = max_unavailable
        self.max_surge = max_surge

    def __str__(self) -> str:
        bounds = []
        if self.max_unavailable:
            bounds.append('at most %d down' % self.max_unavailable)
        if self.max_surge:
            bounds.append('at most %d more than the group has' % self.max_surge)
        return 'rolling, ' + ', '.join(bounds)

    def next_turn(self, progress: Progress) -> str:
        """Return which way the next turn goes now; '' where the next one has to wait."""
        if progress.removing:
            # The group is to have fewer processes, so one is removed also where none may be down;
            # but while another is down, or its new process is not up yet, it has to serve.
            room = max(1, self.max_unavailable - progress.failed)
            return STOP_FIRST if progress.down < room else ''
        if progress.down + progress.failed < self.max_unavailable:
            return STOP_FIRST
        if progress.surging + progress.failed < self.max_surge:
            return START_FIRST
        return ''

    def next_in(self, elapsed: float) -> float:
        """Return infinity: only a process that comes up makes room."""
        return math.inf

    def used_up(self, failed: int) -> bool:
        """Whether so many have failed that none may be stopped, or started beside, any more."""
        return any(0 < limit <= failed for limit in (self.max_unavailable, self.max_surge))


def pacing_for(settings: Settings, total: int):
    """Return the pacing that the settings ask for, for a group of `total` processes."""
    if settings.rolling:
        return Rolling(settings.max_unavailable.of(total), settings.max_surge.of(total))
    return Staggered(settings.stagger_factor, settings.delay)


class Turns:
    """Whose turn comes next: the slots that wait for it, and the slots that hold a place.

    `not_up` are the names of processes that wait for their turn, or are kept, and come up by
    themselves. Slots whose process is found down need no turn.
    """

    def __init__(self, pacing: Any, slots: Iterable[Slot], times: 'Times', report: Any):
        self.pacing = pacing
        self.times = times
        self.report = report
        # The next slot stands last. What is removed comes after all others: until then it serves.
        self._waiting = sorted((slot for slot in slots if not slot.found_down),
                               key=lambda slot: (not slot.is_removed, slot.rank))
        self._total = len(self._waiting)
        self.not_up: Set[str] = set()
        self._held: Dict[str, Set[str]] = {Window.DOWN: set(), Window.SURGE: set()}
        self.deadlines: Dict[str, float] = {}  # of the slots that hold a place

    @property
    def go_on(self) -> bool:
        """Whether there are turns to come."""
        return bool(self._waiting) and not self.report.settles

    def next(self) -> str:
        """Return which way the next turn goes now; '' where there is none."""
        while self._waiting and self._waiting[-1].phase != Phase.WAITING:
            self._waiting.pop()
        if not self.go_on:
            return ''
        return self.pacing.next_turn(Progress(
            self.times.clock.monotonic() - self.times.began, self._total,
            self._total - len(self._waiting), len(self._held[Window.DOWN]) + len(self.not_up),
            len(self._held[Window.SURGE]), self.report.failed, self._waiting[-1].is_removed))

    def next_in(self) -> float:
        """Return in how many seconds time alone lets a turn come."""
        elapsed = self.times.clock.monotonic() - self.times.began
        return self.pacing.next_in(elapsed) if self.go_on else math.inf

    def take(self) -> Slot:
        """Return the slot whose turn comes, which waits no more."""
        return self._waiting.pop()

    def note_coming(self, name: str, comes: bool) -> None:
        """Note whether a process without a turn comes up by itself."""
        (self.not_up.add if comes else self.not_up.discard)(name)

    def note(self, slot: Slot, comes: bool) -> None:
        """Note whether a slot holds a place, and until when it may, or comes up by itself."""
        self.note_coming(slot.name, comes)
        if self.pacing.is_rolling:
            windows = slot.windows
            for window, names in self._held.items():
                (names.add if window in windows else names.discard)(slot.name)
            self.deadlines.pop(slot.name, None)
            if windows:
                self.deadlines[slot.name] = self.times.deadline_of(slot)

    def deadline(self, active: Iterable[Slot]) -> float:
        """Return when the restart settles at the latest, and its caller is answered."""
        if self.pacing.is_rolling:
            if self.deadlines or not self.go_on:
                return min(self.deadlines.values(), default=math.inf)
            # Nobody holds a place: the group waits for others to come up.
            return self.times.longest + max(
                (slot.since for slot in self.report.slots.values() if slot.changes),
                default=self.times.began)
        whole = self.times.whole
        if self.times.clock.monotonic() < whole or self.go_on:
            return whole
        return min(map(self.times.deadline_of, active), default=math.inf)

    def time_until(self, deadline: float) -> float:
        """Return how many seconds the slots had whose deadline this is."""
        late = [name for name, when in self.deadlines.items() if when == deadline]
        return deadline - self.times.began_for(self.report.slots[late[0]]) if late else (
            self.times.longest)


class Times:
    """Until when a restart, and each of its slots, has time, in monotonic seconds.

    Where the option `timeout` is set, that is what the whole restart has, or in a rolling restart
    each new process, from its spawn. Else the configurations of the processes say how long.
    `whole` is until when the whole restart has time.
    """

    def __init__(self, settings: Settings, slots: Iterable[Slot], clock: Any):
        self.clock = clock
        self.began: float = clock.monotonic()
        self.min_ready_seconds = settings.min_ready_seconds
        self._timeout = settings.timeout
        self._rolling = bool(settings.rolling)
        self.longest = settings.timeout or max(map(self._derived, slots), default=TO_RUN)
        if settings.timeout is None and not self._rolling:
            self.longest += (settings.stagger_factor - 1) * settings.delay
        self.longest += self.min_ready_seconds
        self.whole = math.inf if self._rolling else self.began + self.longest

    def began_for(self, slot: Slot) -> float:
        """Return when the time of a slot, in the phase in which it is, began."""
        return slot.since if self._rolling else self.began

    def deadline_of(self, slot: Slot) -> float:
        """Return until when a slot has time to leave its phase.

        One that is awaited may have asked for more.
        """
        when = self.whole
        if self._rolling and slot.phase == Phase.STOPPING:
            when = slot.since + slot.leaving.config.stopwaitsecs + TO_BE_GONE
        elif self._rolling and slot.phase == Phase.STARTING:
            when = slot.since + (self._timeout or _to_come_up(slot)) + self.min_ready_seconds
        return max(when, slot.watch.extended_until) if slot.is_awaited else when

    @staticmethod
    def _derived(slot: Slot) -> float:
        return slot.process.config.stopwaitsecs + _to_come_up(slot)


def _to_come_up(slot: Slot) -> float:
    seen = slot.declaration is not None or slot.watch is not None
    return slot.config.startsecs + (TO_BE_READY if seen else TO_RUN)
