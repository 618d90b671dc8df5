"""The plan of a call for a group, or the fault that says why there can be none."""

from collections import Counter
from typing import Any, Dict, Optional, Sequence

from supervisor.options import make_namespec

from supervisor_restarter.daemon import differences
from supervisor_restarter.daemon.configuration import cannot_start
from supervisor_restarter.daemon.states import BROKEN_STATES, OFF_STATES
from supervisor_restarter.restart.faults import Faults, RPCError
from supervisor_restarter.restart.plan import Action, Plan, Planned, to_restart
from supervisor_restarter.restart.restarts import Restarts
from supervisor_restarter.text import shown


def from_file(restarts: Restarts, name: str, configs: Dict[str, Any],
              restart: bool = False) -> Plan:
    """Return the plan that makes a group what its configuration in the file says.

    `configs` are those of the groups in the file, by name; `restart`: see `to_update`. Raises
    RPCError: RESTART_IN_PROGRESS; BAD_GROUP for a group that is not active or not in the file;
    CANT_UPDATE for a change of the group as a whole; SPAWN_ERROR where the file names a program
    that cannot be started.
    """
    if name in configs and name not in restarts.supervisord.process_groups:
        raise RPCError(Faults.BAD_GROUP, '%s: is in the file, but not active: use '
                       'supervisorctl update %s' % (name, name))
    group = restarts.idle_group(name)
    if name not in configs:
        raise RPCError(Faults.BAD_GROUP, '%s: is not in the file any more: use supervisorctl '
                       'update %s' % (name, name))
    plan = to_update(group, configs[name], restart)
    trouble = cannot_start(group, [slot.config for slot in plan.slots if slot.runs and (
        slot.changed or slot.action == Action.ADD)])
    if trouble is not None:
        process, why = trouble
        raise RPCError(Faults.SPAWN_ERROR, '%s: %s' % (make_namespec(name, process), why))
    return plan


def limited(restarts: Restarts, name: str, plan: Optional[Plan], processes: Sequence[str],
            only_running: bool) -> Plan:
    """Return the part of a plan that a call asks for; without a plan, of a restart of the group.

    With `processes` it leaves all others as they are. With `only_running` it leaves the processes
    that are down on purpose. Raises RPCError: BAD_GROUP, RESTART_IN_PROGRESS; and
    INCORRECT_PARAMETERS where there is no such process.
    """
    group = restarts.idle_group(name)
    plan = plan or to_restart(group)
    names = [slot.name for slot in plan.slots]
    for process in processes:
        if process not in names:
            raise RPCError(Faults.INCORRECT_PARAMETERS, '%s: has no process %s' % (
                name, shown(process)))
    if processes:
        plan = plan.only(processes, group)
    return plan.only_running(group) if only_running else plan


def to_update(group: Any, config: Any, restart: bool = False) -> Plan:
    """Return the plan that makes a group what `config`, its configuration in the file, says.

    A slot whose configuration is the same is kept; with `restart` its process is replaced too.
    Raises RPCError: CANT_UPDATE for a change of the group as a whole.
    """
    _check_group(group.config, config)
    names = Counter(wanted.name for wanted in config.process_configs)
    for name, times in names.items():
        if times > 1:
            raise _cannot_update(
                config, '%d of its processes have the name %s in the file' % (times, name))
    slots = [_planned(group.processes.get(wanted.name), wanted, restart)
             for wanted in config.process_configs]
    slots += [Planned(name, Action.REMOVE, process.config, runs=False)
              for name, process in group.processes.items() if name not in names]
    return Plan(tuple(slots), config)


def _planned(process: Any, wanted: Any, restart: bool) -> Planned:
    if process is None:
        return Planned(wanted.name, Action.ADD, wanted, runs=wanted.autostart)
    state, changed = process.get_state(), differences.of_processes(process.config, wanted)
    # As after supervisorctl update, or after a restart; and one that cannot be started, though it
    # was to run, is tried again.
    down = state in OFF_STATES
    runs = restart or not down or wanted.autostart
    if changed:
        return Planned(wanted.name, Action.REPLACE, wanted, changed, runs)
    if restart or state in BROKEN_STATES:
        return Planned(wanted.name, Action.REPLACE, process.config)
    return Planned(wanted.name, Action.KEEP, process.config, runs=not down)


def _check_group(old: Any, new: Any) -> None:
    advice = 'which concerns the group as a whole: use supervisorctl update %s' % new.name
    if type(old) is not type(new):
        raise _cannot_update(new, 'it is of another kind in the file, %s' % advice)
    changed = differences.of_groups(old, new)
    if changed:
        raise _cannot_update(new, 'the file changes its %s, %s' % (', '.join(changed), advice))
    changed = differences.of_sockets(old, new)
    if changed:
        raise _cannot_update(
            new, 'the file changes its %s, which a socket gets when it is opened, and '
            'supervisorctl update does not see that: use supervisorctl stop %s:*, remove %s and '
            'add %s' % (', '.join(changed), new.name, new.name, new.name))


def _cannot_update(config: Any, why: str) -> RPCError:
    return RPCError(Faults.CANT_UPDATE, '%s: %s' % (config.name, why))
