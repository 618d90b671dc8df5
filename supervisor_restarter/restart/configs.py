"""The configurations of a group's slots, as they change one by one."""

import os
from typing import Any

from supervisor.datatypes import Automatic

from supervisor_restarter.restart.plan import Plan
from supervisor_restarter.restart.slot import Slot


class Configs:
    """Gives slots the configurations that a plan has for them.

    `group.config` says at each moment what the group really is: so `supervisorctl update`, or
    another call, finds what is left to do, wherever this one has ended.
    """

    def __init__(self, group: Any, plan: Plan):
        self.group = group
        self.plan = plan

    def prepare(self, slot: Slot) -> None:
        """Make the new configuration of a slot ready for use. Raises OSError.

        Automatic log files get their names; a slot that has such a file goes on with it. It may be
        prepared twice.
        """
        old, new = slot.process.config, slot.config
        if old is new and slot.name in self.group.processes:
            return
        for option in ('stdout_logfile', 'stderr_logfile'):
            # supervisor/options.py: ServerOptions.get_autochildlog_name
            prefix = '%s-%s---%s-' % (new.name, option.split('_')[0], new.options.identifier)
            log = getattr(old, option)
            if (getattr(new, option) is Automatic and isinstance(log, str)
                    and os.path.basename(log).startswith(prefix)):
                setattr(new, option, log)
        new.create_autochildlogs()

    def apply(self, slot: Slot) -> None:
        """Give the process of a slot, which is down, its new configuration. Raises OSError."""
        if not slot.has_new_configuration or slot.name not in self.group.processes:
            self.prepare(slot)
            slot.process.config = slot.config
            self.note()

    def apply_without_start(self, slot: Slot) -> None:
        """Let a slot have a process that was never started, with its new configuration.

        supervisord might start the old one, by its exit status and the new configuration
        (supervisor/process.py: transition, autorestart). Raises OSError.
        """
        self.prepare(slot)
        slot.process = self.make_process(slot, slot.config)
        self.group.processes[slot.name] = slot.process
        self.note()

    def make_process(self, slot: Slot, config: Any) -> Any:
        """Return another process for a slot, with what other plugins have added to its process.

        What they have put in the place of Supervisor's methods needs that, as `spawn` of supvisors.
        """
        process = config.make_process(self.group)
        for name, value in vars(slot.process).items():
            if not hasattr(process, name):
                setattr(process, name, value)
        return process

    def add(self, slot: Slot) -> None:
        """Add the process of a slot, which was spawned, to the group, if it is not there."""
        # supervisord would start one that it never tried to start, but raised
        # (supervisor/process.py: transition, autostart; FastCGISubprocess.before_spawn).
        if slot.name not in self.group.processes and slot.process.laststart:
            self.group.processes[slot.name] = slot.process
            self.note()

    def remove(self, slot: Slot) -> None:
        """Remove the process of a slot, which is down, from the group."""
        del self.group.processes[slot.name]
        self.note()

    def note(self) -> None:
        """Let `group.config` say what the group is now, in the order of the file."""
        if self.plan.config is not None:
            processes = self.group.processes
            self.group.config.priority = self.plan.config.priority
            # A new list: the old one may be that of what supervisord has read.
            self.group.config.process_configs = [
                processes[slot.name].config for slot in self.plan.slots if slot.name in processes]
