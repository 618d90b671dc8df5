"""The page on the HTTP servers of a real supervisord."""

import http.client
import json
import signal
import socket
from urllib.parse import urlencode

import pytest

from tests.support.daemon import MANNERS, Daemon, group, wait_until

NAME = 'web<b>"\''


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path):
        http.client.HTTPConnection.__init__(self, 'localhost', timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connection(daemon, unix=False):
    if unix:
        return UnixConnection(daemon.unix_url[len('unix://'):])
    return http.client.HTTPConnection('127.0.0.1', daemon.port, timeout=20)


def ask(asked, method, path, body=None, headers=()):
    """Return the status and the body of an answer."""
    asked.request(method, path, body, dict(headers))
    answer = asked.getresponse()
    return answer.status, answer.read()


def status(asked, query=''):
    code, body = ask(asked, 'GET', '/restarter/status' + query)
    assert code == 200, body
    return json.loads(body)


def press(asked, button, name, options=None, **headers):
    asked.connect()
    host = 'localhost' if isinstance(asked, UnixConnection) else '127.0.0.1:%d' % asked.port
    sent = dict({'Origin': 'http://' + host, 'X-Restarter-Token': status(asked)['token']},
                **{key.replace('_', '-'): value for key, value in headers.items()})
    body = json.dumps({'group': name, 'options': options or {}})
    return ask(asked, 'POST', '/restarter/' + button, body, {
        key: value for key, value in sent.items() if value})


@pytest.fixture(scope='module')
def daemon():
    programs = group(NAME, 2) + group('slow', 2, MANNERS['never'], stopwaitsecs=60)
    with Daemon(programs, {'page': 'true', 'timeout': 50}, inet=True) as daemon:
        daemon.wait_running('slow')
        yield daemon


@pytest.mark.parametrize('unix', [True, False], ids=['unix', 'inet'])
def test_it_is_on_every_server_and_its_buttons_work(daemon, unix):
    before = daemon.wait_running(NAME)
    asked = connection(daemon, unix)
    code, html = ask(asked, 'GET', '/restarter/')
    assert (code, html[:15]) == (200, b'<!DOCTYPE html>')
    assert press(asked, 'restart', NAME)[0] == 200
    wait_until(lambda: status(asked)['restarting'] == 0, 'it has ended')
    after = daemon.wait_running(NAME)
    assert not set(before.values()) & set(after.values())
    told = status(asked, '?' + urlencode({'group': NAME}))
    (group,) = [group for group in told['groups'] if group['name'] == NAME]
    assert {row[0]: row[2] for row in group['rows']} == after
    info = daemon.rpc.restarter.getRestartInfo(NAME, True)
    assert [row[-1] for row in group['rows']] == [
        [slot['phase'], slot['changes']] for slot in info['slots']]
    assert 0 <= told['now'] - info['began'] < 20


def test_supervisors_own_addresses_are_as_they_were(daemon):
    asked = connection(daemon)
    for path, part in (('/', b'Supervisor Status'), ('/images/icon.png', b'PNG'),
                       ('/stylesheets/supervisor.css', b'body'), ('/restarters', b'404')):
        assert part in ask(asked, 'GET', path)[1], path


def test_cancel_cancels(daemon):
    daemon.rpc.restarter.restartProcessGroup('slow', {'wait': False, 'max_unavailable': 1})
    assert press(connection(daemon), 'cancel', 'slow')[0] == 200
    assert daemon.rpc.restarter.getRestartInfo('slow')['state'] == 'SETTLING'


def test_an_update_is_told_and_then_done(daemon):
    asked = connection(daemon)
    code, body = press(asked, 'update', NAME, {'dry_run': True})
    assert (code, json.loads(body)) == (200, {'keep': 2, 'changes': [], 'more': 0})
    assert press(asked, 'update', NAME) == (200, b'true')


@pytest.mark.parametrize('forged', [
    {'Origin': 'http://evil.example'},
    {'Origin': None, 'Referer': 'http://evil.example/'},
    {'X_Restarter_Token': None},
    {'X_Restarter_Token': 'x' * 43},
], ids=str)
def test_a_forged_request_restarts_nothing(daemon, forged):
    before = daemon.wait_running(NAME)
    for button in ('restart', 'update'):
        code, body = press(connection(daemon), button, NAME, **forged)
        assert (code, list(json.loads(body))) == (403, ['error'])
    assert ask(connection(daemon), 'GET', '/restarter/restart?group=web')[0] == 405
    assert daemon.pids(NAME) == before


@pytest.mark.parametrize('first', [
    b'POST /restarter/restart HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n'
    b'Transfer-Encoding: chunked\r\n\r\n',
    b'POST /restarter/restart HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}',
    b'GET /restarter/ HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\n',
    b'GET /restarter/status?' + b'&group=slow' * 20000 + b' HTTP/1.1\r\nHost: h\r\n\r\n'])
def test_what_may_be_a_body_is_never_a_second_request(daemon, first):
    with socket.create_connection(('127.0.0.1', daemon.port), 20) as sent:
        sent.sendall(first + b'GET /restarter/ HTTP/1.1\r\nHost: a\r\n\r\n')
        answer = b''.join(iter(lambda: sent.recv(65536), b''))
    assert answer.count(b'HTTP/1.1 ') == 1


def test_without_the_option_there_is_nothing_at_its_address():
    with Daemon(group('web', 1), inet=True) as daemon:
        for path in ('/restarter', '/restarter/', '/restarter/status'):
            assert ask(connection(daemon), 'GET', path)[0] == 404


def test_it_asks_for_the_user_and_the_password_of_the_server():
    with Daemon(group('web', 1), {'page': 'true'}, inet=True, username='u', password='p') as daemon:
        for unix in (True, False):
            assert ask(connection(daemon, unix), 'GET', '/restarter/status')[0] == 401
            assert ask(connection(daemon, unix), 'GET', '/restarter/status', headers={
                'Authorization': 'Basic dTpw'})[0] == 200


def test_it_is_there_again_after_a_reload_with_another_token():
    with Daemon(group('web', 1), {'page': 'true'}, inet=True) as daemon:
        before = status(connection(daemon))['token']
        daemon.signal(signal.SIGHUP)

        def token():
            try:
                code, body = ask(connection(daemon), 'GET', '/restarter/status')
            except (OSError, http.client.HTTPException):  # it closes its servers and opens others
                return ''
            return code == 200 and json.loads(body)['token']
        wait_until(lambda: token() not in (False, '', before), 'there is another token')
        daemon.wait_running('web')
        code, body = press(connection(daemon), 'restart', 'web', X_Restarter_Token=before)
        assert (code, b'its token is not' in body) == (403, True)
        assert press(connection(daemon), 'restart', 'web')[0] == 200
