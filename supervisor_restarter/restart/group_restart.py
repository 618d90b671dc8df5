"""One restart of one group, a pass at a time."""

import time
import traceback
from collections import Counter
from typing import Any, Callable, Dict, List, Optional, Union

from supervisor.states import ProcessStates, SupervisorStates

from supervisor_restarter.daemon.child import signals_kept
from supervisor_restarter.restart.agenda import Agenda
from supervisor_restarter.restart.faults import Fault, Faults, RPCError
from supervisor_restarter.restart.pacing import pacing_for
from supervisor_restarter.restart.settings import Settings
from supervisor_restarter.restart.slot import PENDING, PHASES, Phase, Slot

# How long the work of one pass may hold supervisord's main loop, in seconds.
SLICE = 0.04


class GroupRestart:
    """Takes the processes of a group down, and brings each up again as soon as it is down.

        restart = GroupRestart(supervisord, group, settings)
        while not restart.finished:
            restart.advance()
        assert restart.outcome is True

    `advance` is one pass: it looks at the processes, does what can be done now, and never waits.
    `outcome` is None until the caller has an answer: True, a list of faults (as structs), or an
    RPCError to raise. With TIMEOUT the answer comes before the restart has finished.

    `clock` gives `monotonic()` and, for Supervisor's own times, `time()`, as the module time does.
    """

    def __init__(self, supervisord: Any, group: Any, settings: Settings, clock: Any = time):
        self.supervisord = supervisord
        self.group = group
        self.name: str = group.config.name
        self.settings = settings
        self.clock = clock
        self.slots = {name: Slot(name, process) for name, process in group.processes.items()}
        self.faults: List[Fault] = []
        self.outcome: Union[None, bool, List[Dict[str, Any]], RPCError] = None
        self._pacing = pacing_for(settings, len(self.slots))
        self._ending: Optional[Fault] = None  # why nothing more is stopped: the restart settles
        self._began = self._moved = clock.monotonic()
        self._ended: Optional[float] = None
        # The next one to go down stands last.
        self._waiting = sorted(m for m in self.slots.values() if not m.needs_no_stop)
        self._to_stop = len(self._waiting)
        self._unready = {m.name for m in self._waiting if m.state != ProcessStates.RUNNING}
        self._active: Dict[str, Slot] = {}  # stopping and starting; the oldest turn stands first
        self._down: Dict[str, Slot] = {}  # those of them that can be spawned
        self._agenda = Agenda(settings.delay)
        # Processes that are all down give their shared socket back, and connections are refused
        # (supervisor/socket_manager.py: ReferenceCounter); so it is held until they are up.
        manager = getattr(group, 'socket_manager', None)
        self._socket = manager.get_socket() if manager and manager.is_prepared() else None
        self._log('info', 'restarting %d processes, %s' % (len(self.slots), self._pacing))
        for slot in self.slots.values():
            if slot.needs_no_stop:
                self._move(slot, Phase.STOPPING)

    # what others ask

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be done."""
        return self._ended is not None

    def due(self) -> float:
        """Return the seconds until the next pass has something to do; 0 for at once.

        It is at most the option `delay`.
        """
        now = self.clock.monotonic()
        if self._down or self._may_stop(now):
            return 0.0
        seconds = [self._agenda.due() - now]
        if self.outcome is None:
            seconds.append(self._deadline() - now)
        if self._waiting and self._ending is None:
            batch = self._pacing.next_in(now - self._began)
            seconds += [] if batch is None else [batch]
        return max(0.0, min(seconds))

    def info(self) -> Dict[str, Any]:
        """Return the struct of `getRestartInfo`."""
        until = self.clock.monotonic() if self._ended is None else self._ended
        state = 'FINISHED' if self.finished else 'SETTLING' if self._ending else 'RESTARTING'
        phases = self._count()
        return dict({phase: phases[phase] for phase in PHASES}, group=self.name, state=state,
                    total=len(self.slots), elapsed=until - self._began, faults=self._structs())

    # what others tell

    def changed(self, name: str, running: bool) -> None:
        """Note that a process has changed its state: the next pass looks at it.

        `running`: it has come up.
        """
        # Where nothing waits for one to come up, a pass for each of many would be work for nothing.
        if name in self.slots and (self._pacing.one_up_lets_one_down or not running):
            self._agenda.changed(name)

    def cancel(self) -> None:
        """Stop nothing more, and only bring up what is down; the caller gets CANCELLED."""
        if self._ending is None:
            self._settle(Faults.CANCELLED, 'cancelled, %s' % self._pending())

    def give_up(self, explanation: str) -> None:
        """End the restart where it stands; the caller gets FAILED."""
        self._end(Fault(Faults.FAILED, explanation, self.name))

    def advance(self, everything: bool = True, seconds: float = SLICE) -> None:
        """Make one pass, of about `seconds` at most; `due` tells when the next one is.

        With `everything` false it looks only at what has changed and whose time has come, unless
        the option `delay` has passed since it looked at all.
        """
        if self.finished:
            return
        if self.supervisord.options.mood < SupervisorStates.RUNNING:
            self._end(Fault(Faults.SHUTDOWN_STATE, 'supervisord is stopping', self.name))
        elif self.supervisord.process_groups.get(self.name) is not self.group:
            self._end(Fault(Faults.BAD_GROUP, 'removed during its restart', self.name))
        else:
            until = self.clock.monotonic() + seconds
            self._reap(until)
            self._look(everything)
            self._spawn(until)
            self._check_time()
            self._take_down(until)
            self._conclude()

    # the parts of a pass

    def _reap(self, until: float) -> None:
        # reap() stops after 100 (supervisor/supervisord.py: reap, recursionguard), and at one that
        # ends in UNKNOWN (supervisor/process.py: finish, _assertInState).
        children = self.supervisord.options.pidhistory
        before = None
        while before != len(children) and self.clock.monotonic() < until:
            before = len(children)
            try:
                self.supervisord.reap()
            except Exception:  # whatever it is, it must not keep the others down
                before = None
                self._log('critical', traceback.format_exc())

    def _look(self, everything: bool) -> None:
        names, everything = self._agenda.take(self.clock.monotonic(), everything,
                                              busy=bool(self._down))
        if everything:
            slots = [m for m in self.slots.values() if m.phase in PENDING or m.name in names]
        else:
            slots = [self.slots[name] for name in sorted(names)]
        for slot in slots:
            self._guard(self._look_at, slot)

    def _look_at(self, slot: Slot) -> None:
        if slot.phase in (Phase.FAILED, Phase.REMOVED):
            return
        if self.group.processes.get(slot.name) is not slot.process:
            self._move(slot, Phase.REMOVED)
            return
        if slot.state in (ProcessStates.STARTING, ProcessStates.STOPPING):
            slot.process.transition()
        phase, code, explanation = slot.standing(self.clock.time())
        if code is not None:
            self._fail(slot, code, explanation)
        elif phase != slot.phase:
            self._move(slot, phase)
        if slot.state == ProcessStates.RUNNING:
            self._unready.discard(slot.name)
        if slot.phase == Phase.STOPPING and slot.may_be_spawned(self.clock.time()):
            self._down[slot.name] = slot
        elif slot.name in self._active or slot.name in self._unready:
            self._expect(slot)

    def _spawn(self, until: float) -> None:
        if not self._down:
            return
        with signals_kept():
            for slot in sorted(self._down.values()):
                began = self.clock.monotonic()
                self._guard(self._spawn_one, slot)
                now = self.clock.monotonic()
                if now + (now - began) > until:  # no time for another one
                    break

    def _spawn_one(self, slot: Slot) -> None:
        # Since the last look, in an earlier slice, somebody may have started or removed it.
        self._look_at(slot)
        if self._down.pop(slot.name, None) is None:
            return
        process = slot.process
        if slot.state == ProcessStates.BACKOFF:
            process.stop()
        try:
            process.spawn()
        except OSError as why:  # supervisor/process.py: FastCGISubprocess.before_spawn
            self._fail(slot, Faults.SPAWN_ERROR, str(why))
            return
        if process.spawnerr:
            self._fail(slot, Faults.SPAWN_ERROR, process.spawnerr)
            return
        self._move(slot, Phase.STARTING)
        self._look_at(slot)

    def _take_down(self, until: float) -> None:
        self._drop_settled()
        while self._may_stop(self.clock.monotonic()):
            self._guard(self._stop_one, self._waiting.pop())
            self._drop_settled()
            if self.clock.monotonic() >= until:
                break

    def _stop_one(self, slot: Slot) -> None:
        self._look_at(slot)
        if slot.phase != Phase.WAITING:
            return
        message = slot.process.stop()
        self._move(slot, Phase.STOPPING)
        if message is not None:
            # The message ends with the traceback's last line (supervisor/process.py: kill).
            self._fail(slot, Faults.STOP_FAILED, message.strip().splitlines()[-1])
        else:
            self._look_at(slot)

    def _drop_settled(self) -> None:
        while self._waiting and self._waiting[-1].phase != Phase.WAITING:
            self._waiting.pop()

    def _check_time(self) -> None:
        if self.outcome is not None or self.clock.monotonic() < self._deadline():
            return
        if self._ending is None:
            self._settle(Faults.TIMEOUT, 'after %g seconds %s'
                         % (self.settings.timeout, self._pending()))
        self._answer()

    def _conclude(self) -> None:
        if self._waiting and not self._ending and self._pacing.used_up(len(self.faults)):
            self._settle(Faults.STOPPED_EARLY, '%d failed, %d of %d processes left as they were' % (
                len(self.faults), self._count()[Phase.WAITING], len(self.slots)))
        if self._active or (self._waiting and not self._ending):
            return
        for slot in self.slots.values():
            if slot.phase == Phase.RESTARTED:
                self._guard(self._look_at, slot)
        if not self._active:
            self._end()

    # what moves a restart on

    def _move(self, slot: Slot, phase: str) -> None:
        self._moved = self.clock.monotonic()
        self._unready.discard(slot.name)
        self._down.pop(slot.name, None)
        self._agenda.forget(slot.name)
        slot.phase = phase
        if phase not in (Phase.STOPPING, Phase.STARTING):
            self._active.pop(slot.name, None)
        elif slot.name not in self._active:
            slot.began = self._moved
            self._active[slot.name] = slot

    def _expect(self, slot: Slot) -> None:
        # supervisor/process.py: transition asks for more than startsecs, hence the millisecond.
        when = (self.clock.monotonic() + 0.001
                + max(0.0, slot.seconds_to_change(self.clock.time())))
        if slot.phase == Phase.STARTING and not self._pacing.one_up_lets_one_down:
            self._agenda.expect_last(when)
        else:
            self._agenda.expect(slot.name, when)

    def _fail(self, slot: Slot, code: int, explanation: str) -> None:
        fault = Fault(code, explanation, self.name, slot.name)
        self.faults.append(fault)
        self._move(slot, Phase.FAILED)
        self._log('warn', '%s: %s' % (slot.name, fault.text))

    def _settle(self, code: int, explanation: str) -> None:
        self._ending = Fault(code, explanation, self.name)
        self._log('warn', self._ending.text)

    def _end(self, reason: Optional[Fault] = None) -> None:
        if reason is not None:
            self._settle(reason.code, reason.explanation)
            self.outcome = self.outcome or reason.error()
        self._answer()
        self._ended = self.clock.monotonic()
        self._socket = None
        self._log('info', 'restarted %d of %d processes in %.3f seconds' % (
            self._count()[Phase.RESTARTED], len(self.slots), self._ended - self._began))

    def _answer(self) -> None:
        if self.outcome is None:
            if self._ending is not None and not self.faults:
                self.outcome = self._ending.error()
            else:
                self.outcome = self._structs() or True

    def _guard(self, action: Callable[[Slot], None], slot: Slot) -> None:
        # What goes wrong with one process, whatever it is, must not keep the others down.
        try:
            action(slot)
        except Exception as why:
            self._log('critical', '%s: %s' % (slot.name, traceback.format_exc()))
            if slot.phase != Phase.FAILED:
                self._fail(slot, Faults.FAILED, '%s: %s' % (type(why).__name__, why))

    # what can be derived

    def _may_stop(self, now: float) -> bool:
        if not self._waiting or self._ending is not None:
            return False
        unavailable = len(self._active) + len(self.faults) + len(self._unready)
        return self._pacing.allowance(now - self._began, self._to_stop,
                                      self._to_stop - len(self._waiting), unavailable) > 0

    def _deadline(self) -> float:
        began = self._began
        if self._pacing.one_up_lets_one_down:
            # Each has its own turn; where nobody has, the group waits for others to come up.
            oldest = next(iter(self._active.values()), None)
            began = self._moved if oldest is None else oldest.began
        return began + self.settings.timeout

    def _count(self) -> Counter:
        return Counter(slot.phase for slot in self.slots.values())

    def _pending(self) -> str:
        phases = self._count()
        pending = ['%d %s' % (phases[phase], phase) for phase in PENDING if phases[phase]]
        return '%d of %d processes pending (%s)' % (
            sum(phases[phase] for phase in PENDING), len(self.slots), ', '.join(pending))

    def _structs(self) -> List[Dict[str, Any]]:
        faults = self.faults + ([self._ending] if self._ending else [])
        return [fault.struct() for fault in faults]

    def _log(self, level: str, message: str) -> None:
        getattr(self.supervisord.options.logger, level)('restarter: %s: %s' % (self.name, message))
