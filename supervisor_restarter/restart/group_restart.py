"""One restart of one group: which slots go on in a pass, and when the next pass is due."""

import bisect
import math
import time
from typing import Any, Dict, List, Optional, Set, Tuple

from supervisor.states import ProcessStates, SupervisorStates

from supervisor_restarter.daemon.states import comes_up, next_change
from supervisor_restarter.restart.faults import Faults
from supervisor_restarter.restart.pacing import Times, Turns, pacing_for
from supervisor_restarter.restart.plan import Action, Plan, to_restart
from supervisor_restarter.restart.processes import Orphans, Processes
from supervisor_restarter.restart.report import Report
from supervisor_restarter.restart.settings import Settings
from supervisor_restarter.restart.slot import Phase, Slot, name_of_slot
from supervisor_restarter.restart.slot_restart import SPAWN, SlotRestart

# How long the work of one pass may hold supervisord's main loop, in seconds.
SLICE = 0.04

# How long a call may look at processes before the restart begins, in seconds.
AT_CALL = 0.02

# How long a story is left alone where nothing tells of a change, in seconds. supervisord looks at
# each process once a second too (supervisor/supervisord.py: runforever).
LOOK_EVERY = 1.0


class GroupRestart:
    """Gives each slot of a group a new process, and leaves none down that it took down.

        restart = GroupRestart(supervisord, group, settings)
        while not restart.finished:
            restart.advance()
        assert restart.outcome is True

    `advance` is one pass: it lets the stories of the slots go on (see `SlotRestart`), and never
    waits. A story goes on when its process has changed, when its time has come, when it is its
    turn, and when its process may be spawned. With TIMEOUT the `outcome` comes before the restart
    has finished.

    `clock` gives `monotonic()` and, for Supervisor's own times, `time()`, as the module time does.
    `readiness` says what a program declares of its readiness, and sees it; without it, RUNNING is
    up. Raises CannotRestart before anything is done.
    """

    def __init__(self, supervisord: Any, group: Any, settings: Settings, clock: Any = time,
                 readiness: Any = None, plan: Optional[Plan] = None):
        self.supervisord = supervisord
        self.group = group
        self.name: str = group.config.name
        self.settings = settings
        self.clock = clock
        self.plan = plan or to_restart(group)
        self._agenda = _Agenda(clock)
        self._processes = Processes(supervisord, group, self.plan, readiness, settings.delay,
                                    self._agenda.changed.add)
        slots = {slot.name: slot for slot in self._processes.slots()}
        self._times = Times(settings, slots.values(), clock)
        self.report = Report(self.name, slots, self._times.began, self._processes.log)
        self._stories = {name: SlotRestart(slot, self._processes, self.report, self._times)
                         for name, slot in slots.items()}
        if settings.max_surge:
            # Of many processes only the first ones are looked at; the others at their turn.
            until = clock.monotonic() + AT_CALL
            for name, story in self._stories.items():
                if slots[name].may_surge:
                    story.hand_over.check(slots, clock.monotonic() < until)
        pacing = pacing_for(settings, self.plan.size)
        self.way = str(pacing)  # in words
        self._turns = Turns(pacing, slots.values(), self._times, self.report)
        self._down: List[Tuple[int, str]] = []  # the ranks of the slots that may be spawned
        self._active: Dict[str, Slot] = {}
        self._kept = {planned.name for planned in self.plan.having(Action.KEEP) if planned.runs}
        # What is down already is started, or counted as down, before anything is stopped.
        self._agenda.changed.update(self._kept, slots)
        self._orphans = Orphans(readiness, self.report, clock)
        what = ('restarting %d processes' % len(slots) if self.plan.config is None
                else 'updating: %s' % str(plan))
        self._processes.log('info', '%s, %s' % (what, self.way))

    # what others ask

    @property
    def outcome(self) -> Any:
        """What the caller gets; None until that is known."""
        return self.report.outcome

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to do."""
        return self.report.ended is not None

    def due(self) -> float:
        """Return the seconds until the next pass has something to do; 0 for at once."""
        if self._down or self._turns.next():
            return 0.0
        deadline = math.inf if self.outcome else self._turns.deadline(self._active.values())
        seconds = min(self._agenda.due(len(self._active)), deadline) - self.clock.monotonic()
        orphans = math.inf if self._active else self._orphans.due()
        if not self._active and not self._turns.go_on and orphans == math.inf:
            return 0.0  # it can end: it has settled, or there was nothing to do
        return max(0.0, min(seconds, self._turns.next_in(), orphans))

    def info(self) -> Dict[str, Any]:
        """Return the struct of `getRestartInfo`."""
        return self.report.info(self.clock.monotonic(), self._active.values(), (
            self._stories[name].view.awaited() for name in self._active))

    def slots(self) -> List[Dict[str, Any]]:
        """Return the array `slots` of that struct."""
        return self.report.history()

    # what others tell

    def changed(self, name: str, running: bool, starting: bool = False) -> None:
        """Note that a process has changed its state; `running`, `starting`: it is that now."""
        name = name if name in self._stories or name in self._kept else name_of_slot(name)
        if name in self._kept:
            self._agenda.changed.add(name)
        elif name not in self._stories or starting:
            pass  # a story knows whom it has spawned, and waits for nobody who is spawned
        elif running and self._is_patient(self.report.slots[name]):
            self._agenda.note_up(name)
        else:
            self._agenda.changed.add(name)

    def cancel(self) -> None:
        """Begin nothing more, and only bring up what is down; the caller gets CANCELLED."""
        self._settle(Faults.CANCELLED, 'cancelled, %s' % self.report.pending())

    def give_up(self, explanation: str, code: int = Faults.FAILED) -> None:
        """End the restart where it stands; the caller gets a fault about the whole group."""
        self.report.break_off(code, explanation)
        self._end()

    def group_removed(self) -> None:
        """End the restart: its group is no longer there, or supervisord is stopping."""
        if self.finished:
            return
        if self.supervisord.options.mood < SupervisorStates.RUNNING:
            self.give_up('supervisord is stopping', Faults.SHUTDOWN_STATE)
        else:
            self.give_up('removed during its restart', Faults.BAD_GROUP)

    def advance(self, seconds: float = SLICE) -> None:
        """Make one pass, of about `seconds` at most; `due` tells when the next one is."""
        if self.finished:
            return
        if (self.supervisord.options.mood < SupervisorStates.RUNNING
                or self.supervisord.process_groups.get(self.name) is not self.group):
            self.group_removed()
        else:
            until = self.clock.monotonic() + seconds
            all_seen = self._look(until)
            self._spawn(until)
            self._check_time()
            if all_seen:  # else a process may be down that is not counted yet
                self._give_turns(until)
                self._conclude()

    # the steps of a pass

    def _look(self, until: float) -> bool:
        """Return whether there was time to look at all that have changed."""
        all_seen = True
        for name in sorted(self._agenda.take()):
            if name in self._kept:
                self._look_at_kept(name)
            elif self.clock.monotonic() < until:
                self._go_on(self.report.slots[name])
            else:
                self._agenda.changed.add(name)  # in the next pass, which is due at once
                all_seen = False
        return all_seen

    def _spawn(self, until: float) -> None:
        now = began = self.clock.monotonic()
        while self._down and now + (now - began) <= until:
            began = now
            slot = self.report.slots[self._down.pop(0)[1]]
            if self._stories[slot.name].waits_for == SPAWN:
                self._go_on(slot, SPAWN)
            now = self.clock.monotonic()

    def _check_time(self) -> None:
        if self.outcome is not None or self.clock.monotonic() < self._turns.deadline(
                self._active.values()):
            return
        for slot in [slot for slot in self._active.values() if slot.is_awaited]:
            self._go_on(slot)  # these have a fault of their own: NOT_READY
        deadline = self._turns.deadline(self._active.values())
        if self.clock.monotonic() < deadline:
            return
        self._settle(Faults.TIMEOUT, 'after %.6g seconds %s' % (
            self._turns.time_until(deadline), self.report.pending()))
        self.report.give_answer()

    def _give_turns(self, until: float) -> None:
        turn = self._turns.next()
        while turn:
            self._go_on(self._turns.take(), turn)
            turn = self._turns.next() if self.clock.monotonic() < until else ''

    def _conclude(self) -> None:
        report = self.report
        if self.finished:
            return
        if not report.settles and self._turns.pacing.used_up(report.failed):
            left = report.left_as_they_were()
            if left:
                self._settle(Faults.STOPPED_EARLY, '%d failed, %d of %d processes left as they were'
                             % (len(report.faults), left, len(report.slots)))
        if self._active or self._turns.go_on:
            return
        for slot in report.slots.values():
            if slot.phase == Phase.RESTARTED:
                self._go_on(slot)
        if not self._active and not self._orphans.are_awaited(
                report.slots.values(), self._times.whole if self.outcome is None else math.inf):
            self._end()

    # how it ends

    def _settle(self, code: int, explanation: str) -> None:
        if not self.report.settles:
            self.report.settle(code, explanation)
            self._agenda.changed.update(
                name for name, slot in self._active.items() if slot.successor)

    def _end(self) -> None:
        self.report.give_answer()
        self.report.ended = self.clock.monotonic()
        self._processes.end()
        for slot in self.report.slots.values():
            slot.close()
        self._processes.log('info', self.report.summary(
            'restarted' if self.plan.config is None else 'updated'))

    # what follows from the stories

    def _go_on(self, slot: Slot, turn: str = '') -> None:
        """Let the story of a slot go on until it waits again, and note where it stands then."""
        if self.finished:
            return  # somebody has removed the group in the midst of this pass
        story, name = self._stories[slot.name], slot.name
        story.go_on(turn)
        active = slot.active
        not_up = (slot.phase == Phase.WAITING and not active and not slot.is_removed
                  and slot.state != ProcessStates.RUNNING)
        if not (active or not_up or name in self._active or name in self._turns.not_up):
            return  # it waits for its turn as before, or is done
        self._turns.note(slot, not_up)
        if active:
            self._active[name] = slot
        else:
            self._active.pop(name, None)
        if story.waits_for == SPAWN:
            bisect.insort(self._down, slot.rank)
        elif active or not_up:
            self._agenda.expect(name, story.view.next_look(), patient=(
                slot.phase == Phase.STARTING and self._is_patient(slot)))
            return
        self._agenda.forget(name)

    def _look_at_kept(self, name: str) -> None:
        process = self.group.processes.get(name)
        comes = process is not None and comes_up(process)
        self._turns.note_coming(name, comes)
        if comes:
            self._agenda.expect(name, next_change(process, self.clock))
        else:
            self._agenda.forget(name)

    def _is_patient(self, slot: Slot) -> bool:
        """Whether nothing waits for this process to come up, but the end of the restart."""
        return slot.is_patient and not (
            self._turns.pacing.is_rolling or self.settings.min_ready_seconds)


class _Agenda:
    """Which stories go on in the next pass, and when that pass is due, in monotonic seconds.

    Stories that have `changed` go on at once, the others when their time has come. Of the patient
    ones only the last time counts: so where many come up one by one, there is no pass for each.
    """

    def __init__(self, clock: Any):
        self.clock = clock
        self.changed: Set[str] = set()
        self._up: Set[str] = set()
        self._looks: Dict[str, float] = {}
        self._patient: Dict[str, float] = {}

    def note_up(self, name: str) -> None:
        """Let a patient story, whose process is up now, go on when all that are active are up."""
        self.forget(name)
        self._up.add(name)

    def expect(self, name: str, when: float, patient: bool = False) -> None:
        """Let a story go on at a time, at the latest with all others at the next full second."""
        times, others = ((self._patient, self._looks) if patient else
                         (self._looks, self._patient))
        now = self.clock.monotonic()
        times[name] = min(when, now + LOOK_EVERY - now % LOOK_EVERY)
        others.pop(name, None)

    def forget(self, name: str) -> None:
        """Expect nothing of a story by time alone."""
        self._looks.pop(name, None)
        self._patient.pop(name, None)

    def due(self, active: int) -> float:
        """Return when the next pass is due, while so many are active; a time that is past means
        at once.
        """
        if self.changed or (self._up and len(self._up) >= active):
            return -math.inf
        return min(min(self._looks.values(), default=math.inf),
                   max(self._patient.values(), default=math.inf))

    def take(self) -> Set[str]:
        """Return which ones go on now."""
        now = self.clock.monotonic()
        names = self.changed | self._up
        self.changed.clear()
        self._up.clear()
        for times, next_time in ((self._looks, min), (self._patient, max)):
            if times and next_time(times.values()) <= now:
                names.update([name for name, when in times.items() if when <= now])
        return names
