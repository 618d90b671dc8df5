"""The page on the HTTP servers of a real supervisord."""

import contextlib
import http.client
import json
import signal
import socket
from urllib.parse import urlencode

import pytest

from tests.support.daemon import Daemon, group, wait_until
from tests.support.faults import all_new
from tests.support.load import connect

NAME = 'web<b>"\''


def ask(daemon, method, path, body=None, headers=(), unix=False):
    """Return the status and the body of an answer."""
    address = daemon.folder / 's.sock' if unix else ('127.0.0.1', daemon.port)
    with contextlib.closing(connect(address, 20)) as asked:
        asked.request(method, path, body, dict(headers))
        answer = asked.getresponse()
        return answer.status, answer.read()


def status(daemon, query='', unix=False):
    code, body = ask(daemon, 'GET', '/restarter/status' + query, unix=unix)
    assert code == 200, body
    return json.loads(body)


def press(daemon, button, name, token=None, unix=False):
    host = 'localhost' if unix else '127.0.0.1:%d' % daemon.port
    return ask(daemon, 'POST', '/restarter/' + button, json.dumps({'group': name}), {
        'Host': host, 'Origin': 'http://' + host,
        'X-Restarter-Token': token or status(daemon)['token']}, unix)


@pytest.fixture(scope='module')
def daemon():
    with Daemon(group(NAME, 2), {'page': 'true'}, inet=True) as daemon:
        yield daemon


@pytest.mark.parametrize('unix', [True, False], ids=['unix', 'inet'])
def test_it_is_on_every_server_and_its_buttons_work(daemon, unix):
    before = daemon.wait_running(NAME)
    code, html = ask(daemon, 'GET', '/restarter/', unix=unix)
    assert (code, html[:15]) == (200, b'<!DOCTYPE html>')
    assert press(daemon, 'restart', NAME, unix=unix)[0] == 200
    wait_until(lambda: status(daemon, unix=unix)['restarting'] == 0, 'it has ended')
    after = daemon.wait_running(NAME)
    assert all_new(before, after)
    told = status(daemon, '?' + urlencode({'group': NAME}), unix)
    (shown,) = told['groups']
    assert {row[0]: row[2] for row in shown['rows']} == after
    info = daemon.rpc.restarter.getRestartInfo(NAME, True)
    assert [row[-1] for row in shown['rows']] == [
        [slot['phase'], slot['changes']] for slot in info['slots']]
    assert 0 <= told['now'] - info['began'] < 20
    assert press(daemon, 'update', NAME, unix=unix) == (200, b'true')


def test_supervisors_own_addresses_are_as_they_were(daemon):
    for path, part in (('/', b'Supervisor Status'), ('/images/icon.png', b'PNG'),
                       ('/stylesheets/supervisor.css', b'body'), ('/restarters', b'404')):
        assert part in ask(daemon, 'GET', path)[1], path


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


def test_it_asks_for_the_user_and_the_password_of_the_server():
    with Daemon(group('web', 1), {'page': 'true'}, inet=True, username='u', password='p') as daemon:
        for unix in (True, False):
            path = '/restarter/status'
            assert ask(daemon, 'GET', path, unix=unix)[0] == 401
            assert ask(daemon, 'GET', path, headers={
                'Authorization': 'Basic dTpw'}, unix=unix)[0] == 200


def test_it_is_there_again_after_a_reload_with_another_token():
    with Daemon(group('web', 1), {'page': 'true'}, inet=True) as daemon:
        before = status(daemon)['token']
        daemon.signal(signal.SIGHUP)

        def token():
            try:
                code, body = ask(daemon, 'GET', '/restarter/status')
            except (OSError, http.client.HTTPException):  # it closes its servers and opens others
                return ''
            return code == 200 and json.loads(body)['token']
        wait_until(lambda: token() not in (False, '', before), 'there is another token')
        daemon.wait_running('web')
        code, body = press(daemon, 'restart', 'web', before)
        assert (code, b'its token is not' in body) == (403, True)
        assert press(daemon, 'restart', 'web')[0] == 200
