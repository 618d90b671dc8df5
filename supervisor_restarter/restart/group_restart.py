"""One restart of one group, a pass at a time."""

import contextlib
import time
from typing import Any, Dict, List, Optional

from supervisor.states import SupervisorStates

from supervisor_restarter.restart.agenda import Agenda
from supervisor_restarter.restart.faults import Faults
from supervisor_restarter.restart.hands import Hands, name_of_slot
from supervisor_restarter.restart.outcome import Outcome
from supervisor_restarter.restart.pacing import Progress, pacing_for
from supervisor_restarter.restart.plan import Plan, to_restart
from supervisor_restarter.restart.roster import Roster, slots_of
from supervisor_restarter.restart.settings import Settings
from supervisor_restarter.restart.slot import PENDING, Phase, Window
from supervisor_restarter.restart.steps import Steps
from supervisor_restarter.restart.times import Times
from supervisor_restarter.restart.ways import StartFirst, Waiting

# How long the work of one pass may hold supervisord's main loop, in seconds.
SLICE = 0.04


class GroupRestart:
    """Gives each slot of a group a new process, and leaves none down that it took down.

        restart = GroupRestart(supervisord, group, settings)
        while not restart.finished:
            restart.advance()
        assert restart.outcome is True

    `advance` is one pass: it looks at the slots, does what can be done now, and never waits.
    `outcome` is None until the caller has an answer: True, a list of faults (as structs), or an
    RPCError to raise. With TIMEOUT the answer comes before the restart has finished.

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
        self._roster = Roster(slots_of(group, self.plan, readiness, settings))
        self._verdict = Outcome(self.name)
        self._pacing = pacing_for(settings, self.plan.size)
        self._agenda = Agenda(settings.delay)
        self._hands = Hands(supervisord, group, self.plan, readiness, settings.delay,
                            self._agenda.changed, clock)
        self._times = Times(self._roster, self._verdict, self._pacing, settings.timeout, clock)
        self._steps = Steps(self._roster, self._verdict, self._times, self._agenda, self._hands,
                            clock)
        self._ended: Optional[float] = None
        what = ('restarting %d processes' % len(self._roster) if plan is None
                else 'updating: %s' % str(plan))
        self._log('info', '%s, %s' % (what, self._pacing))

    # what others ask

    @property
    def outcome(self) -> Any:
        """What the caller gets; None until that is known."""
        return self._verdict.answer

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be done."""
        return self._ended is not None

    def due(self) -> float:
        """Return the seconds until the next pass has something to do; 0 for at once.

        It is at most the option `delay`.
        """
        now = self.clock.monotonic()
        if self._roster.at_once or self._roster.down or self._next_way(now) is not None:
            return 0.0
        seconds = [self._agenda.due() - now]
        if self.outcome is None:
            seconds.append(self._times.deadline() - now)
        if self._roster.waiting and self._verdict.ending is None:
            batch = self._pacing.next_in(now - self._times.began)
            seconds += [] if batch is None else [batch]
        return max(0.0, min(seconds))

    def info(self) -> Dict[str, Any]:
        """Return the struct of `getRestartInfo`."""
        until = self.clock.monotonic() if self._ended is None else self._ended
        state = ('FINISHED' if self.finished else
                 'SETTLING' if self._verdict.ending else 'RESTARTING')
        return dict(self._roster.info(), group=self.name, state=state,
                    elapsed=until - self._times.began, faults=self._verdict.structs())

    def slots(self) -> List[Dict[str, Any]]:
        """Return the array `slots` of that struct."""
        return self._roster.history(self._times.began)

    # what others tell

    def changed(self, name: str, running: bool) -> None:
        """Note that a process has changed its state: the next pass looks at it.

        `running`: it has come up.
        """
        if name in self._roster.slots:
            if running and not self._pacing.one_up_lets_one_down:
                self._agenda.came_up(name)
            else:
                self._agenda.changed(name)
        elif name_of_slot(name) in self._roster.slots:
            self._agenda.changed(name_of_slot(name))

    def cancel(self) -> None:
        """Begin nothing more, and only bring up what is down; the caller gets CANCELLED."""
        if self._verdict.ending is None:
            self._settle(Faults.CANCELLED, 'cancelled, %s' % self._roster.pending())

    def group_removed(self) -> None:
        """End the restart, and hold nothing of its group any more; the caller gets BAD_GROUP."""
        if not self.finished:
            self._break_off(Faults.BAD_GROUP, 'removed during its restart')

    def give_up(self, explanation: str) -> None:
        """End the restart where it stands; the caller gets FAILED."""
        self._break_off(Faults.FAILED, explanation)

    def advance(self, everything: bool = True, seconds: float = SLICE) -> None:
        """Make one pass, of about `seconds` at most; `due` tells when the next one is.

        With `everything` false it looks only at what has changed and whose time has come, unless
        the option `delay` has passed since it looked at all.
        """
        if self.finished:
            return
        if self.supervisord.options.mood < SupervisorStates.RUNNING:
            self._break_off(Faults.SHUTDOWN_STATE, 'supervisord is stopping')
        elif self.supervisord.process_groups.get(self.name) is not self.group:
            self.group_removed()
        else:
            until = self.clock.monotonic() + seconds
            self._hands.reap(until, self.clock)
            self._steps.begin(until)
            self._look(everything, until)
            self._steps.spawn(until)
            self._check_time()
            self._take_turns(until)
            self._conclude()

    # the parts of a pass

    def _look(self, everything: bool, until: float) -> None:
        names, everything = self._agenda.take(self.clock.monotonic(), everything,
                                              busy=bool(self._roster.down))
        if everything:
            slots = self._roster.unsettled() + [
                self._roster.slots[name] for name in names
                if self._roster.slots[name].phase not in PENDING]
        else:
            slots = [self._roster.slots[name] for name in sorted(names)]
        for slot in slots:
            if self.clock.monotonic() < until:
                self._steps.look_at(slot)
            else:  # in the next pass, which is due at once
                self._agenda.changed(slot.name)

    def _take_turns(self, until: float) -> None:
        self._roster.drop_settled()
        way = self._next_way(self.clock.monotonic())
        if way is None:
            return
        with self._hands.spawning() if way is StartFirst else contextlib.nullcontext():
            while way is not None:
                self._steps.take_turn(self._roster.waiting.pop(), way)
                self._roster.drop_settled()
                now, last = self.clock.monotonic(), way
                way = self._next_way(now) if now < until else None
                if way is not last:  # the next pass is due at once
                    break

    def _check_time(self) -> None:
        if self.outcome is not None or self.clock.monotonic() < self._times.deadline():
            return
        for slot in [slot for slot in self._roster.turns.active.values() if slot.is_awaited]:
            self._steps.look_at(slot)  # for these there is a fault of their own
        if self.clock.monotonic() < self._times.deadline():
            return
        if self._verdict.ending is None:
            self._settle(Faults.TIMEOUT, 'after %g seconds %s'
                         % (self.settings.timeout, self._roster.pending()))
        self._verdict.give_answer()

    def _conclude(self) -> None:
        failed = len(self._verdict.faults)
        if self._verdict.ending is None and self._pacing.used_up(failed):
            left = self._roster.left_as_they_were()
            if left:
                self._settle(Faults.STOPPED_EARLY, '%d failed, %d of %d processes left as they were'
                             % (failed, left, len(self._roster)))
        if self._roster.turns.active or self._roster.at_once or (
                self._roster.waiting and not self._verdict.ending):
            return
        for slot in self._roster.in_phase(Phase.RESTARTED):
            self._steps.look_at(slot)
        if not self._roster.turns.active:
            self._end()

    # what moves a restart on

    def _settle(self, code: int, explanation: str) -> None:
        self._log('warn', self._verdict.settle(code, explanation).text)
        for slot in list(self._roster.turns.active.values()):
            if slot.beside is not None and slot.phase == Phase.STARTING:
                slot.way = Waiting
                self._steps.move(slot, Phase.WAITING)
                self._agenda.changed(slot.name)

    def _break_off(self, code: int, explanation: str) -> None:
        self._log('warn', self._verdict.break_off(code, explanation).text)
        self._end()

    def _end(self) -> None:
        self._verdict.give_answer()
        self._ended = self.clock.monotonic()
        self._hands.rest()
        for slot in self._roster.turns.active.values():
            slot.close_watch()
            slot.part_logs()
        for slot in self._roster.slots.values():
            slot.close_words()
        self._log('info', '%s %d of %d processes in %.3f seconds' % (
            'restarted' if self.plan.config is None else 'updated', self._roster.done(),
            len(self._roster), self._ended - self._times.began))

    # what can be derived

    def _next_way(self, now: float) -> Any:
        if not self._roster.waiting or self._roster.at_once or self._verdict.ending is not None:
            return None
        return self._pacing.next_way(Progress(
            now - self._times.began, self._roster.with_turns, self._roster.taken,
            self._roster.turns.held(Window.DOWN) + len(self._roster.not_up_yet),
            self._roster.turns.held(Window.SURGE), len(self._verdict.faults),
            self._roster.waiting[-1].is_to_go))

    def _log(self, level: str, message: str) -> None:
        self._hands.log(level, message)
