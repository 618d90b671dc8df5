"""Carries a command line out: makes its errands, and says how they went."""

import contextlib
import sys
import xmlrpc.client
from typing import Any, Callable, Dict, List

from supervisor.options import make_namespec
from supervisor.xmlrpc import Faults

from supervisor_restarter.commands import side_by_side
from supervisor_restarter.commands.errands import ADD, REMOVE, Errand
from supervisor_restarter.commands.names import NoSuchName, Target, check_groups, targets
from supervisor_restarter.commands.options import RESTART, UPDATE, Asked
from supervisor_restarter.commands.progress import progress
from supervisor_restarter.commands.reports import Report, failed


def errands(asked: Asked, proxy: Any) -> List[Errand]:
    """Return the errands of a command line.

    `proxy` is an `xmlrpc.client.ServerProxy`. Raises names.NoSuchName; what is wrong with the
    connection is raised too.
    """
    if asked.action == UPDATE and 'all' in asked.names:
        return _whole_file(asked, proxy)
    chosen = targets(asked.names, proxy.supervisor.getAllProcessInfo,
                     lambda name: asked.action == UPDATE or _is_group(name, proxy))
    if asked.action not in (RESTART, UPDATE):
        for target in chosen:
            if target.processes:
                raise NoSuchName('%s: names a process; this takes a group, such as %s' % (
                    make_namespec(target.group, target.processes[0]), target.group))
    return side_by_side.errands(chosen, asked)


def _is_group(name: str, proxy: Any) -> bool:
    try:
        proxy.restarter.getRestartInfo(name)
    except xmlrpc.client.Fault:  # 1.1.0 does not know the call
        return False
    return True


def _whole_file(asked: Asked, proxy: Any) -> List[Errand]:
    groups = {info['group'] for info in proxy.supervisor.getAllProcessInfo()}
    try:
        # The plugin reads the file with nothing of supervisord's changed, also where it cannot be
        # read; Supervisor's own reloadConfig has changed half of it by then.
        for group in sorted(groups)[:1]:
            _read_file(group, proxy)
        added, changed, removed = proxy.supervisor.reloadConfig()[0]
    except xmlrpc.client.Fault as fault:
        unread = Errand(Target(''), asked)
        unread.report = failed('', fault.faultCode, fault.faultString)
        return [unread]
    actions = {**dict.fromkeys(groups.union(changed), UPDATE), **dict.fromkeys(added, ADD),
               **dict.fromkeys(removed, REMOVE)}
    check_groups(asked.names, actions)
    few = len(actions) <= side_by_side.FEW
    return [Errand(Target(group), asked, few, action) for group, action in sorted(actions.items())]


def _read_file(group: str, proxy: Any) -> None:
    try:
        proxy.restarter.updateProcessGroup(group, {'dry_run': True})
    except xmlrpc.client.Fault as fault:
        if fault.faultCode == Faults.CANT_REREAD:
            raise xmlrpc.client.Fault(fault.faultCode, fault.faultString.replace(
                ': %s: ' % group, ': ', 1)) from None


def shown_progress(asked: Asked, errands: List[Errand], connect: Callable[[], Any]) -> Any:
    """Return a context in which a person at a terminal sees how the errands stand."""
    waits = 'follow' in asked.flags or (
        asked.action in (RESTART, UPDATE) and asked.call.get('wait', True)
        and not asked.call.get('dry_run'))
    if not waits or 'quiet' in asked.flags or not sys.stderr.isatty():
        return contextlib.nullcontext()
    return progress(errands, connect, sys.stderr)


def reports(errands: List[Errand]) -> List[Report]:
    """Return the reports that there are; that the file cannot be read is said once."""
    there = [errand.report for errand in errands if errand.report is not None]
    unread = [report for report in there if [fault['code'] for fault in report.faults] == [
        Faults.CANT_REREAD]]
    if len(unread) < 2:
        return there
    text = unread[0].faults[0]['text'].replace(': %s: ' % unread[0].group, ': ', 1)
    return [failed('', Faults.CANT_REREAD, text),
            *(report for report in there if report not in unread)]


def document(reports: List[Report], status: int, error: str = '') -> Dict[str, Any]:
    """Return the JSON document of a command."""
    about = {'status': status, 'groups': [report.document() for report in reports]}
    return dict(about, error=error) if error else about


def interruption(errands: List[Errand], cancel: Callable[[List[str]], str]) -> List[str]:
    """Return the sentences for Ctrl-C: what goes on in supervisord, and what does not begin.

    `cancel` returns the command that cancels the restarts of these groups.
    """
    queued = [errand.group for errand in errands if errand.queued and not errand.ended]
    going = [errand.group for errand in errands if not errand.queued and not errand.ended]
    sentences = []
    if going and errands[0].asked.action in (RESTART, UPDATE):
        sentences.append('%s: interrupted; the restart goes on in supervisord. To stop it: %s'
                         % (', '.join(going), cancel(going)))
    elif going:
        sentences.append('%s: interrupted' % ', '.join(going))
    if queued:
        sentences.append('%s: interrupted; not begun' % ', '.join(queued))
    return sentences
