"""What can go wrong with the connection to supervisord, and the sentences for it."""

import http.client
import socket
import xml.parsers.expat
import xmlrpc.client
from typing import List, Optional

SECTIONS = {
    'restarter': 'supervisor.rpcinterface_factory = supervisor_restarter:make_rpcinterface',
    'supervisor': 'supervisor.rpcinterface_factory = '
                  'supervisor.rpcinterface:make_main_rpcinterface',
}

# What goes wrong below HTTP, at HTTP, and above it.
NO_CONNECTION = (OSError, http.client.RemoteDisconnected, http.client.IncompleteRead)
NO_HTTP = (http.client.HTTPException,)
NO_ANSWER = (xml.parsers.expat.ExpatError, xmlrpc.client.ResponseError)
TROUBLE = (xmlrpc.client.Error, *NO_CONNECTION, *NO_HTTP, *NO_ANSWER)


def missing_sections(methods: List[str]) -> List[str]:
    """Return a sentence for each namespace that supervisord needs, and does not have."""
    there = {name.split('.')[0] for name in methods}
    return ['supervisord does not have the %s namespace: add a section [rpcinterface:%s] with "%s" '
            'to its configuration and restart supervisord.' % (name, name, factory)
            for name, factory in sorted(SECTIONS.items()) if name not in there]


def older(api: str, what: str) -> str:
    """Return the sentence for a plugin in supervisord that does not know an option or a call."""
    return ('supervisord runs an older version of the plugin (API %s), which does not know %s: '
            'stop and start supervisord' % (api, what))


def login_trouble(url: str, username: Optional[str], password: Optional[str]) -> str:
    """Return the sentence for a server that refused a call without the right login."""
    # A login is only sent when it has both parts (supervisor/xmlrpc.py: SupervisorTransport).
    if username is None or password is None:
        return 'Server requires authentication'
    return '%s refused the login of %s' % (url, username)


def connection_trouble(url: str, why: Exception) -> str:
    """Return the sentence for what is wrong with the connection to `url`."""
    if isinstance(why, xmlrpc.client.ProtocolError):
        return '%s: HTTP error %s %s' % (url, why.errcode, why.errmsg)
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
    if isinstance(why, ValueError):  # a URL that cannot be used
        return '%s: %s' % (url, why)
    return '%s does not answer as supervisord does (%s)' % (url, type(why).__name__)
