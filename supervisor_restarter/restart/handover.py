"""Two processes in one slot: a successor beside the old process, then a predecessor that leaves.

supervisord handles what it finds in `group.processes`, so each of the two has a name there.
"""

import copy
import functools
from typing import Any, Dict

from supervisor import events
from supervisor.options import make_namespec
from supervisor.states import ProcessStates

from supervisor_restarter.daemon.differences import same_logs
from supervisor_restarter.daemon.logs import SharedLogs
from supervisor_restarter.daemon.states import UP_STATES
from supervisor_restarter.restart.faults import CannotRestart, Failed, Faults
from supervisor_restarter.restart.processes import Processes
from supervisor_restarter.restart.slot import PREDECESSOR, SUCCESSOR, Slot


class HandOver:
    """Gives one slot from one process to another."""

    def __init__(self, slot: Slot, processes: Processes, clock: Any):
        self.slot = slot
        self.processes = processes
        self.clock = clock
        self.group = processes.group

    def check(self, slots: Dict[str, Slot], look: bool) -> None:
        """Raise CannotRestart where the slot cannot have a second process.

        `slots` are all of the restart, by name; `look`: at the process too, not at names alone.
        """
        slot = self.slot
        for taken in slot.second_names:
            if taken in self.group.processes or taken in slots:
                raise CannotRestart('%s: with max_surge a second process of %s would have this name'
                                    % (make_namespec(self.group.config.name, taken), slot.name))
        if look:
            try:
                self.processes.note(slot, surge=True)
            except Failed as why:
                raise CannotRestart('%s: %s' % (make_namespec(
                    self.group.config.name, slot.name), why.explanation)) from None
            slot.noted = None

    def start_successor(self) -> None:
        """Spawn a second process for the slot, beside the one that has it. Raises Failed.

        To the program its name is that of the slot.
        """
        slot = self.slot
        self._check_free()
        self.processes.check_spare()
        config = _named(slot, slot.config, SUCCESSOR)
        config.environment = dict({'SUPERVISOR_PROCESS_NAME': slot.name},
                                  **(config.environment or {}))
        slot.successor = self.processes.configs.make_process(slot, config)
        slot.logs = SharedLogs(slot.name, same_logs(slot.process.config, config),
                               functools.partial(self.processes.changed, slot.name), self.clock)
        # As every process, it is in its group when the first event is about it. One whose spawn
        # raises is let go at once, since supervisord would start it
        # (supervisor/process.py: transition, autostart).
        self.group.processes[config.name] = slot.successor
        try:
            self.processes.spawn(slot, slot.successor)
        finally:
            slot.logs.join(slot.process, slot.successor)

    def hand_over(self) -> None:
        """Give the slot to its successor; the old process is its predecessor then. Raises Failed.
        """
        slot, old, new = self.slot, self.slot.process, self.slot.successor
        self._check_free(new)
        processes = self.group.processes
        del processes[new.config.name]
        new.config, old.config = slot.config, _named(slot, old.config, PREDECESSOR)
        processes[slot.name], processes[old.config.name] = new, old
        slot.process, slot.predecessor, slot.successor = new, old, None
        if slot.noted is not None:
            slot.noted = slot.noted._replace(surge=False)
        self.processes.configs.note()
        self.processes.log('info', '%s: %s takes over from %s' % (
            slot.name, _pid_of(new), _pid_of(old)))
        if new.get_state() == ProcessStates.RUNNING:
            # It became so under another name; listeners that know the slot's name are told now.
            events.notify(events.ProcessStateRunningEvent(new, ProcessStates.STARTING))

    def let_go(self) -> None:
        """Stop the second process of the slot, and remove it when it is down. Raises Failed."""
        slot, leaving, trouble = self.slot, self.slot.second, None
        if leaving.get_state() in (*UP_STATES, ProcessStates.BACKOFF):
            try:
                self.processes.stop(slot, leaving)
            except Failed as why:
                trouble = why
        # UNKNOWN: it cannot be stopped, and stays where everybody can see it; in Supervisor 4.1
        # without its process id (supervisor/process.py: kill).
        if leaving.get_state() == ProcessStates.UNKNOWN or not leaving.pid:
            if leaving.get_state() != ProcessStates.UNKNOWN:
                if self.group.processes.get(leaving.config.name) is leaving:
                    del self.group.processes[leaving.config.name]
                self.processes.note_orphans(
                    slot, slot.watched if slot.predecessor is None else slot.pid_at_call,
                    self.clock.monotonic())
            slot.successor = slot.predecessor = None
            slot.part_logs()
        if trouble is not None:
            raise trouble

    def _check_free(self, successor: Any = None) -> None:
        """Raise Failed where somebody else has a process with a name for the second process."""
        for name in self.slot.second_names:
            if self.group.processes.get(name, successor) is not successor:
                raise Failed(Faults.START_FAILED, 'somebody else has added a process %s: a second '
                             'process of %s would have this name' % (name, self.slot.name))


def _pid_of(process: Any) -> str:
    return 'pid %d' % process.pid if process.pid else 'a process that has ended'


def _named(slot: Slot, config: Any, suffix: str) -> Any:
    named = copy.copy(config)
    named.name = slot.name + suffix
    return named
