"""What supervisorctl's own stop and start are told of a restart that the plugin has carried out."""

import xmlrpc.client
from typing import Any, Callable, Dict, List, Set

from supervisor.options import make_namespec, split_namespec
from supervisor.states import RUNNING_STATES
from supervisor.xmlrpc import Faults

from supervisor_restarter.commands.errands import SPAWN_ERROR, START_FAILED
from supervisor_restarter.commands.reports import Report

# The sentences with which supervisord refuses a program before it is spawned
# (supervisor/options.py: check_execv_args), and Supervisor's fault for each.
_REFUSED = {"can't find command": Faults.NO_FILE, 'is not executable': Faults.NOT_EXECUTABLE,
            'is a directory': Faults.NOT_EXECUTABLE, 'no permission': Faults.NOT_EXECUTABLE}


class Done:
    """The namespace of supervisord for Supervisor's own commands, after a restart.

    Its stops and starts do nothing: they answer what became of each process, in the form and with
    the faults of Supervisor's own. All else is asked of `supervisor`. `before` is what
    getAllProcessInfo told at the begin; `phases` are those of the processes of groups of which one
    was down then, by their names, and `reports` say what went wrong.
    """

    def __init__(self, supervisor: Any, before: List[Dict[str, Any]], phases: Dict[str, str],
                 reports: List[Report]):
        self._supervisor = supervisor
        self._names: Dict[str, List[str]] = {}
        for info in before:
            self._names.setdefault(info['group'], []).append(_name(info))
        self._ran = {_name(info) for info in before if info['state'] in RUNNING_STATES}
        after = {_name(info): (info['pid'], info['start'])
                 for info in supervisor.getAllProcessInfo()}
        same = {_name(info): after.get(_name(info)) == (info['pid'], info['start'])
                for info in before}
        self._kept = {_name(info) for info in before if info['pid'] and same[_name(info)]}
        # One that has ended at once was started too: its phase tells, where there was a restart.
        ended_early = {report.group for report in reports
                       if any(not fault['name'] for fault in report.faults)}
        self._left = {_name(info) for info in before if not info['pid'] and same[_name(info)]
                      and (phases.get(_name(info), 'waiting') == 'waiting'
                           or info['group'] in ended_early)}
        self._faults = {make_namespec(fault['group'], fault['name']): fault
                        for report in reports for fault in report.faults if fault['name']}
        self._stopped: Set[str] = set()
        self._started: Set[str] = set()

    def __getattr__(self, method: str) -> Any:
        return getattr(self._supervisor, method)

    def to_start(self, names: List[str]) -> List[str]:
        """Return the names without those of processes that were left STOPPED or EXITED."""
        return [name for name in names if make_namespec(*_parts(name)) not in self._left]

    def stopAllProcesses(self) -> List[Dict[str, Any]]:
        """Answer as Supervisor's stopAllProcesses does."""
        return [result for group in self._names for result in self.stopProcessGroup(group)]

    def stopProcessGroup(self, group: str) -> List[Dict[str, Any]]:
        """Answer as Supervisor's stopProcessGroup does."""
        if group not in self._names:  # it has no process, or there is no such group
            return self._supervisor.stopProcessGroup(group)
        return [_result(self.stopProcess, name) for name in self._names[group]
                if name in self._ran - self._stopped - self._kept]

    def stopProcess(self, name: str) -> bool:
        """Answer as Supervisor's stopProcess does."""
        name = self._known(name)
        if name not in self._ran - self._stopped:
            raise xmlrpc.client.Fault(Faults.NOT_RUNNING, name)
        if name in self._kept:
            raise xmlrpc.client.Fault(Faults.FAILED, '%s: ERROR (left as it was)' % name)
        self._stopped.add(name)
        return True

    def startAllProcesses(self) -> List[Dict[str, Any]]:
        """Answer as Supervisor's startAllProcesses does."""
        return _refused_first([result for group in self._names
                               for result in self.startProcessGroup(group)])

    def startProcessGroup(self, group: str) -> List[Dict[str, Any]]:
        """Answer as Supervisor's startProcessGroup does."""
        if group not in self._names:
            return self._supervisor.startProcessGroup(group)
        return _refused_first([
            _result(self.startProcess, name) for name in self._names[group]
            if name in self._faults or name not in self._started | self._kept | self._left])

    def startProcess(self, name: str) -> bool:
        """Answer as Supervisor's startProcess does."""
        name = self._known(name)
        if name in self._faults:
            raise xmlrpc.client.Fault(_code(self._faults[name]), name)
        if name in self._started | self._kept:
            raise xmlrpc.client.Fault(Faults.ALREADY_STARTED, name)
        self._started.add(name)
        return True

    def _known(self, name: str) -> str:
        group, process = _parts(name)
        name = make_namespec(group, process)
        if name not in self._names.get(group, []):
            raise xmlrpc.client.Fault(Faults.BAD_NAME, name)
        return name


def _parts(name: str) -> Any:
    group, process = split_namespec(name)
    return group, process or '*'


def _name(info: Dict[str, Any]) -> str:
    return make_namespec(info['group'], info['name'])


def _result(call: Callable[[str], bool], name: str) -> Dict[str, Any]:
    group, process = split_namespec(name)
    about = {'group': group, 'name': process, 'status': Faults.SUCCESS, 'description': 'OK'}
    try:
        call(name)
    except xmlrpc.client.Fault as fault:
        about.update(status=fault.faultCode, description=fault.faultString)
    return about


def _refused_first(results: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    # Supervisor knows of these before the others have come up, and the exit status is that of the
    # last (supervisor/rpcinterface.py: make_allfunc).
    return sorted(results, key=lambda result: result['status'] not in _REFUSED.values())


def _code(fault: Dict[str, Any]) -> int:
    if fault['code'] not in (SPAWN_ERROR, START_FAILED):
        return Faults.ABNORMAL_TERMINATION
    for sentence, code in _REFUSED.items():
        if sentence in fault['text']:
            return code
    return Faults.SPAWN_ERROR
