"""What a restart does to processes: all of its effects are here."""

import contextlib
import copy
import functools
import time
from typing import Any, Callable, Iterator, Optional

from supervisor import events
from supervisor.states import ProcessStates

from supervisor_restarter.daemon.child import spawning
from supervisor_restarter.daemon.children import reap
from supervisor_restarter.daemon.logs import SharedLogs
from supervisor_restarter.daemon.words import listen_to
from supervisor_restarter.restart.configs import Configs, same_logs
from supervisor_restarter.restart.faults import Faults
from supervisor_restarter.restart.plan import Plan
from supervisor_restarter.restart.slot import Phase, Slot, Standing

# What is added to the name of a slot for the second process that it has for a while.
SUCCESSOR, PREDECESSOR = '.new', '.old'


def name_of_slot(second: str) -> str:
    """Return the name of the slot whose second process has a name; else that name."""
    for suffix in (SUCCESSOR, PREDECESSOR):
        if second.endswith(suffix):
            return second[:-len(suffix)]
    return second


class Hands:
    """Spawns, stops, and moves the processes of one group.

    `readiness` makes the watches for new processes; `delay` are the seconds between two of their
    looks at most, and `changed(name)` is called when one has seen something. `clock` is for logs.
    """

    def __init__(self, supervisord: Any, group: Any, plan: Plan, readiness: Any, delay: float,
                 changed: Callable[[str], None], clock: Any = time):
        self.supervisord = supervisord
        self.group = group
        self.configs = Configs(group, plan)
        self.readiness = readiness
        self.delay = delay
        self.changed = changed
        self.clock = clock
        self._child: Any = None
        # Processes that are all down give their shared socket back, and connections are refused
        # (supervisor/socket_manager.py: ReferenceCounter); so it is held until they are up.
        manager = getattr(group, 'socket_manager', None)
        self._socket = manager.get_socket() if manager and manager.is_prepared() else None

    def rest(self) -> None:
        """Hold nothing any more."""
        self.configs.note()
        self._socket = None

    def has(self, slot: Slot) -> bool:
        """Whether the group still has the process of a slot, or is yet to have it."""
        return slot.is_to_come or self.group.processes.get(slot.name) is slot.process

    def reap(self, until: float, clock: Any) -> None:
        """Let supervisord collect what has ended, until a monotonic time."""
        reap(self.supervisord, until, clock)

    @contextlib.contextmanager
    def spawning(self) -> Iterator[None]:
        """Spawn inside of this."""
        with spawning(self.supervisord.options) as self._child:
            yield
        self._child = None

    def spawn_anew(self, slot: Slot) -> Optional[Standing]:
        """Spawn the process of a slot; return where that leaves it, unless all is well."""
        standing = self.spawn(slot, slot.process)
        self.configs.put_in(slot)
        return standing

    def spawn(self, slot: Slot, process: Any) -> Optional[Standing]:
        """Spawn the new process of a slot; return where that leaves it, unless all is well."""
        if process.get_state() == ProcessStates.BACKOFF:
            process.stop()
        slot.close_words()
        slot.words = listen_to(process)
        trouble = self._watch(slot, process)
        self._child.environment = slot.watch.environment if slot.watch is not None else {}
        try:
            process.spawn()
        except OSError as why:  # supervisor/process.py: FastCGISubprocess.before_spawn
            return Standing(Phase.FAILED, Faults.SPAWN_ERROR, str(why))
        slot.watched = process.pid
        if process.spawnerr:
            return Standing(Phase.FAILED, Faults.SPAWN_ERROR, process.spawnerr)
        return trouble

    def watch_again(self, slot: Slot) -> None:
        """Watch a process that somebody else, or Supervisor's autorestart, has spawned.

        One that was to notify has no socket for that: where Supervisor's state is all that can be
        known of it, that has to do.
        """
        slot.close_watch()
        slot.watched = slot.newest.pid
        if slot.declaration is not None and slot.declaration.can_be_asked:
            self._watch(slot, slot.newest)

    def _watch(self, slot: Slot, process: Any) -> Optional[Standing]:
        slot.close_watch()
        if slot.declaration is None:
            return None
        try:
            slot.watch = self.readiness.watch(process, slot.declaration, self.delay,
                                              lambda: self._seen(slot))
        except OSError as why:  # It is down, and so it has to come up all the same.
            return Standing(Phase.FAILED, Faults.NOT_READY, 'cannot be seen: %s' % why)
        return None

    def _seen(self, slot: Slot) -> None:
        if slot.watch is not None and slot.watch.ready:
            self.log('info', '%s: ready: %s' % (slot.name, slot.watch.seen))
        self.changed(slot.name)

    def stop(self, process: Any) -> Optional[Standing]:
        """Tell a process to stop; return where that leaves its slot, unless all is well."""
        message = process.stop()
        if message is None:
            return None
        # The message ends with the traceback's last line (supervisor/process.py: kill).
        return Standing(Phase.FAILED, Faults.STOP_FAILED, message.strip().splitlines()[-1])

    # two processes in one slot; supervisord handles what it finds in `group.processes`

    def spawn_successor(self, slot: Slot) -> Optional[Standing]:
        """Spawn a second process for a slot, beside the one that has it.

        To the program its name is that of the slot. Returns where that leaves the slot, unless all
        is well.
        """
        config = self._named(slot.config, slot.name + SUCCESSOR)
        config.environment = dict({'SUPERVISOR_PROCESS_NAME': slot.name},
                                  **(config.environment or {}))
        slot.beside = config.make_process(self.group)
        slot.logs = SharedLogs(slot.name, same_logs(slot.process.config, config),
                               functools.partial(self.changed, slot.name), self.clock)
        standing = self.spawn(slot, slot.beside)
        # One that raised is nothing that supervisord should try to start (supervisor/process.py:
        # transition, autostart).
        self.group.processes[config.name] = slot.beside
        slot.logs.join(slot.process, slot.beside)
        return standing

    def hand_over(self, slot: Slot) -> None:
        """Give the slot to its successor; the predecessor is then the one beside."""
        old, new = slot.process, slot.beside
        processes = self.group.processes
        del processes[new.config.name]
        new.config, old.config = slot.config, self._named(old.config, slot.name + PREDECESSOR)
        processes[slot.name], processes[old.config.name] = new, old
        slot.process, slot.beside = new, old
        self.configs.note()
        self.log('info', '%s: %s takes over from %s' % (slot.name, _pid_of(new), _pid_of(old)))
        if new.get_state() == ProcessStates.RUNNING:
            # It became so under another name; who follows the slot by its name is told now.
            events.notify(events.ProcessStateRunningEvent(new, ProcessStates.STARTING))

    def let_go(self, slot: Slot) -> Optional[Standing]:
        """Stop the process beside the one that has the slot, and remove it when it is down.

        Returns where that leaves the slot, unless all is well.
        """
        leaving, standing = slot.beside, None
        state = leaving.get_state()
        if state in (ProcessStates.STARTING, ProcessStates.RUNNING, ProcessStates.BACKOFF):
            standing = self.stop(leaving)
        if leaving.get_state() == ProcessStates.UNKNOWN:
            # It cannot be stopped, and stays where everybody can see it; in Supervisor 4.1 without
            # its process id (supervisor/process.py: kill).
            slot.beside = None
        elif not leaving.pid:
            if self.group.processes.get(leaving.config.name) is leaving:
                del self.group.processes[leaving.config.name]
            slot.beside = None
        if slot.beside is None:
            slot.part_logs()
        return standing

    @staticmethod
    def _named(config: Any, name: str) -> Any:
        named = copy.copy(config)
        named.name = name
        return named

    def log(self, level: str, message: str) -> None:
        """Write a line about the group to supervisord's log."""
        getattr(self.supervisord.options.logger, level)(
            'restarter: %s: %s' % (self.group.config.name, message))


def _pid_of(process: Any) -> str:
    return 'pid %d' % process.pid if process.pid else 'one that has ended'
