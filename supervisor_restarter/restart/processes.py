"""What a restart does to the processes of its group."""

import math
from typing import Any, Callable, Iterable, List

from supervisor.options import make_namespec
from supervisor.states import ProcessStates

from supervisor_restarter.daemon.socket_map import check_spare
from supervisor_restarter.daemon.spawn import spawn
from supervisor_restarter.daemon.words import listen_to
from supervisor_restarter.restart.configs import Configs
from supervisor_restarter.restart.faults import CannotRestart, Failed, Faults
from supervisor_restarter.restart.slot import Slot

# How long the children of a process may take to follow it, in seconds, before they count as left
# behind; and how often to look.
TO_FOLLOW, FOLLOWING = 1.0, 0.05


class Processes:
    """Spawns, stops and watches the processes of one group.

    `plan` has the configurations of its slots, `readiness` makes the watches for new processes,
    `delay` are the most seconds between two looks of a watch, and `changed(name)` is called when a
    watch has seen something.
    """

    def __init__(self, supervisord: Any, group: Any, plan: Any, readiness: Any, delay: float,
                 changed: Callable[[str], Any]):
        self.supervisord = supervisord
        self.group = group
        self.plan = plan
        self.configs = Configs(group, plan)
        self.readiness = readiness
        self.delay = delay
        self.changed = changed
        # Processes that are all down give their shared socket back, and connections are refused
        # (supervisor/socket_manager.py: ReferenceCounter); so it is held until they are up.
        manager = getattr(self.group, 'socket_manager', None)
        self._socket = manager.get_socket() if manager and manager.is_prepared() else None

    def slots(self) -> List[Slot]:
        """Make a slot for each process with which something is done. Raises CannotRestart."""
        slots = []
        for planned in self.plan.to_do:
            declared = None
            if self.readiness is not None and planned.runs:
                try:
                    declared = self.readiness.declared(planned.config)
                except ValueError as why:
                    raise CannotRestart('%s: %s' % (
                        make_namespec(self.group.config.name, planned.name), why)) from None
            process = (self.group.processes.get(planned.name)
                       or planned.config.make_process(self.group))
            slots.append(Slot(planned, process, declared or None))
        return slots

    def end(self) -> None:
        """Let the group be what it is now, and hold nothing any more."""
        self.configs.note()
        self._socket = None

    def are_there(self, slot: Slot) -> bool:
        """Whether the group still has the process of a slot, or is yet to get it."""
        return self.group.processes.get(slot.name) is slot.process or slot.is_not_added_yet

    def note(self, slot: Slot, surge: bool) -> None:
        """Note where the old process of a slot listens, before anything is done to it.

        `surge`: its successor is started beside it. Raises Failed where that cannot be.
        """
        if self.readiness is not None:
            slot.noted = self.readiness.note(slot.process, slot.declaration, surge)
            if slot.noted is not None and slot.noted.refusal:
                raise Failed(Faults.NOT_READY, slot.noted.refusal)

    def note_orphans(self, slot: Slot, pid: int, now: float) -> None:
        """Note which processes of a slot, of the one told to stop and the one with the id `pid`,
        have ended while others of their process groups have stayed. `now` are monotonic seconds.
        """
        if self.readiness is not None:
            running = self.supervisord.options.pidhistory  # one that could not be stopped, too
            for ended in {pid, slot.told} - {0, *slot.orphaned}:
                if ended not in running and self.readiness.group_lives(ended):
                    slot.orphaned[ended] = now

    def are_to_follow(self, slot: Slot, now: float) -> bool:
        """Whether others of the process group of one that has ended may be about to end too."""
        return any(now < since + TO_FOLLOW and self.readiness.group_lives(pid)
                   for pid, since in slot.orphaned.items())

    def stop(self, slot: Slot, process: Any) -> None:
        """Tell a process of a slot to stop. Raises Failed."""
        slot.told = process.pid
        message = process.stop()
        if message is not None:
            # The message ends with the traceback's last line (supervisor/process.py: kill).
            raise Failed(Faults.STOP_FAILED, message.strip().splitlines()[-1])

    def check_spare(self) -> None:
        """Raise Failed where there are no descriptors for a process more than the group has.

        Supervisor leaves pipes open where it has none for a log file (supervisor/options.py:
        ProcessConfig.make_dispatchers).
        """
        try:
            check_spare(self.supervisord.options, self.group)
        except OSError as why:
            raise Failed(Faults.SPAWN_ERROR, 'no second process: %s' % why) from None

    def start(self, slot: Slot) -> None:
        """Spawn the process of a slot, which is down. Raises Failed."""
        try:
            self.spawn(slot, slot.process)
        finally:
            self.configs.add(slot)

    def spawn(self, slot: Slot, process: Any) -> None:
        """Spawn a new process of a slot, and watch whether it becomes ready. Raises Failed."""
        if process.get_state() == ProcessStates.BACKOFF:
            process.stop()
        slot.close_words()
        slot.words = listen_to(process)
        trouble = None
        try:
            self._watch(slot, process)
        except OSError as why:  # It is down, and so it has to come up all the same.
            trouble = Failed(Faults.NOT_READY, 'cannot be seen: %s' % why)
        try:
            spawn(process, slot.watch.environment if slot.watch is not None else {})
        except OSError as why:  # supervisor/process.py: FastCGISubprocess.before_spawn
            raise Failed(Faults.SPAWN_ERROR, str(why)) from None
        slot.watched = process.pid
        if process.spawnerr:
            raise Failed(Faults.SPAWN_ERROR, process.spawnerr)
        if trouble is not None:
            raise trouble

    def look_for_readiness(self, slot: Slot) -> None:
        """Look whether the new process of a slot is ready. Raises Failed."""
        process = slot.newest
        if process.pid and process.pid != slot.watched:
            # Somebody else, or Supervisor's autorestart, has spawned it. A process that was to
            # notify has no socket for that: Supervisor's state is all that can be known of it.
            slot.watched = process.pid
            try:
                self._watch(slot, process, spawned=True)
            except OSError as why:
                raise Failed(Faults.NOT_READY, 'cannot be seen: %s' % why) from None
        if slot.watch is not None:
            slot.watch.look()

    def _watch(self, slot: Slot, process: Any, spawned: bool = False) -> None:
        slot.close_watch()
        declared = slot.declaration
        if spawned and declared is not None and not declared.can_be_asked:
            declared = None
        if declared is not None or slot.noted is not None:
            slot.watch = self.readiness.watch(process, declared, self.delay,
                                              lambda: self._seen(slot), slot.noted)

    def _seen(self, slot: Slot) -> None:
        if slot.watch is not None and slot.watch.ready:
            self.log('info', '%s: ready: %s' % (slot.name, slot.watch.seen))
        self.changed(slot.name)

    def log(self, level: str, message: str) -> None:
        """Write a line about the group to supervisord's log."""
        getattr(self.supervisord.options.logger, level)(
            'restarter: %s: %s' % (self.group.config.name, message))


class Orphans:
    """The processes that run on in the process groups of processes that have ended.

    A process leads a process group of its own, so what is left of that has been left behind.
    """

    def __init__(self, readiness: Any, report: Any, clock: Any):
        self.readiness = readiness
        self.report = report
        self.clock = clock
        self._next = math.inf

    def due(self) -> float:
        """Return the seconds until they are to be looked at again."""
        return max(0.0, self._next - self.clock.monotonic())

    def are_awaited(self, slots: Iterable[Slot], deadline: float) -> bool:
        """Whether some may be about to end too; else, and at the deadline, warn of the orphans."""
        left = [(slot, pid) for slot in slots for pid in slot.orphaned]
        if left:
            running = self.readiness.groups_that_run(pid for _, pid in left)
            left = [(slot, pid) for slot, pid in left if pid in running]
        now = self.clock.monotonic()
        until = min(deadline, TO_FOLLOW + max((slot.orphaned[pid] for slot, pid in left),
                                              default=-math.inf))
        if now < until:
            self._next = min(now + FOLLOWING, until)
            return True
        for slot, pid in left:
            self.report.warn(
                slot, Faults.LEFT_BEHIND, 'pid %d has ended, and others of its process group run '
                'on: begin the command of the program with exec, or set stopasgroup = true' % pid)
        return False
