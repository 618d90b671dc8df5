"""What moves the slots of a restart on, one at a time."""

import functools
import traceback
from typing import Any, Callable, List, Optional, Tuple

from supervisor.states import ProcessStates

from supervisor_restarter.restart.agenda import Agenda
from supervisor_restarter.restart.faults import Faults
from supervisor_restarter.restart.hands import Hands
from supervisor_restarter.restart.outcome import Outcome
from supervisor_restarter.restart.roster import Roster
from supervisor_restarter.restart.slot import SEEN_DOWN, Phase, Slot, Standing
from supervisor_restarter.restart.times import Times

GIVEN_UP = (Phase.FAILED, Phase.REMOVED)
CHANGING = (ProcessStates.STARTING, ProcessStates.STOPPING)

# How many are spawned one right after the other: about as many as a pass has time for.
BATCH = 32


class Steps:
    """Looks at a slot, spawns what is down in it, gives it its turn.

    What goes wrong with one process, whatever it is, must not keep the others down: it becomes a
    fault of that process.
    """

    def __init__(self, roster: Roster, verdict: Outcome, times: Times, agenda: Agenda,
                 hands: Hands, clock: Any):
        self.roster = roster
        self.verdict = verdict
        self.times = times
        self.agenda = agenda
        self.hands = hands
        self.clock = clock

    def look_at(self, slot: Slot) -> None:
        """See where a slot stands, and note what follows."""
        self._guard(self._look_at, slot)

    def begin(self, until: float) -> None:
        """Begin with the slots that need not wait for a turn, until a monotonic time."""
        while self.roster.at_once:
            self._guard(self._begin, self.roster.at_once.pop())
            if self.clock.monotonic() > until:
                break

    def spawn(self, until: float) -> None:
        """Spawn what is down, until a monotonic time."""
        in_time = True
        while self.roster.down and in_time:
            batch = self.roster.down.take(BATCH)
            for slot in batch:
                # Since the last look, in an earlier slice, somebody may have started or removed it.
                self.look_at(slot)
            in_time = self._spawn_batch([slot for slot in batch if slot in self.roster.down], until)

    def take_turn(self, slot: Slot, way: Any) -> None:
        """Begin to replace the process of a slot in one of the `ways`, if it still waits."""
        self._guard(functools.partial(self._take_turn, way), slot)

    def move(self, slot: Slot, phase: str) -> None:
        """Let a slot be in another phase."""
        self.times.moved = self.clock.monotonic()
        self.agenda.forget(slot.name)
        self.roster.put(slot, phase, self.times.moved)
        if phase not in (Phase.STOPPING, Phase.STARTING):
            slot.close_watch()
        if phase not in (Phase.STOPPING, Phase.STARTING, Phase.RESTARTED):
            slot.close_words()

    def _look_at(self, slot: Slot) -> None:
        if slot.phase in GIVEN_UP and slot.beside is None:
            return
        if slot.logs is not None:
            slot.logs.look()
        for process in (slot.process, slot.beside):
            if process is not None and process.get_state() in CHANGING:
                process.transition()
        if slot.phase not in GIVEN_UP:
            if not self.hands.has(slot):
                self.move(slot, Phase.REMOVED)
            else:
                self._judge(slot)
        if slot.beside is not None and slot.phase != Phase.STARTING:
            self._let_go(slot)
        if slot.state == ProcessStates.RUNNING:
            self.roster.not_up_yet.discard(slot.name)
        if (slot.phase == Phase.STOPPING and slot.beside is None
                and slot.may_be_spawned(self.clock.time())):
            standing = slot.way.down(slot, self.hands)
            if standing is None:
                self.roster.down.put(slot)
            else:
                self.move(slot, standing.phase)
        elif slot.active or slot.name in self.roster.not_up_yet:
            self._expect(slot)
        self.roster.turns.note(slot, self.clock.monotonic())

    def _judge(self, slot: Slot) -> None:
        standing = slot.way.standing(slot, self.clock.time())
        if slot.declaration is not None and standing.phase in (Phase.STARTING, Phase.RESTARTED):
            if slot.newest.pid and slot.newest.pid != slot.watched:
                self.hands.watch_again(slot)
            if slot.watch is not None:
                slot.watch.look()
            standing = slot.way.standing(slot, self.clock.time())
        if standing.code is not None:
            self._fail(slot, standing)
        elif standing.phase != slot.phase:
            self.move(slot, standing.phase)
            slot.way.moved(slot, self.hands)
        elif slot.phase == Phase.RESTARTED:
            slot.close_watch()  # of one that somebody else has spawned since
        now = self.clock.monotonic()
        if slot.is_awaited and now >= self.times.deadline_of(slot):
            self._fail(slot, Standing(Phase.FAILED, Faults.NOT_READY, 'after %.3g seconds: %s' % (
                now - self.times.began_for(slot), slot.watch.seen)))

    def _let_go(self, slot: Slot) -> None:
        standing = self.hands.let_go(slot)
        if slot.phase == Phase.STOPPING:
            if standing is not None:
                self._fail(slot, standing)
            elif slot.beside is None:
                self._judge(slot)

    def _spawn_batch(self, batch: List[Slot], until: float) -> bool:
        """Spawn slots, until a monotonic time; return whether there is time for more."""
        # Until a child has called exec, each page of memory that supervisord writes to is copied
        # first. Python writes to whatever it uses; so between two forks it uses little.
        spawned: List[Tuple[Slot, Optional[Standing]]] = []
        in_time = True
        with self.hands.spawning():
            for slot in batch:
                began = self.clock.monotonic()
                self._guard(lambda slot: spawned.append((slot, self.hands.spawn_anew(slot))), slot)
                now = self.clock.monotonic()
                in_time = now + (now - began) <= until
                if not in_time:
                    break
        for slot, standing in spawned:
            self._guard(functools.partial(
                self._stand, standing=standing or Standing(Phase.STARTING)), slot)
        return in_time

    def _begin(self, slot: Slot) -> None:
        self._stand(slot, slot.way.begin(slot, self.hands))

    def _take_turn(self, way: Any, slot: Slot) -> None:
        self._look_at(slot)
        if slot.phase == Phase.WAITING:
            slot.way = way
            self._stand(slot, way.begin(slot, self.hands))

    def _stand(self, slot: Slot, standing: Standing) -> None:
        if standing.code is not None:
            self._fail(slot, standing)
        else:
            self.move(slot, standing.phase)
        self._look_at(slot)

    def _expect(self, slot: Slot) -> None:
        now, wall = self.clock.monotonic(), self.clock.time()
        processes = [process for process in (slot.process, slot.beside)
                     if process is not None and process.get_state() != ProcessStates.RUNNING]
        # supervisor/process.py: transition asks for more than startsecs, hence the millisecond.
        times = [now + 0.001 + max(0.0, seconds_to_change(process, wall)) for process in processes]
        if slot.logs is not None:
            times.append(now + slot.logs.due())
        if slot.is_awaited:
            times += [now + slot.watch.due(), self.times.deadline_of(slot)]
        elif slot.phase == Phase.STARTING and times and not self.times.pacing.one_up_lets_one_down:
            self.agenda.expect_last(slot.name, times[0])
            return
        if times:
            self.agenda.expect(slot.name, min(times))

    def _fail(self, slot: Slot, standing: Standing) -> None:
        explanation = standing.explanation
        if standing.code in (Faults.START_FAILED, Faults.NOT_READY) and slot.last_words():
            explanation += '; it said last: ' + slot.last_words()
        fault = self.verdict.fail(slot.name, standing.code, explanation)
        self.move(slot, Phase.FAILED)
        if slot.beside is not None:
            self.agenda.changed(slot.name)
        self.hands.log('warn', '%s: %s' % (slot.name, fault.text))

    def _guard(self, action: Callable[[Slot], None], slot: Slot) -> None:
        try:
            action(slot)
        except Exception as why:
            self.hands.log('critical', '%s: %s' % (slot.name, traceback.format_exc()))
            if slot.phase != Phase.FAILED:
                self._fail(slot, Standing(Phase.FAILED, Faults.FAILED,
                                          '%s: %s' % (type(why).__name__, why)))


def seconds_to_change(process: Any, now: float) -> float:
    """Return the seconds until time alone changes what is to be done with a process.

    `now` is Supervisor's time, `time.time()`. Ask after `transition()`, which corrects the times
    of a process when the system clock was set back (supervisor/process.py:
    _check_and_adjust_for_system_clock_rollback).
    """
    if process.get_state() == ProcessStates.STARTING:
        return process.laststart + process.config.startsecs - now
    if process.get_state() == ProcessStates.STOPPING:
        return process.delay - now
    return SEEN_DOWN / 2
