"""What differs between two configurations that Supervisor has read."""

from typing import Any, List, Tuple

from supervisor.datatypes import Automatic
from supervisor.options import ProcessConfig

# Supervisor's names for what the configuration file calls otherwise.
_IN_THE_FILE = {'uid': 'user', 'socket_config': 'socket', 'pool_events': 'events'}

# What may differ without a change of the group as a whole. A group's priority only says when it is
# stopped, among the other groups, as supervisord ends.
_NOT_THE_WHOLE = ('options', 'name', 'priority', 'process_configs')

_LOG_OPTIONS = ('logfile', 'logfile_maxbytes', 'logfile_backups', 'syslog')


def of_processes(old: Any, new: Any) -> Tuple[str, ...]:
    """Return the options in which two processes differ, by their names in the file."""
    # Supervisor's own comparison, and so what reread and update see; but by name
    # (supervisor/options.py: ProcessConfig.__eq__).
    differing = []
    for name in ProcessConfig.req_param_names + ProcessConfig.optional_param_names:
        values = [getattr(old, name), getattr(new, name)]
        if Automatic not in values and values[0] != values[1]:
            differing.append(_IN_THE_FILE.get(name, name))
    return tuple(differing)


def of_groups(old: Any, new: Any) -> List[str]:
    """Return the options in which two groups differ as a whole, by their names in the file."""
    return sorted(_IN_THE_FILE.get(name, name) for name in vars(new)
                  if name not in _NOT_THE_WHOLE and getattr(old, name) != getattr(new, name))


def of_sockets(old: Any, new: Any) -> List[str]:
    """Return the options in which the sockets of two groups differ that are the same to Supervisor.
    """
    # supervisor/datatypes.py: SocketConfig.__eq__ goes by the address alone.
    sockets = [getattr(config, 'socket_config', None) for config in (old, new)]
    return ['socket_%s' % name for name in ('mode', 'owner', 'backlog')
            if len({repr(getattr(one, name, None)) for one in sockets}) > 1]


def same_logs(old: Any, new: Any) -> List[str]:
    """Return for which of stdout and stderr two processes have the same log."""
    return [channel for channel in ('stdout', 'stderr')
            if all(getattr(old, name) == getattr(new, name) for name in [
                '%s_%s' % (channel, option) for option in _LOG_OPTIONS])]
