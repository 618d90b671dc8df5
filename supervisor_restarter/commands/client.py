"""What the console script and the commands for supervisorctl share: the calls, and what to say.

They speak XML-RPC and import nothing of the server side.
"""

import http.client
import socket
import xml.parsers.expat
import xmlrpc.client
from collections import Counter
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from supervisor.options import make_namespec, split_namespec
from supervisor.xmlrpc import Faults

from supervisor_restarter.commands.standing import awaited, summary

SECTIONS = {
    'restarter': 'supervisor.rpcinterface_factory = supervisor_restarter:make_rpcinterface',
    'supervisor': 'supervisor.rpcinterface_factory = '
                  'supervisor.rpcinterface:make_main_rpcinterface',
}

# What goes wrong below HTTP, at HTTP, and above it.
NO_CONNECTION = (OSError, http.client.RemoteDisconnected, http.client.IncompleteRead)
NO_HTTP = (http.client.HTTPException,)
NO_ANSWER = (xml.parsers.expat.ExpatError, xmlrpc.client.ResponseError)


class Line(NamedTuple):
    """One line about a group, or about one of its processes; `code` is 0 without a fault."""

    subject: str
    text: str
    code: int = 0
    is_process: bool = False

    @property
    def statement(self) -> str:
        """What is said of the subject."""
        return 'ERROR (%s)' % self.text if self.code else self.text

    def __str__(self) -> str:
        return '%s: %s' % (self.subject, self.statement)


def group_name(name: str) -> str:
    """Return the group that a user means: `web` for `web:*` and `web:`, else the name as it is."""
    group, process = split_namespec(name)
    return group if process is None else name


def restart(proxy: Any, group: str, options: Dict[str, Any]) -> List[Line]:
    """Restart a group, and return what there is to say, a line for the group being the last.

    `proxy` is an `xmlrpc.client.ServerProxy`; `options` are those of the call. Faults become lines;
    what is wrong with the connection is raised.
    """
    said = 'restarted' if options.get('wait', True) else 'restart begun'
    return _call(proxy, 'restartProcessGroup', [group, options] if options else [group],
                 lambda result: _lines(group, result, said))


def update(proxy: Any, group: str, options: Dict[str, Any]) -> List[Line]:
    """Make a group what the file says, and return what there is to say, as `restart` does."""
    if options.get('dry_run'):
        return _call(proxy, 'updateProcessGroup', [group, options],
                     lambda plan: plan_lines(group, plan))
    said = 'updated' if options.get('wait', True) else 'update begun'
    return _call(proxy, 'updateProcessGroup', [group, options] if options else [group],
                 lambda result: _lines(group, result, said))


def plan_lines(group: str, plan: List[Dict[str, Any]]) -> List[Line]:
    """Return a line for each process that would not be kept, and one for the group."""
    lines = []
    for slot in plan:
        if slot['action'] != 'keep':
            changed = ' (%s)' % ', '.join(slot['changed']) if slot['changed'] else ''
            lines.append(Line(make_namespec(group, slot['name']), slot['action'] + changed))
    actions = Counter(slot['action'] for slot in plan)
    told = ', '.join('%d to %s' % (count, action) for action, count in sorted(actions.items()))
    return [*lines, Line(group, told if lines else 'nothing to do')]


def _lines(group: str, result: Any, said: str) -> List[Line]:
    return [Line(group, said)] if result is True else fault_lines(group, result)


def cancel(proxy: Any, group: str) -> List[Line]:
    """Let the restart of a group settle, and return what there is to say, as `restart` does."""
    return _call(proxy, 'cancelRestart', [group], lambda result: [Line(group, 'cancelled')])


def info(proxy: Any, group: str) -> List[Line]:
    """Return how a restart stands, a line for the group being the first; see `restart`."""
    def lines(standing: Dict[str, Any]) -> List[Line]:
        about = [Line(make_namespec(group, entry['name']), 'awaiting ' + awaited(entry))
                 for entry in standing['awaiting']] + fault_lines(group, standing['faults'])
        return [Line(group, summary(standing)),
                *(Line('  ' + line.subject, line.statement) for line in about)]
    return _call(proxy, 'getRestartInfo', [group], lines)


def _call(proxy: Any, method: str, arguments: List[Any],
          lines: Callable[[Any], List[Line]]) -> List[Line]:
    try:
        return lines(getattr(proxy.restarter, method)(*arguments))
    except xmlrpc.client.Fault as fault:
        return [Line(arguments[0], explain(proxy, fault), fault.faultCode)]


def fault_lines(group: str, faults: List[Dict[str, Any]]) -> List[Line]:
    """Return a line for each fault of a list, the group's own being the last."""
    lines = [Line(make_namespec(fault['group'], fault['name']) if fault['name'] else group,
                  fault['text'], fault['code'], bool(fault['name'])) for fault in faults]
    return sorted(lines, key=lambda line: not line.is_process)


def explain(proxy: Any, fault: xmlrpc.client.Fault) -> str:
    """Return the sentence for a fault; for an unknown method, the section that is missing."""
    if fault.faultCode != Faults.UNKNOWN_METHOD:
        return fault.faultString
    missing = missing_sections(proxy)
    if missing:
        return ' '.join(missing)
    return "supervisord's restarter plugin is older and does not know this call"


def missing_sections(proxy: Any) -> List[str]:
    """Return a sentence for each namespace that supervisord would have to have, and has not."""
    there = {name.split('.')[0] for name in proxy.system.listMethods()}
    return ['supervisord does not have the %s namespace: add a section [rpcinterface:%s] with "%s" '
            'to its configuration and restart supervisord.' % (name, name, factory)
            for name, factory in sorted(SECTIONS.items()) if name not in there]


def login_trouble(url: str, username: Optional[str], password: Optional[str]) -> str:
    """Return the sentence for a server that refused a call without the right login."""
    # A login is only sent when it has both parts (supervisor/xmlrpc.py: SupervisorTransport).
    if username is None or password is None:
        return 'Server requires authentication'
    return '%s refused the login of %s' % (url, username)


def connection_trouble(url: str, why: Exception) -> str:
    """Return the sentence for what is wrong with the connection to `url`."""
    if isinstance(why, ConnectionRefusedError):
        return '%s refused connection' % url
    if isinstance(why, FileNotFoundError):
        return '%s no such file' % url
    if isinstance(why, socket.gaierror):
        return '%s unknown host' % url
    if isinstance(why, (ConnectionResetError, BrokenPipeError, http.client.IncompleteRead)):
        return '%s closed the connection; supervisord may be stopping' % url
    if isinstance(why, OSError):
        return '%s: %s' % (url, why.strerror or why)
    return '%s does not answer as supervisord does (%s)' % (url, type(why).__name__)
