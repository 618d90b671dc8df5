"""What is to be done with one group: its calls, in their order, and the report of them.

Each errand is told once, as a generator; `side_by_side` makes its calls. It yields a
`Call` and is sent what supervisord answers, or has the fault thrown in; it yields None to wait a
moment; it returns a `Report`.
"""

import xmlrpc.client
from typing import Any, Dict, Generator, List, NamedTuple, Optional

from supervisor.xmlrpc import Faults

from supervisor_restarter.commands.connection import missing_sections, older
from supervisor_restarter.commands.names import Target
from supervisor_restarter.commands.options import (
    CANCEL,
    INFO,
    RESTART,
    UPDATE,
    Asked,
    as_typed,
    newer,
)
from supervisor_restarter.commands.reports import PLANNED, Report, carried_out, failed, told

# Where the whole file is applied: what is done with a group that is new in it, or gone.
ADD, REMOVE = 'add', 'remove'

RUNNING = ('RESTARTING', 'SETTLING')

# The codes of supervisord's side (supervisor_restarter/restart/faults.py).
RESTART_IN_PROGRESS = 0x440
NO_RESTART = 0x441
CANT_UPDATE = 0x470
START_FAILED = 0x430
SPAWN_ERROR = Faults.SPAWN_ERROR
_ENDS = (0x420, 0x450, 0x451)  # TIMEOUT, STOPPED_EARLY, CANCELLED: a restart was begun, and ended


class Call(NamedTuple):
    """A call to supervisord: its method with the namespace, and what it is given."""

    method: str
    arguments: List[Any] = []


Story = Generator[Optional[Call], Any, Any]


class Errand:
    """An errand for one target, a group or some of its processes.

    `action` is one of those of `options`, or ADD or REMOVE, and by default what is asked for.
    `queued`: it waits until another restart of the group has ended. `report`: None until the
    errand has ended. With `waiting` its restart is one call, which is answered when it ends;
    without, a call begins the restart, and others ask how it stands.
    """

    def __init__(self, target: Target, asked: Asked, waiting: bool = True, action: str = ''):
        self.group = target.group
        self.action = action or asked.action
        self.target = target
        self.asked = asked
        self.waiting = waiting
        self.queued = False
        self.report: Optional[Report] = None
        self.trouble: Optional[Exception] = None  # with the connection

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to do."""
        return self.report is not None or self.trouble is not None

    def story(self) -> Story:
        """Do it; see the module. A fault becomes part of the report."""
        do = {RESTART: self._restart, UPDATE: self._update, INFO: self._info,
              CANCEL: self._cancel, ADD: self._add, REMOVE: self._remove}[self.action]
        try:
            self.report = yield from do()
        except xmlrpc.client.Fault as fault:
            self.report = failed(self.group, fault.faultCode, (yield from self._sentence(fault)))
            if fault.faultCode in _ENDS:
                yield from self._add_warnings()

    def _restart(self) -> Story:
        options = self._options()
        result = yield from self._in_turn('restartProcessGroup', options)
        if not options.get('wait', True):
            return Report(self.group, 'restart begun')
        return (yield from self._outcome(result, Report(self.group, 'restarted')))

    def _update(self) -> Story:
        options = self._options()
        if options.get('dry_run'):
            plan = yield Call('restarter.updateProcessGroup', [self.group, options])
            return told(self.group, plan)
        dry = dict(self._options('processes', 'only_running'), dry_run=True)
        plan = yield from self._in_turn('updateProcessGroup', dry)
        result = yield from self._in_turn('updateProcessGroup', options)
        if not options.get('wait', True):
            return Report(self.group, 'update begun')
        return (yield from self._outcome(result, carried_out(self.group, plan)))

    def _info(self) -> Story:
        info = yield Call('restarter.getRestartInfo', [self.group])
        if 'follow' not in self.asked.flags:
            return Report(self.group, info=info)
        if info['state'] == 'IDLE':
            return failed(self.group, NO_RESTART, 'NO_RESTART: has not been restarted')
        info = yield from self._end(info)
        return Report(self.group, 'restarted', faults=info['faults'],
                      warnings=info.get('warnings', []))

    def _cancel(self) -> Story:
        yield Call('restarter.cancelRestart', [self.group])
        return Report(self.group, 'cancelled')

    def _add(self) -> Story:
        if self.asked.call.get('dry_run'):
            return Report(self.group, PLANNED, 'to add')
        yield Call('supervisor.addProcessGroup', [self.group])
        return Report(self.group, 'added')

    def _remove(self) -> Story:
        if self.asked.call.get('dry_run'):
            return Report(self.group, PLANNED, 'to remove')
        if (yield Call('restarter.getRestartInfo', [self.group]))['state'] in RUNNING:
            yield from self._turn(xmlrpc.client.Fault(
                RESTART_IN_PROGRESS,
                'RESTART_IN_PROGRESS: %s: is being restarted already' % self.group))
        results = yield Call('supervisor.stopProcessGroup', [self.group, self.waiting])
        if any(result['status'] == Faults.FAILED for result in results):
            return failed(self.group, Faults.FAILED, 'FAILED: not removed, since some of its '
                          'processes cannot be stopped')
        while True:
            try:
                yield Call('supervisor.removeProcessGroup', [self.group])
                return Report(self.group, 'removed')
            except xmlrpc.client.Fault as fault:
                if self.waiting or fault.faultCode != Faults.STILL_RUNNING:
                    raise
            yield None

    # what they share

    def _options(self, *names: str) -> Dict[str, Any]:
        given = dict(self.asked.call)
        if self.target.processes:
            given['processes'] = list(self.target.processes)
        return {name: value for name, value in given.items() if not names or name in names}

    def _in_turn(self, method: str, options: Dict[str, Any]) -> Story:
        """Make the call that begins it, as soon as no other restart of the group runs, if asked."""
        if not self.waiting and not options.get('dry_run'):
            options = dict(options, wait=False)
        call = Call('restarter.' + method, [self.group, options] if options else [self.group])
        while True:
            try:
                return (yield call)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != RESTART_IN_PROGRESS:
                    raise
                yield from self._turn(fault)

    def _turn(self, fault: xmlrpc.client.Fault) -> Story:
        """Wait until no restart of the group runs; raise the fault where that is not asked for."""
        if not {'queue', 'supersede'} & self.asked.flags:
            raise fault
        self.queued = True
        if 'supersede' in self.asked.flags:
            yield from self._cancel_if_there_is_one()
        while (yield Call('restarter.getRestartInfo', [self.group]))['state'] in RUNNING:
            yield None
        self.queued = False

    def _cancel_if_there_is_one(self) -> Story:
        try:
            yield Call('restarter.cancelRestart', [self.group])
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != NO_RESTART:
                raise

    def _outcome(self, result: Any, succeeded: Report) -> Story:
        """Return the report of a restart with this result, and with its warnings."""
        if not self.waiting:
            info = yield from self._end((yield Call('restarter.getRestartInfo', [self.group])))
            return succeeded._replace(faults=info['faults'], warnings=info.get('warnings', []))
        self.report = succeeded._replace(faults=[] if result is True else result)
        yield from self._add_warnings()
        return self.report

    def _add_warnings(self) -> Story:
        """Ask for the warnings of what has ended; the report is there already."""
        try:
            info = yield Call('restarter.getRestartInfo', [self.group])
        except xmlrpc.client.Fault:  # 1.1.0 does not know the call; or the group is gone meanwhile
            return
        if info['state'] not in RUNNING:  # else they are of somebody else's already
            self.report = self.report._replace(warnings=info.get('warnings', []))

    def _end(self, info: Dict[str, Any]) -> Story:
        """Wait until the restart ends, and return the last that is known of it."""
        elapsed = info['elapsed']
        while info['state'] in RUNNING:
            yield None
            info = yield Call('restarter.getRestartInfo', [self.group])
            if info['elapsed'] < elapsed:
                raise xmlrpc.client.Fault(Faults.FAILED, 'FAILED: another restart began before '
                                          'the outcome of this one was asked for')
            elapsed = info['elapsed']
        return info

    def _sentence(self, fault: xmlrpc.client.Fault) -> Story:
        """Return what there is to say of a fault: what is missing, what is older, or its text."""
        options = self._options()
        if fault.faultCode in (Faults.UNKNOWN_METHOD, Faults.INCORRECT_PARAMETERS):
            methods = yield Call('system.listMethods')
            missing = missing_sections(methods)
            if missing:
                return ' '.join(missing)
            api = yield Call('restarter.getAPIVersion')
            unknown = newer(options, tuple(int(part) for part in api.split('.')))
            if unknown:
                return older(api, ', '.join(unknown))
            if fault.faultCode == Faults.UNKNOWN_METHOD:
                return older(api, 'this call')
        if fault.faultCode == Faults.INCORRECT_PARAMETERS:
            return as_typed(fault.faultString, options)
        return fault.faultString
