"""The plan of a call for a group, or the fault that says why there can be none."""

from typing import Any, Dict, Optional, Sequence

from supervisor.options import make_namespec

from supervisor_restarter.daemon.configuration import cannot_start
from supervisor_restarter.restart.faults import Faults, RPCError
from supervisor_restarter.restart.plan import Action, CannotUpdate, Plan, to_restart, to_update
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
    try:
        plan = to_update(group, configs[name], restart)
    except CannotUpdate as why:
        raise RPCError(Faults.CANT_UPDATE, '%s: %s' % (name, why)) from None
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
