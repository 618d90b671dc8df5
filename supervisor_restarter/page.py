"""A page at /restarter/ on supervisord's HTTP servers: groups, and restarts that can be watched."""

import base64
import hashlib
import hmac
import json
import pkgutil
import re
import secrets
import traceback
from typing import Any, Callable, List, Optional
from urllib.parse import parse_qs

from supervisor import events, xmlrpc
from supervisor.http import supervisor_auth_handler
from supervisor.medusa.xmlrpc_handler import collector

from supervisor_restarter.options import Configured
from supervisor_restarter.page_status import OF_ALL, Status
from supervisor_restarter.text import shown

PATH = '/restarter'

# What the page sends is much shorter, in bytes and characters.
LONGEST_BODY = 10000
LONGEST_URI = 10000
MOST_HEADERS = 200

# Bytes that go out in one turn of the main loop, if the socket takes them; a turn costs time for
# each process of supervisord's.
AT_ONCE = 1 << 20

HEADERS = {
    'Cache-Control': 'no-store',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
}


class Page:
    """A handler of requests, which installs itself when supervisord has its HTTP servers.

    Each client that may see the page gets `token` with it; a client without the token may change
    nothing.
    """

    def __init__(self, supervisord: Any, interface: Any, restarts: Any, configured: Configured):
        self.supervisord = supervisord
        self.interface = interface
        self.status = Status(supervisord, restarts, configured)
        self.token = secrets.token_urlsafe()
        self._html = PAGE
        self._headers = dict(HEADERS, **{'Content-Security-Policy': _policy(self._html)})
        self._gets = {'': self._redirect, '/': self._page, '/status': self._status}
        self._posts = {'/restart': self._restart, '/update': self._update,
                       '/cancel': self._cancel}
        # The servers are made after the RPC interfaces, and before this event
        # (supervisor/supervisord.py: run).
        events.subscribe(events.SupervisorRunningEvent, self._install)

    def _install(self, event: events.SupervisorRunningEvent) -> None:
        for config, server in self.supervisord.options.httpservers:
            handler = self
            if config['username']:  # supervisor/http.py: make_http_servers
                handler = supervisor_auth_handler({config['username']: config['password']}, self)
            server.install_handler(handler)

    # what a server asks of a handler

    def match(self, request: Any) -> bool:
        path = request.uri.partition('?')[0]
        return path == PATH or path.startswith(PATH + '/')

    def handle_request(self, request: Any) -> None:
        path, too_many = self._path(request), len(request.header) > MOST_HEADERS
        # Each is looked at again for the answer (medusa/http_server.py: http_request.done).
        del request.header[MOST_HEADERS:]
        unclear = why_unclear(request.header)
        if len(request.uri) > LONGEST_URI:
            self._hang_up(request, 414, 'an address of more than %d characters' % LONGEST_URI)
        elif too_many:
            self._hang_up(request, 400, 'more than %d headers' % MOST_HEADERS)
        elif unclear:
            self._hang_up(request, 400, unclear)
        elif path not in self._gets and path not in self._posts:
            self._hang_up(request, 404, 'there is nothing at this address')
        elif request.command in ('GET', 'HEAD') and path in self._gets:
            if (header(request, 'Content-Length') or '0') == '0':
                self._guard(self._gets[path], request)
            else:
                self._hang_up(request, 400, 'a %s has no body' % request.command)
        elif request.command != 'POST' or path not in self._posts:
            request['Allow'] = 'GET, HEAD' if path in self._gets else 'POST'
            self._hang_up(request, 405, '%s is not for this address' % shown(request.command))
        else:
            length = header(request, 'Content-Length') or ''
            if not re.fullmatch('[0-9]{1,9}', length) or not int(length):
                self._hang_up(request, 411, 'a Content-Length is needed')
            elif int(length) > LONGEST_BODY:
                self._hang_up(request, 413, 'more than %d bytes' % LONGEST_BODY)
            else:
                request.collector = _Body(self, request, int(length))

    def continue_request(self, body: bytes, request: Any) -> None:
        """Go on with a POST when its body is there; it is the last request of its connection."""
        request['Connection'] = 'close'
        self._answer_post(body, request)
        request.channel.close_when_done()

    def _answer_post(self, body: bytes, request: Any) -> None:
        refusal = why_refused(lambda name: header(request, name), self.token)
        if refusal:
            self.supervisord.options.logger.warn('restarter: refused a request to the page: %s'
                                                 % refusal)
            self._say(request, 403, refusal)
            return
        try:
            asked = json.loads(body)
            name, options = asked['group'], asked.get('options', {})
        except (ValueError, RecursionError, TypeError, LookupError, AttributeError):
            self._say(request, 400, 'not an object with a group')
            return
        action = self._posts[self._path(request)]
        self._guard(lambda request: action(request, name, options), request)

    # what is at the addresses

    def _redirect(self, request: Any) -> None:
        request['Location'] = PATH[1:] + '/'  # Relative: a proxy may have it elsewhere.
        self._send(request, 301, 'text/plain', b'')

    def _page(self, request: Any) -> None:
        self._send(request, 200, 'text/html; charset=utf-8', self._html)

    def _status(self, request: Any) -> None:
        asked = parse_qs(request.uri.partition('?')[2])
        # First, since it raises SHUTDOWN_STATE.
        version = self.interface.getPluginVersion()
        self._answer(request, 200, dict(
            self.status.tell(asked.get('group', ()), asked.get('find', [''])[0]),
            token=self.token, version=version,
            identifier=self.supervisord.options.identifier))

    def _restart(self, request: Any, name: Any, options: Any) -> None:
        self._answer(request, 200, self.interface.restartProcessGroup(name, _unattended(options)))

    def _update(self, request: Any, name: Any, options: Any) -> None:
        plan = self.interface.updateProcessGroup(name, _unattended(options))
        if isinstance(plan, list):  # with dry_run
            changes = [slot for slot in plan if slot['action'] != 'keep']
            plan = {'keep': len(plan) - len(changes), 'changes': changes[:OF_ALL],
                    'more': len(changes[OF_ALL:])}
        self._answer(request, 200, plan)

    def _cancel(self, request: Any, name: Any, options: Any) -> None:
        self._answer(request, 200, self.interface.cancelRestart(name))

    # how it is answered

    def _guard(self, action: Callable[[Any], None], request: Any) -> None:
        try:
            action(request)
        except xmlrpc.RPCError as why:
            self._say(request, 409, why.text)
        except Exception:  # as supervisor/xmlrpc.py: continue_request
            self.supervisord.options.logger.critical('restarter: %s' % traceback.format_exc())
            self._say(request, 500, "an error; supervisord's log has it")

    def _hang_up(self, request: Any, code: int, sentence: str) -> None:
        # What follows may be a body that nobody reads; it must not be taken for a request.
        request.channel.set_terminator(None)
        request['Connection'] = 'close'
        self._say(request, code, sentence)
        request.channel.close_when_done()

    def _say(self, request: Any, code: int, sentence: str) -> None:
        self._answer(request, code, {'error': sentence})

    def _answer(self, request: Any, code: int, value: Any) -> None:
        self._send(request, code, 'application/json',
                   json.dumps(value, separators=(',', ':')).encode())

    def _send(self, request: Any, code: int, kind: str, body: bytes) -> None:
        for name, value in self._headers.items():
            request[name] = value
        request['Content-Type'] = kind
        request['Content-Length'] = len(body)
        request.reply_code = code
        # Supervisor's 4096 are for `tail -f` (supervisor/http.py: deferring_http_channel).
        request.channel.ac_out_buffer_size = AT_ONCE
        if request.command != 'HEAD':
            request.push(body)
        request.done()

    def _path(self, request: Any) -> str:
        return request.uri.partition('?')[0][len(PATH):]


class _Body(collector):
    # Nothing that follows is taken for a request: the body of a request that has rights ends where
    # this says, whatever a proxy thinks.

    def __init__(self, page: Page, request: Any, length: int):
        self.handler, self.request, self.data = page, request, []
        request.channel.set_terminator(length)

    def found_terminator(self) -> None:
        self.request.channel.set_terminator(None)
        self.handler.continue_request(b''.join(self.data), self.request)


def _unattended(options: Any) -> Any:
    return dict(options, wait=False) if isinstance(options, dict) else options


def header(request: Any, name: str) -> Optional[str]:
    """Return a header of a request; None where there is none, or more than one."""
    # Not `get_header`, which takes the first one, and none without a blank after its colon.
    values = [value.strip() for value in _values(request.header, name)]
    return values[0] if len(values) == 1 else None


def why_unclear(lines: List[str]) -> str:
    """Return why not everybody agrees where a request with these headers ends; empty if they do.

    A proxy could take for a body what supervisord takes for a second request.
    """
    if not all(re.fullmatch(r"[\w!#$%&'*+.^`|~-]+:[^\r\n\0]*", line, re.ASCII) for line in lines):
        return 'a line among the headers that is no header'
    if _values(lines, 'Transfer-Encoding'):
        return 'a body in chunks is not for this address'
    if len(_values(lines, 'Content-Length')) > 1:
        return 'more than one Content-Length'
    return ''


def _values(lines: List[str], name: str) -> List[str]:
    return [line.partition(':')[2] for line in lines
            if line.partition(':')[0].lower() == name.lower()]


def why_refused(header: Callable[[str], Optional[str]], token: str) -> str:
    """Return why a request may change nothing, as a sentence; empty if it may.

    It must come from the page itself: browsers say in `Origin` which site's page sends a request,
    and no page of another site can read the token. `header` returns a header of the request, None
    where there is none.
    """
    origin, host = header('Origin') or '', header('Host') or ''
    if not origin:
        return 'it does not say where it comes from: the header Origin is missing'
    if not host or origin.partition('://')[2].lower() != host.lower():
        return 'it comes from %s, and this is %s' % (shown(origin), shown(host))
    given = header('X-Restarter-Token') or ''
    if not hmac.compare_digest(given.encode(), token.encode()):
        return ('its token is not that of this supervisord, which may have been started anew '
                'since the page was loaded')
    return ''


def page() -> bytes:
    """Return the page, with its style and its script, as it is sent."""
    html, style, script = (pkgutil.get_data('supervisor_restarter', 'page.' + kind)
                           for kind in ('html', 'css', 'js'))
    return (html.replace(b'<style></style>', b'<style>\n%s</style>' % style)
            .replace(b'<script></script>', b'<script>\n%s</script>' % script))


# Read while supervisord may read it (supervisor_restarter/__init__.py).
PAGE = page()


def _policy(html: bytes) -> str:
    """Return a Content-Security-Policy that allows a page's own script and style, and no other."""
    def only(tag: str) -> str:
        (content,) = re.findall(('<%s>(.*?)</%s>' % (tag, tag)).encode(), html, re.DOTALL)
        return "'sha256-%s'" % base64.b64encode(hashlib.sha256(content).digest()).decode()
    return ("default-src 'none'; script-src %s; style-src %s; img-src 'self'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            % (only('script'), only('style')))
