"""Until when a restart, and each of its slots, has time."""

import math
from typing import Any

from supervisor_restarter.restart.outcome import Outcome
from supervisor_restarter.restart.roster import Roster
from supervisor_restarter.restart.slot import Slot, Window


class Times:
    """The deadlines of a restart, in monotonic seconds.

    `timeout` are the seconds that the whole has, or, in a rolling restart, each turn. `began` is
    when the restart began, `moved` when something happened last.
    """

    def __init__(self, roster: Roster, verdict: Outcome, pacing: Any, timeout: float, clock: Any):
        self.roster = roster
        self.verdict = verdict
        self.pacing = pacing
        self.timeout = timeout
        self.clock = clock
        self.began = self.moved = clock.monotonic()

    def began_for(self, slot: Slot) -> float:
        """Return when the time of a slot began."""
        return slot.began if self.pacing.one_up_lets_one_down else self.began

    def deadline_of(self, slot: Slot) -> float:
        """Return until when a slot has time; one that is awaited may have asked for more."""
        return slot.deadline(self.began_for(slot) + self.timeout)

    def deadline(self) -> float:
        """Return when the restart settles at the latest, and its caller is answered."""
        goes_on = self.roster.waiting and self.verdict.ending is None
        turns = self.roster.turns
        if self.pacing.one_up_lets_one_down:
            # Each has its own turn; where nobody has, the group waits for others to come up.
            if turns.held(Window.DOWN) or turns.held(Window.SURGE):
                return turns.deadline(self.timeout)
            return self.moved + self.timeout if goes_on else math.inf
        whole = self.began + self.timeout
        if self.clock.monotonic() < whole or goes_on:
            return whole
        return min(map(self.deadline_of, turns.active.values()), default=math.inf)
