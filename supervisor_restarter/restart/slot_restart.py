"""What a restart does with one slot, from the call to its end: the whole story in one place."""

import math
import traceback
from typing import Any, Dict, Iterator, List, Optional

from supervisor.states import ProcessStates

from supervisor_restarter.daemon.states import (
    CHANGING_STATES,
    UP_STATES,
    next_change,
    was_stopped,
)
from supervisor_restarter.restart.faults import Failed, Faults
from supervisor_restarter.restart.handover import HandOver
from supervisor_restarter.restart.pacing import START_FIRST, STOP_FIRST, Times
from supervisor_restarter.restart.processes import FOLLOWING, Processes
from supervisor_restarter.restart.report import Report
from supervisor_restarter.restart.slot import SEEN_DOWN, THEIRS, Phase, Slot

# What a story waits for: that something changes, its turn, that its process may be spawned.
CHANGE, TURN, SPAWN = 'change', 'turn', 'spawn'

# After how many seconds `getRestartInfo` tells of a process that has not left yet.
LONG = 1.0

OLD_CONFIGURATION = 'started by somebody else, with its old configuration'


class Gone(Exception):
    """Somebody else has removed the process."""


class Replaced(Exception):
    """Somebody else, or Supervisor's autorestart, replaces the process: that is the new one."""


class SlotRestart:
    """The story of one slot.

        story = SlotRestart(slot, processes, report, times)
        story.go_on()                # until it waits; `waits_for` says for what
        story.go_on(STOP_FIRST)      # it was its turn
        assert slot.phase == Phase.STOPPING

    After each `yield` the processes may be in any state, since others act on them too, and the
    restart may settle.
    """

    def __init__(self, slot: Slot, processes: Processes, report: Report, times: Times):
        self.slot = slot
        self.processes = processes
        self.hand_over = HandOver(slot, processes, times.clock)
        self.report = report
        self.times = times
        self.view = _View(slot, processes, times)
        self._story = self._from_call_to_end()
        self.waits_for: Optional[str] = next(self._story)

    def go_on(self, turn: str = '') -> None:
        """Go on until the next wait; `turn` says which way it goes, where it waited for its turn.
        """
        try:
            self.waits_for = self._story.send(turn)
        except StopIteration:
            self.waits_for = None

    # the story

    def _from_call_to_end(self) -> Iterator[str]:
        slot = self.slot
        yield CHANGE
        try:
            if slot.is_removed:
                yield from self._remove()
            elif slot.found_down and not slot.planned.runs:
                yield from self._configure()
            else:
                yield from self._replace()
        except Gone:
            self._move(Phase.REMOVED)
        except Failed as why:
            self._fail(why)
        except Exception as why:  # whatever it is, it must not keep the others down
            self.processes.log('critical', '%s: %s' % (slot.name, traceback.format_exc()))
            self._fail(Failed(Faults.FAILED, '%s: %s' % (type(why).__name__, why)))
        yield from self._until_it_has_one_process()

    def _replace(self) -> Iterator[str]:
        try:
            turn = yield from self._until_its_turn()
            if turn == START_FIRST and not (yield from self._start_first()):
                turn = yield from self._until_its_turn()
            if turn != START_FIRST:
                yield from self._stop_first(turn == STOP_FIRST)
        except Replaced:
            self.view.note_orphans()
        while True:  # to the end of the restart: if it leaves again, that is a fault
            self.view.look()
            up = self.view.is_up(self.slot.process)
            running = self.slot.state != ProcessStates.STARTING
            self._move(Phase.RESTARTED if up and running else Phase.STARTING)
            yield CHANGE

    def _stop_first(self, is_up: bool) -> Iterator[str]:
        slot, processes = self.slot, self.processes
        processes.configs.prepare(slot)
        if is_up:
            processes.note(slot, surge=False)
            processes.stop(slot, slot.process)
        may_spawn = ''
        while not may_spawn:
            yield from self._until_down()
            if self.view.others_may_follow():
                yield CHANGE
                self.view.look()
                continue
            processes.configs.apply(slot)
            may_spawn = yield SPAWN
            self.view.look()
            may_spawn = may_spawn if self.view.is_down() else ''
        processes.start(slot)
        self._move(Phase.STARTING)

    def _start_first(self) -> Iterator[str]:
        """Return whether the successor has taken over; not where the restart settles before."""
        slot = self.slot
        self.processes.note(slot, surge=True)
        self.processes.configs.prepare(slot)
        self.hand_over.start_successor()
        self._move(Phase.STARTING)
        while not self.view.successor_is_up():
            yield CHANGE
            if self.report.settles:
                self._move(Phase.WAITING)
                yield from self._until_it_has_one_process()
                return False
        self.hand_over.hand_over()
        self._move(Phase.STOPPING)
        while slot.predecessor is not None:
            self.view.is_up(slot.process)
            self.hand_over.let_go()
            if slot.predecessor is not None:
                yield CHANGE
                self.view.look()
        return True

    def _remove(self) -> Iterator[str]:
        slot = self.slot
        yield from self._until_its_turn()
        if slot.state in UP_STATES:
            self.processes.stop(slot, slot.process)
        yield from self._until_down()
        self.view.note_orphans()
        self.processes.configs.remove(slot)
        self._move(Phase.REMOVED)

    def _configure(self) -> Iterator[str]:
        self.processes.configs.apply_without_start(self.slot)
        while True:
            self._move(Phase.RESTARTED)
            yield CHANGE
            self.view.look()

    # what it waits for

    def _until_its_turn(self) -> Iterator[str]:
        """Return which way its turn goes; '' where its process is down without a turn."""
        slot, turn = self.slot, ''
        while not slot.found_down:
            self.view.look()
            if slot.state == ProcessStates.UNKNOWN:
                raise Failed(Faults.BAD_STATE, 'its state is UNKNOWN')
            if not slot.is_removed and (
                    slot.replaced_by_somebody_else() or slot.stopped_by_somebody_else()):
                raise Replaced
            if slot.state not in UP_STATES:
                return ''
            if turn:
                return turn
            turn = yield TURN
        return ''

    def _until_down(self) -> Iterator[str]:
        self._move(Phase.STOPPING)
        while not self.view.is_down():
            yield CHANGE
            self.view.look()

    def _until_it_has_one_process(self) -> Iterator[str]:
        """Wait until the slot has one process: however the story ends, no second one stays."""
        slot = self.slot
        while slot.second is not None:
            try:
                self.view.let_time_pass()
                self.hand_over.let_go()
            except Failed as why:
                self.processes.log('warn', '%s: its second process: %s' % (
                    slot.name, why.explanation))
            except Exception:
                self.processes.log('critical', '%s: %s' % (slot.name, traceback.format_exc()))
            if slot.second is not None:
                yield CHANGE

    # where it stands

    def _move(self, phase: str) -> None:
        slot = self.slot
        if phase != slot.phase:
            slot.phase = phase
            slot.changes.append((phase, self.times.clock.monotonic()))
        if phase not in (Phase.STOPPING, Phase.STARTING):
            slot.close_watch()
        if phase not in (Phase.STOPPING, Phase.STARTING, Phase.RESTARTED):
            slot.close_words()

    def _fail(self, why: Failed) -> None:
        words = self.slot.last_words()
        if words and why.code in (Faults.START_FAILED, Faults.NOT_READY):
            why = Failed(why.code, '%s; it said last: %s' % (why.explanation, words))
        self._move(Phase.FAILED)
        self.report.fail(self.slot, why)


class _View:
    """What can be seen of the processes of a slot: whether they are down, up, or gone."""

    def __init__(self, slot: Slot, processes: Processes, times: Times):
        self.slot = slot
        self.processes = processes
        self.times = times
        self._up_pid = 0
        self._seen_down: List[float] = []
        # Whether somebody else may wait for the process to be down, which they were stopping at the
        # call, or had just stopped.
        self._others_wait = slot.state_at_call == ProcessStates.STOPPING or was_stopped(
            slot.process, SEEN_DOWN, times.clock)

    def look(self) -> None:
        """Let time pass for the processes. Raises Gone where somebody else has removed them."""
        self.let_time_pass()
        if not self.processes.are_there(self.slot):
            raise Gone

    def let_time_pass(self) -> None:
        """Change the states that time alone changes; write what a log has held back long enough."""
        slot = self.slot
        if slot.logs is not None:
            slot.logs.look()
        second = slot.second
        for process in (slot.process,) if second is None else (slot.process, second):
            if process.get_state() in CHANGING_STATES:
                process.transition()

    def is_down(self) -> bool:
        """Whether the new process may be spawned. Raises Failed, Replaced."""
        slot = self.slot
        if slot.state == ProcessStates.UNKNOWN:
            raise Failed(Faults.STOP_FAILED, 'its state became UNKNOWN')
        if slot.replaced_by_somebody_else() and not slot.is_removed:
            raise Replaced
        if slot.state in UP_STATES and slot.process.pid != slot.pid_at_call:
            raise Failed(Faults.START_FAILED, OLD_CONFIGURATION)
        return slot.can_be_spawned and (not self._others_wait or self._has_been_seen_down())

    def _has_been_seen_down(self) -> bool:
        """Whether callers that wait for it to be down have had the time to see that."""
        now = self.times.clock.monotonic()
        if not self._seen_down or now >= self._seen_down[-1] + SEEN_DOWN / 2:
            self._seen_down.append(now)
        return len(self._seen_down) > 2

    def others_may_follow(self) -> bool:
        """Whether others of the old process's group may be about to end, such as the child of a
        shell. Until then they have what the new process needs: a port, a lock.

        Where the old process has ended by itself they are not waited for: supervisord starts it.
        """
        now = self.times.clock.monotonic()
        self.note_orphans()
        return (self.slot.state == ProcessStates.STOPPED and self.processes.are_to_follow(
            self.slot, now) and now < self.times.whole - self.slot.config.startsecs - FOLLOWING)

    def note_orphans(self) -> None:
        """Note the processes that the old process, which has ended, has left behind."""
        self.processes.note_orphans(
            self.slot, self.slot.pid_at_call, self.times.clock.monotonic())

    def successor_is_up(self) -> bool:
        """Whether the successor may take over. Raises Failed, Gone."""
        slot = self.slot
        self.look()
        if slot.state == ProcessStates.UNKNOWN:
            raise Failed(Faults.BAD_STATE, 'its state became UNKNOWN')
        up = self.is_up(slot.successor)
        if slot.stopped_by_somebody_else():
            self._check_state(slot.process)
            return False
        return up

    def is_up(self, process: Any) -> bool:
        """Whether a new process is up: RUNNING and ready, or said to be ready before that, and all
        this for `min_ready_seconds`.

        Raises Failed where it will not be up, or has not been in its time.
        """
        slot, now = self.slot, self.times.clock.monotonic()
        self.processes.look_for_readiness(slot)
        runs = self._check_state(process)
        serves = slot.ready and (runs or (
            slot.watch is not None and slot.watch.early
            and process.get_state() == ProcessStates.STARTING))
        if not serves or process.pid != self._up_pid:
            self._up_pid, slot.up_since = process.pid, math.inf
        if serves:
            slot.up_since = min(slot.up_since, now)
        slot.up = (now >= slot.up_since + self.times.min_ready_seconds
                   or process.get_state() == ProcessStates.EXITED)
        if slot.is_awaited and now >= self.times.deadline_of(slot):
            raise Failed(Faults.NOT_READY, 'after %.3g seconds: %s' % (
                now - self.times.began_for(slot), slot.watch.seen))
        return slot.up

    def _check_state(self, process: Any) -> bool:
        """Whether a new process is RUNNING, by its state alone. Raises Failed where it will not be.
        """
        slot, state = self.slot, process.get_state()
        if process is slot.process and state in UP_STATES and not slot.has_new_configuration:
            raise Failed(Faults.START_FAILED, OLD_CONFIGURATION)
        if state in CHANGING_STATES or was_stopped(process, THEIRS, self.times.clock):
            return False
        if state == ProcessStates.RUNNING:
            return True
        if state == ProcessStates.EXITED:
            # With startsecs = 0 a program may exit at once.
            if (process.config.startsecs == 0 and process.exitstatus in process.config.exitcodes
                    and slot.ready):
                return True
            why = ('ended by a signal' if process.exitstatus == -1  # options.py: decode_wait_status
                   else 'exited with status %s' % process.exitstatus)
            why += '' if slot.ready else ' before it was ready'
        elif state == ProcessStates.STOPPED:
            why = 'stopped by somebody else'
        else:
            why = process.spawnerr or 'left again before it was RUNNING'
        if not slot.ready and slot.watch.in_the_way():
            why += '; ' + slot.watch.in_the_way()
        raise Failed(Faults.START_FAILED, why)

    def awaited(self) -> Dict[str, Any]:
        """Return what the slot waits for, as an entry of `awaiting` in the struct of
        `getRestartInfo`; {} where there is nothing to tell.
        """
        slot, times, now = self.slot, self.times, self.times.clock.monotonic()
        told = {'name': slot.name, 'awaited': '', 'seen': '', 'phase': 'starting',
                'seconds': now - slot.since, 'limit': 0.0}
        if slot.is_awaited or slot.is_awaited_to_run:
            limit = times.deadline_of(slot) - times.began_for(slot)
            return dict(told, awaited=slot.watch.awaited, seen=slot.watch.seen, limit=limit)
        if slot.phase == Phase.STOPPING and now - slot.since >= LONG:
            return dict(told, phase='leaving', limit=slot.leaving.config.stopwaitsecs)
        if slot.phase == Phase.STARTING and slot.up_since <= now:
            return dict(told, phase='ready', seconds=now - slot.up_since,
                        limit=times.min_ready_seconds)
        return {}

    def next_look(self) -> float:
        """Return when time alone lets it go on, in monotonic seconds; infinity for never."""
        slot, clock = self.slot, self.times.clock
        now, when, second = clock.monotonic(), math.inf, slot.second
        for process in (slot.process,) if second is None else (slot.process, second):
            when = min(when, next_change(process, clock))
            if process.get_state() not in (*CHANGING_STATES, ProcessStates.RUNNING):
                when = min(when, now + SEEN_DOWN / 2)
        if slot.phase == Phase.STOPPING and slot.orphaned:
            when = min(when, now + FOLLOWING)
        if slot.is_awaited:
            when = min(when, now + slot.watch.due(), self.times.deadline_of(slot))
        if slot.logs is not None:
            when = min(when, now + slot.logs.due())
        if not slot.up:
            when = min(when, slot.up_since + self.times.min_ready_seconds)
        return when
