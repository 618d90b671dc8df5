"""supervisorctl's own commands restart and update, carried out by the plugin.

What they print, and how supervisorctl exits, is Supervisor's own code: its command runs with a
namespace that tells what has been done already. Where the plugin cannot, Supervisor's own does it.
"""

import contextlib
import sys
import xmlrpc.client
from typing import Any, Dict, Iterator, List, Optional, Tuple

from supervisor.options import make_namespec, split_namespec
from supervisor.supervisorctl import LSBInitExitStatuses
from supervisor.xmlrpc import Faults

from supervisor_restarter.commands import command, output, side_by_side
from supervisor_restarter.commands.connection import TROUBLE, connection_trouble, older
from supervisor_restarter.commands.done import Done
from supervisor_restarter.commands.errands import CANT_UPDATE, Errand
from supervisor_restarter.commands.names import Target
from supervisor_restarter.commands.options import API, RESTART, UPDATE, Asked
from supervisor_restarter.commands.reports import Report


class TakenOver:
    """Takes commands over from supervisorctl's own plugin, whose methods it replaces.

    supervisorctl asks its own plugin first (supervisor/supervisorctl.py: Controller._get_do_func).
    """

    def __init__(self, own: Any):
        self.own = own
        self.ctl = own.ctl
        self._restart, self._help_restart = own.do_restart, own.help_restart
        self._update, self._help_update = own.do_update, own.help_update

    def take_restart(self) -> None:
        """Take over `restart`."""
        self.own.do_restart, self.own.help_restart = self.do_restart, self.help_restart

    def take_update(self) -> None:
        """Take over `update`."""
        self.own.do_update, self.own.help_update = self.do_update, self.help_update

    def help_restart(self) -> None:
        """Print the help of Supervisor's own, and whose it is."""
        self._help_restart()
        self.ctl.output('It goes through the plugin supervisor-restarter: as configured for each '
                        'group.')

    def help_update(self) -> None:
        """Print the help of Supervisor's own, and whose it is."""
        self._help_update()
        self.ctl.output('A changed group goes through the plugin supervisor-restarter: only what '
                        'changed is restarted, as configured for the group.')

    def do_restart(self, arg: str) -> None:
        """Restart what is named, as Supervisor's own does."""
        names = arg.split()
        api = self._api('restart') if names else None
        if api is None:
            return self._restart(arg)
        before = self.ctl.get_supervisor().getAllProcessInfo()
        chosen = _chosen(names, before)
        if api < API and any(target.processes for target in chosen):
            self._remark("restart: %s; Supervisor's own does it" % older(
                '.'.join(map(str, api)), 'single processes of a group'))
            return self._restart(arg)
        errands = self._carry_out(RESTART, chosen)
        if errands is None:
            return None
        reports = command.reports(errands)
        done = Done(self.ctl.get_supervisor(), before, self._standing(chosen, before), reports)
        with self._namespace(done):
            self.own.do_stop(arg)
            names = done.to_start(names)
            if names:
                self.own.do_start(' '.join(names))
        for report in reports:
            self._tell(report)
        return None

    def do_update(self, arg: str) -> None:
        """Update what is named, or all, as Supervisor's own does."""
        if self._api('update') is None:
            return self._update(arg)
        supervisor = self.ctl.get_supervisor()
        try:
            added, changed, removed = supervisor.reloadConfig()[0]
        except xmlrpc.client.Fault:
            return self._update(arg)  # which says what is wrong
        names = set(arg.split())
        if 'all' in names:
            names = set()
        chosen = [group for group in changed if not names or group in names]
        if not chosen:
            return self._update(arg)
        known = {info['group'] for info in supervisor.getAllProcessInfo()}.union(added, changed)
        before = sorted(names - known) + [group for group in removed
                                          if not names or group in names]
        if before:
            self._update(' '.join(before))
        errands = self._carry_out(UPDATE, [Target(group) for group in chosen])
        if errands is None:
            return None
        after = [group for group in added if not names or group in names]
        for report in command.reports(errands):
            if [fault['code'] for fault in report.faults] == [CANT_UPDATE]:
                self._remark("%s: as Supervisor's own update does: %s"
                             % (report.group, report.faults[0]['text']))
                after.insert(0, report.group)
            else:
                self._tell_update(report)
        if after:
            self._update(' '.join(after))
        return None

    # what they share

    def _api(self, name: str) -> Optional[Tuple[int, ...]]:
        """Return the version of the plugin's API; None, and one remark, where it is not there."""
        try:
            api = self.ctl.get_server_proxy('restarter').getAPIVersion()
            return tuple(int(part) for part in api.split('.'))
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == Faults.UNKNOWN_METHOD:
                self._remark("%s: supervisord does not have the plugin; Supervisor's own does it"
                             % name)
        except TROUBLE:
            pass  # Supervisor's own says it, or asks for the login.
        return None

    def _carry_out(self, action: str, chosen: List[Target]) -> Optional[List[Errand]]:
        """Return the errands, which have ended; None where supervisord is gone, which is said."""
        # A second one at a time waits: Supervisor's own commands never refuse.
        asked = Asked(action, [target.group for target in chosen], {}, frozenset(['queue']))
        errands = side_by_side.errands(chosen, asked)
        try:
            with command.shown_progress(asked, errands, self.ctl.get_server_proxy):
                side_by_side.run(errands, self.ctl.get_server_proxy)
        except KeyboardInterrupt:
            self._fail(command.interruption(
                errands, lambda groups: 'cancelrestart ' + ' '.join(groups)))
            return None
        troubles = dict.fromkeys(connection_trouble(self.ctl.options.serverurl, errand.trouble)
                                 for errand in errands if errand.trouble is not None)
        if troubles:
            self._fail(troubles)
            return None
        return errands

    def _standing(self, chosen: List[Target], before: List[Dict[str, Any]]) -> Dict[str, str]:
        """Return where each process stands of those groups of which one was down: its phase."""
        phases = {}
        down = {info['group'] for info in before if not info['pid']}
        for target in chosen:
            if target.group in down:
                with contextlib.suppress(xmlrpc.client.Fault):  # it has been removed meanwhile
                    info = self.ctl.get_server_proxy('restarter').getRestartInfo(target.group, True)
                    phases.update({make_namespec(target.group, slot['name']): slot['phase']
                                   for slot in info['slots']})
        return phases

    @contextlib.contextmanager
    def _namespace(self, namespace: Any) -> Iterator[None]:
        self.ctl.get_supervisor = lambda: namespace
        try:
            yield
        finally:
            del self.ctl.get_supervisor

    def _tell(self, report: Report) -> None:
        """Say what Supervisor's own lines do not: why, and what is about the group."""
        for fault in report.faults:
            if fault['name']:
                self._remark('%s: %s' % (make_namespec(report.group, fault['name']),
                                         fault['text']))
            else:
                self._fail(['%s: ERROR (%s)' % (report.group, fault['text'])])
        output.write([str(line) for line in report.warning_lines()], sys.stderr)

    def _tell_update(self, report: Report) -> None:
        if report.faults:
            self._fail(str(line) for line in report.lines())
        else:
            if not any(slot['action'] == 'keep' for slot in report.plan or []):
                self.ctl.output('%s: stopped' % report.group)
            self.ctl.output('%s: updated process group' % report.group)
        output.write([str(line) for line in report.warning_lines()], sys.stderr)

    def _fail(self, lines: Any) -> None:
        for line in lines:
            self.ctl.output(line)
        self.ctl.exitstatus = LSBInitExitStatuses.GENERIC

    def _remark(self, sentence: str) -> None:
        output.write([sentence], sys.stderr)


def _chosen(names: List[str], infos: List[Dict[str, Any]]) -> List[Target]:
    """Return what the names mean to Supervisor's own restart, each group once."""
    chosen: Dict[str, List[str]] = {}
    there: Dict[str, List[str]] = {}
    for info in infos:
        there.setdefault(info['group'], []).append(info['name'])
    for name in list(there) if 'all' in names else names:
        group, process = (name, None) if 'all' in names else split_namespec(name)
        found = [each for each in there.get(group, []) if process in (None, each)]
        if found:
            chosen[group] = list(dict.fromkeys(chosen.get(group, []) + found))
    return [Target(group, () if len(some) == len(there[group]) else tuple(some))
            for group, some in chosen.items()]
