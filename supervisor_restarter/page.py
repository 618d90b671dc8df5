"""A page at /restarter/ on supervisord's HTTP servers: groups, and restarts that can be watched."""

import base64
import hashlib
import hmac
import json
import pkgutil
import re
import secrets
import traceback
from typing import Any, Callable, Dict
from urllib.parse import parse_qs

from supervisor import events, xmlrpc
from supervisor.http import supervisor_auth_handler
from supervisor.medusa.xmlrpc_handler import collector
from supervisor.states import getProcessStateDescription

from supervisor_restarter.options import Configured
from supervisor_restarter.restart.pacing import pacing_for
from supervisor_restarter.text import shown

PATH = '/restarter'

# What a button sends is much shorter, in bytes.
LONGEST_BODY = 10000

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

    Whoever may look gets `token` with what the page asks for; who has it not may change nothing.
    """

    def __init__(self, supervisord: Any, interface: Any, restarts: Any, configured: Configured):
        self.supervisord = supervisord
        self.interface = interface
        self.restarts = restarts
        self.configured = configured
        self.token = secrets.token_urlsafe()
        self._html = pkgutil.get_data('supervisor_restarter', 'page.html')
        self._headers = dict(HEADERS, **{'Content-Security-Policy': _policy(self._html)})
        self._gets = {'': self._redirect, '/': self._page, '/status': self._status}
        self._posts = {'/restart': self._restart, '/cancel': self._cancel}
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
        path = self._path(request)
        if path not in self._gets and path not in self._posts:
            self._hang_up(request, 404, 'there is nothing at this address')
        elif request.command in ('GET', 'HEAD') and path in self._gets:
            self._guard(self._gets[path], request)
        elif request.command != 'POST' or path not in self._posts:
            request['Allow'] = 'GET, HEAD' if path in self._gets else 'POST'
            self._hang_up(request, 405, '%s is not for this address' % shown(request.command))
        else:
            length = request.get_header('Content-Length') or ''
            if not re.fullmatch('[0-9]{1,9}', length) or not int(length):
                self._hang_up(request, 411, 'a Content-Length is needed')
            elif int(length) > LONGEST_BODY:
                self._hang_up(request, 413, 'more than %d bytes' % LONGEST_BODY)
            else:
                request.collector = collector(self, request)

    def continue_request(self, body: str, request: Any) -> None:
        """Go on with a POST when its body is there."""
        refusal = why_refused(request.get_header, self.token)
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
        groups = self.supervisord.process_groups
        wanted = parse_qs(request.uri.partition('?')[2]).get('group', groups)
        self._answer(request, 200, {
            'token': self.token,
            'identifier': self.supervisord.options.identifier,
            'version': self.interface.getPluginVersion(),
            'restarting': self.restarts.groups(),
            'groups': [self._group(name) for name in sorted(wanted) if name in groups],
        })

    def _group(self, name: str) -> Dict[str, Any]:
        processes = self.supervisord.process_groups[name].processes
        return {
            'name': name,
            'way': str(pacing_for(self.configured.of(name), len(processes))),
            'processes': [(process, getProcessStateDescription(processes[process].get_state()))
                          for process in sorted(processes)],
            'restart': self.interface.getRestartInfo(name, True),
        }

    def _restart(self, request: Any, name: Any, options: Any) -> None:
        if isinstance(options, dict):
            options = dict(options, wait=False)
        self._answer(request, 200, self.interface.restartProcessGroup(name, options))

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


def why_refused(header: Callable[[str], Any], token: str) -> str:
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


def _policy(html: bytes) -> str:
    """Return a Content-Security-Policy that allows a page's own script and style, and no other."""
    def only(tag: str) -> str:
        (content,) = re.findall(('<%s>(.*?)</%s>' % (tag, tag)).encode(), html, re.DOTALL)
        return "'sha256-%s'" % base64.b64encode(hashlib.sha256(content).digest()).decode()
    return ("default-src 'none'; script-src %s; style-src %s; img-src 'self'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            % (only('script'), only('style')))
