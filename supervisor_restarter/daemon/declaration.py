"""What a program declares of its readiness, as RESTARTER_READY in its environment.

RESTARTER_READY_HOST is the host name that a request to an HTTP server has.
"""

import ipaddress
import re
import socket
from typing import Any, NamedTuple, Optional, Tuple
from urllib.parse import urlsplit

from supervisor_restarter import __version__
from supervisor_restarter.text import shown

VARIABLE, HOST_VARIABLE = 'RESTARTER_READY', 'RESTARTER_READY_HOST'
ALLOWED = ('must be notify, listen, http://HOST:PORT/PATH, http://unix:/PATH:/PATH, '
           'tcp://HOST:PORT or unix:///PATH, where HOST is an IP address or localhost')
ALLOWED_HOST = 'must be a host name, such as www.example.org, or one with a port'

# What fits into the address of a unix socket, in bytes, on every system.
LONGEST_PATH = 103

REQUEST = ('GET %%s HTTP/1.1\r\nHost: %%s\r\nUser-Agent: supervisor-restarter/%s\r\n'
           'Accept: */*\r\nConnection: close\r\n\r\n' % __version__)


class Declaration(NamedTuple):
    """A value of RESTARTER_READY: `text`.

    `family` and `address` are those of the socket to connect to, and `request` is what to ask
    there, where a connection alone does not say enough. `notify` and `listen` have no address.
    """

    text: str
    family: Optional[int] = None
    address: Any = None
    request: bytes = b''

    @property
    def notifies(self) -> bool:
        """Whether a process says itself that it is ready, on a socket that it is spawned with."""
        return self.text == 'notify'

    @property
    def can_be_asked(self) -> bool:
        """Whether this can also be seen of a process that somebody else has spawned."""
        return not self.notifies


def declared(environment: Any) -> Optional[Declaration]:
    """Return what the environment of a program's configuration declares, or None.

    The environment is what Supervisor has made of it: expanded, and with that of [supervisord]
    (supervisor/options.py: read_config). Raises ValueError for a value that is not allowed.
    """
    value = (environment or {}).get(VARIABLE)
    if value is None:
        return None
    host = environment.get(HOST_VARIABLE)
    if host is not None and not re.fullmatch(r'[A-Za-z0-9._-]+(:[0-9]{1,5})?', host):
        raise ValueError('%s = %s: it %s' % (HOST_VARIABLE, shown(repr(host)), ALLOWED_HOST))
    try:
        declaration = _parse(value, host)
        if declaration.notifies and 'NOTIFY_SOCKET' in environment:
            raise _Wrong('NOTIFY_SOCKET is in the environment of its configuration too')
        return declaration
    except _Wrong as why:
        raise ValueError('%s = %s: %s; it %s' % (
            VARIABLE, shown(repr(value)), why, ALLOWED)) from None


class _Wrong(ValueError):
    """What is wrong with a value."""


def _parse(text: str, name: Optional[str]) -> Declaration:
    if text in ('notify', 'listen'):
        return Declaration(text)
    scheme, separator, rest = text.partition('://')
    if not separator:
        raise _Wrong('there is no scheme' if text else 'the value is empty')
    if scheme == 'unix':
        return Declaration(text, socket.AF_UNIX, _path(rest))
    if scheme not in ('http', 'tcp'):
        raise _Wrong('%s is not supported' % shown(scheme + '://'))
    if scheme == 'http' and rest.startswith('unix:'):  # as nginx writes it (proxy_pass)
        path, _, target = rest[len('unix:'):].partition(':')
        return Declaration(text, socket.AF_UNIX, _path(path),
                           _request(target or '/', name or 'localhost'))
    _check_characters(rest)
    family, address, host = _host(text)
    parts = urlsplit(text)
    if scheme == 'tcp':
        if parts.path or parts.query or parts.fragment:
            raise _Wrong('tcp has no path')
        return Declaration(text, family, address)
    target = rest[len(parts.netloc):]
    return Declaration(text, family, address, _request(target or '/', name or host))


def _request(target: str, host: str) -> bytes:
    _check_characters(target)
    if '#' in target:
        raise _Wrong('a fragment is not for the server')
    if not target.startswith(('/', '?')):
        raise _Wrong('the path to ask for does not begin with /')
    return (REQUEST % ('/' * target.startswith('?') + target, host)).encode('ascii')


def _check_characters(text: str) -> None:
    if not re.fullmatch('[!-~]*', text):  # a line of the request, as it is
        raise _Wrong('the address has characters that must not be there')


def _path(path: str) -> str:
    if not path.startswith('/') or '\0' in path:
        raise _Wrong('the path is not absolute')
    if len(path.encode('utf-8', 'surrogateescape')) > LONGEST_PATH:
        raise _Wrong('the path is longer than %d bytes' % LONGEST_PATH)
    return path


def _host(text: str) -> Tuple[int, Tuple[str, int], str]:
    """Return the family, the address and the host, with its port, of a URL."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _Wrong('the port is no number from 1 to 65535, or the host is no address') from None
    if not host or '@' in parts.netloc:
        raise _Wrong('there is no host' if not host else 'a user has no meaning here')
    if port is None:
        raise _Wrong('there is no port')
    if port == 0:
        raise _Wrong('the port is no number from 1 to 65535')
    try:
        # Nothing in the main loop may wait for a name server.
        ip = ipaddress.ip_address('127.0.0.1' if host == 'localhost' else host)
    except ValueError:
        raise _Wrong('%s is no IP address' % shown(host)) from None
    if '%' in host:
        raise _Wrong('an address has no zone here')
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    return family, (str(ip), port), parts.netloc
