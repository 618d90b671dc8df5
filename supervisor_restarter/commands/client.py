"""What the console script and the commands for supervisorctl share: options, the call, its outcome.

They speak XML-RPC and import nothing of the server side.
"""

import http.client
import socket
import xml.parsers.expat
import xmlrpc.client
from typing import Any, Dict, List, NamedTuple

from supervisor.options import make_namespec
from supervisor.xmlrpc import Faults

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

    def __str__(self) -> str:
        return '%s: %s' % (self.subject, 'ERROR (%s)' % self.text if self.code else self.text)


def seconds(value: str) -> float:
    """Return a number of seconds from the command line. Raises ValueError."""
    try:
        return float(value)
    except ValueError:
        raise ValueError('not a number of seconds') from None


def batches(value: str) -> int:
    """Return a number of batches from the command line. Raises ValueError."""
    try:
        return int(value)
    except ValueError:
        raise ValueError('not a whole number') from None


# The options of a call, as on the command line: long option -> (option of the call, from text).
# The server checks the values.
CALL_OPTIONS = {
    'timeout=': ('timeout', seconds),
    'stagger-factor=': ('stagger_factor', batches),
    'max-unavailable=': ('max_unavailable', str),
}


def restart(proxy: Any, group: str, options: Dict[str, Any]) -> List[Line]:
    """Restart a group, and return what there is to say, a line for the group being the last.

    `proxy` is an `xmlrpc.client.ServerProxy`; `options` are those of the call. Faults become lines;
    what is wrong with the connection is raised.
    """
    arguments = (group, options) if options else (group,)
    try:
        result = proxy.restarter.restartProcessGroup(*arguments)
    except xmlrpc.client.Fault as fault:
        return [Line(group, explain(proxy, fault), fault.faultCode)]
    if result is True:
        return [Line(group, 'restarted' if options.get('wait', True) else 'restart begun')]
    return fault_lines(group, result)


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
            'to its configuration.' % (name, name, factory)
            for name, factory in sorted(SECTIONS.items()) if name not in there]


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
