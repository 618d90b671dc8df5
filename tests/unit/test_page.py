"""The page: whom its handler answers, and with what, through Supervisor's own requests."""

import base64
import json
import re
from types import SimpleNamespace

import pytest
from supervisor import events
from supervisor.http import deferring_http_channel, supervisor_auth_handler
from supervisor.medusa.counter import counter
from supervisor.states import ProcessStates, SupervisorStates
from supervisor.tests.base import DummyOptions, DummyPConfig, PopulatedDummySupervisor

import supervisor_restarter
from supervisor_restarter.page import HEADERS, LONGEST_BODY

pytestmark = pytest.mark.filterwarnings('ignore:urllib.parse.splitquery')  # Supervisor's own

HOST = '127.0.0.1:9001'
HERE = 'http://' + HOST


class Channel(deferring_http_channel):
    """A connection without a socket; `sent` is what supervisord has sent."""

    def __init__(self, server):
        deferring_http_channel.__init__(self, server, None, ('127.0.0.1', 40000))
        self.connected, self.sent, self.closed = True, b'', False

    def set_socket(self, sock, sock_map=None):
        pass

    def recv(self, size):
        received, self.coming = self.coming, b''
        return received

    def send(self, data):
        self.sent += data
        return len(data)

    def close(self):
        self.closed = True

    def receive(self, data):
        """Take in what a client sends, and send what is to be sent."""
        self.coming = data
        self.handle_read()
        while not self.closed and self.writable(now=0):
            self.handle_write()


class Server:
    """One of supervisord's HTTP servers, as far as its handlers know."""

    def __init__(self):
        self.handlers = []
        self.logger = SimpleNamespace(log=lambda *words: None)
        self.log_info = self.logger.log
        self.total_requests, self.exceptions = counter(), counter()
        self.bytes_in, self.bytes_out = counter(), counter()

    def install_handler(self, handler):
        self.handlers.insert(0, handler)

    def ask(self, method, path, body=b'', headers=(), length=True):
        """Return status, headers and body of an answer, and whether the connection is closed."""
        lines = ['%s %s HTTP/1.1' % (method, path), *(
            '%s: %s' % pair for pair in dict(headers).items() if pair[1] is not None)]
        if length and (body or method == 'POST'):
            lines.append('Content-Length: %d' % len(body))
        channel = Channel(self)
        channel.receive('\r\n'.join(lines).encode() + b'\r\n\r\n' + body)
        head, _, rest = channel.sent.partition(b'\r\n\r\n')
        first, *others = head.decode().split('\r\n')
        return SimpleNamespace(
            status=int(first.split()[1]), body=rest, closed=channel.closed,
            headers=dict(line.split(': ', 1) for line in others))

    def status(self, query=''):
        answer = self.ask('GET', '/restarter/status' + query)
        assert answer.status == 200
        return json.loads(answer.body)

    def own_headers(self, **others):
        """The headers that the page sends, and others, where a minus is written as _."""
        return dict({'Host': HOST, 'Origin': HERE, 'X-Restarter-Token': self.status()['token']},
                    **{name.replace('_', '-'): value for name, value in others.items()})

    def press(self, button='restart', asked=None, **others):
        body = asked if isinstance(asked, bytes) else json.dumps(
            {'group': 'web'} if asked is None else asked).encode()
        return self.ask('POST', '/restarter/' + button, body, self.own_headers(**others))


def error(answer):
    return json.loads(answer.body)['error']


def serving(supervisord, *servers, **config):
    """Do what supervisord does: make the interface, and then its servers and its event."""
    options = supervisord.options
    interface = supervisor_restarter.make_rpcinterface(supervisord, **config)
    options.httpservers = [({'username': user, 'password': password}, Server())
                           for user, password in servers or [(None, None)]]
    events.notify(events.SupervisorRunningEvent())
    return interface, [server for _, server in options.httpservers]


@pytest.fixture
def supervisord():
    options = DummyOptions()
    made = PopulatedDummySupervisor(
        options, 'web', DummyPConfig(options, 'a', '/bin/a'), DummyPConfig(options, 'b', '/bin/b'))
    for name in ('a', 'b'):
        made.set_procattr(name, 'stop', lambda: None)  # it goes on until it is cancelled
    options.identifier = 'supervisor'
    yield made
    options.mood = SupervisorStates.SHUTDOWN
    events.notify(events.SupervisorStoppingEvent())
    events.clear()


@pytest.fixture
def made(supervisord):
    return serving(supervisord, page='true')


@pytest.fixture
def interface(made):
    return made[0]


@pytest.fixture
def server(made):
    return made[1][0]


def restarting(interface):
    return interface.getRestartInfo('web')['state'] != 'IDLE'


# Where it is

@pytest.mark.parametrize('config', [{}, {'page': 'false'}])
def test_without_the_option_nothing_is_added_to_the_servers(supervisord, config):
    _, (server,) = serving(supervisord, **config)
    assert server.handlers == [] and not hasattr(supervisord, 'restarter_page')


def test_it_is_on_each_server_once_behind_its_user_however_many_interfaces_there_are(supervisord):
    supervisor_restarter.make_rpcinterface(supervisord, page='true')
    _, servers = serving(supervisord, (None, None), ('u', 'p'), page='true')
    assert [len(server.handlers) for server in servers] == [1, 1]
    assert isinstance(servers[1].handlers[0], supervisor_auth_handler)
    for path in ('/restarter/', '/restarter/status'):
        assert [server.ask('GET', path).status for server in servers] == [200, 401]
        for user, code in (('u:p', 200), ('u:wrong', 401), ('v:p', 401)):
            login = 'Basic %s' % base64.b64encode(user.encode()).decode()
            assert servers[1].ask('GET', path, headers={'Authorization': login}).status == code


def test_it_takes_the_requests_below_its_address_and_no_other(supervisord, server):
    for path, matches in (
            ('/restarter', True), ('/restarter/', True), ('/restarter/status?group=a', True),
            ('/restarter?x', True), ('/', False), ('/RPC2', False), ('/restarters', False),
            ('/restarter.html', False), ('/index.html?x=/restarter/', False),
            ('restarter', False)):
        assert bool(supervisord.restarter_page.match(SimpleNamespace(uri=path))) is matches, path


def test_the_address_without_its_slash_leads_to_it_also_behind_a_proxy(server):
    answer = server.ask('GET', '/restarter')
    assert (answer.status, answer.headers['Location']) == (301, 'restarter/')


@pytest.mark.parametrize('path', ['/restarter/nope', '/restarter/../../../etc/passwd',
                                  '/restarter/%2e%2e/page.py', '/restarter//'])
def test_there_is_nothing_at_other_addresses(server, path):
    assert server.ask('GET', path).status == 404


# What it answers

@pytest.mark.parametrize('method, path', [
    ('GET', '/restarter/'), ('GET', '/restarter/status'), ('GET', '/restarter'),
    ('GET', '/restarter/nope'), ('POST', '/restarter/restart'), ('PUT', '/restarter/restart')])
def test_every_answer_may_be_neither_kept_nor_framed_nor_taken_for_something_else(
        server, method, path):
    answer = server.ask(method, path, b'{}' if method == 'POST' else b'')
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert HEADERS['Cache-Control'] == 'no-store' and HEADERS['X-Frame-Options'] == 'DENY'
    policy = dict(part.split(' ', 1) for part in
                  answer.headers['Content-Security-Policy'].split('; '))
    assert policy['default-src'] == policy['frame-ancestors'] == policy['base-uri'] == "'none'"
    assert 'unsafe' not in str(policy)
    for kind in ('script-src', 'style-src'):
        assert re.fullmatch("'sha256-[A-Za-z0-9+/=]{44}'", policy[kind])


def test_the_page_with_its_script_is_small_and_asks_no_other_host_for_anything(server):
    html = server.ask('GET', '/restarter/').body
    assert len(html) <= 45000
    assert re.findall(rb'(?:src|href|url)\s*[=(]\s*["\']?\s*(?:https?:)?//', html) == []
    assert b'://' not in html
    assert not re.search(rb'innerHTML|outerHTML|insertAdjacentHTML|document\.write|\son\w+=', html)


def test_the_head_of_an_answer_comes_without_its_body(server):
    answer = server.ask('HEAD', '/restarter/')
    assert (answer.status, answer.body) == (200, b'')
    assert int(answer.headers['Content-Length']) > 1000


def test_the_status_tells_of_every_group_and_of_the_processes_of_the_open_ones(supervisord, server):
    supervisord.set_procattr('a', 'state', ProcessStates.FATAL)
    told = server.status()
    assert (told['identifier'], told['version']) == ('supervisor', supervisor_restarter.__version__)
    assert told['groups'] == [{'name': 'web', 'total': 2, 'states': {'FATAL': 1, 'RUNNING': 1},
                               'rank': 0, 'way': 'all at once'}]
    for query in ('?group=web', '?group=web' + '&group=web' * 500):
        (group,) = server.status(query)['groups']
        assert [row[:2] for row in group['rows']] == [['a', 'FATAL'], ['b', 'RUNNING']]
    assert server.status('?group=nope&find=A&find=x')['groups'][0]['found'] == 1


def test_the_way_of_a_group_is_the_one_that_is_configured_for_it(supervisord):
    _, (server,) = serving(supervisord, page='true', **{'web.max_unavailable': '1'})
    assert server.status()['groups'][0]['way'] == 'rolling, at most 1 down'


def test_an_address_and_headers_are_no_longer_than_the_page_and_browsers_need(server):
    answer = server.ask('GET', '/restarter/status?' + 'group=web&' * 20000)
    assert (answer.status, answer.closed) == (414, True)
    for number, code in ((150, 200), (300, 400)):
        others = {'X-%d' % each: 'x' for each in range(number)}
        answer = server.ask('GET', '/restarter/status', b'', server.own_headers(**others))
        assert (answer.status, answer.closed) == (code, code == 400)


def test_while_supervisord_stops_it_says_so(supervisord, server):
    supervisord.options.mood = SupervisorStates.SHUTDOWN
    answer = server.ask('GET', '/restarter/status')
    assert (answer.status, error(answer)) == (409, 'SHUTDOWN_STATE: supervisord is stopping')


# The buttons

def test_a_restart_is_begun_and_watched_and_cancelled(server, interface):
    assert server.press(asked={'group': 'web', 'options': {'max_unavailable': 1}}).status == 200
    interface._mainloop.make_pass()
    told = server.status('?group=web')
    assert told['restarting'] == 1
    restart = told['groups'][0]['restart']
    assert (restart['state'], restart['stopping'], restart['waiting']) == ('RESTARTING', 1, 1)
    assert sorted(row[-1][0] for row in told['groups'][0]['rows']) == ['stopping', 'waiting']
    assert server.press('cancel').status == 200
    assert interface.getRestartInfo('web')['state'] == 'SETTLING'


def test_an_update_is_told_before_it_is_done_without_those_that_are_kept(server, interface):
    slots = [{'name': 'a', 'action': 'keep', 'changed': []},
             {'name': 'b', 'action': 'replace', 'changed': ['command']}]
    asked = []
    interface.updateProcessGroup = lambda *arguments: asked.append(arguments) or slots
    answer = server.press('update', {'group': 'web', 'options': {'dry_run': True}})
    assert json.loads(answer.body) == {'keep': 1, 'changes': slots[1:], 'more': 0}
    assert asked == [('web', {'dry_run': True, 'wait': False})]


WRONG = 'INCORRECT_PARAMETERS: '


@pytest.mark.parametrize('button, asked, text', [
    ('restart', {'group': 'nope'}, 'BAD_GROUP: nope: no such group'),
    ('restart', {'group': 1},
     WRONG + 'name must be a string, the name of a process group, not int'),
    ('restart', {'group': 'web', 'options': 1},
     WRONG + 'restartProcessGroup: options must be a struct, not int'),
    ('restart', {'group': 'web', 'options': {'timeout': 0}},
     WRONG + 'restartProcessGroup: timeout = 0: must be a number of seconds greater than 0'),
    ('cancel', {'group': 'web'}, 'NO_RESTART: web: is not being restarted'),
])
def test_a_fault_is_answered_with_its_text(server, interface, button, asked, text):
    answer = server.press(button, asked)
    assert (answer.status, error(answer)) == (409, text)
    assert not restarting(interface)


@pytest.mark.parametrize('body', [
    b'[]', b'1', b'null', b'"web"', b'{}', b'{"name": "web"}', b'{', b'[' * 9999, b'group=web',
    b'{"group": "web"} x', b'\xff'])
def test_what_is_no_object_with_a_group_is_refused(server, interface, body):
    answer = server.press(asked=body)
    assert (answer.status, error(answer)) == (400, 'not an object with a group')
    assert not restarting(interface)


def test_a_bug_is_in_the_log(supervisord, server, interface):
    interface.restartProcessGroup = lambda name, options: 1 // 0
    assert server.press().status == 500
    assert 'ZeroDivisionError' in supervisord.options.logger.data[-1]


# Security: a request that the page has not sent changes nothing

EVIL = 'http://evil.example'
OTHER_TOKEN = ('its token is not that of this supervisord, which may have been started anew since '
               'the page was loaded')
FORGED = {
    'it does not say where it comes from: the header Origin is missing': [
        {'Origin': None}, {'Origin': None, 'Host': None}, {'Origin': '', 'Host': ''},
        {'Origin': None, 'Referer': EVIL + '/page.html'},
        {'Origin': None, 'Referer': HERE + '/restarter/'}],
    'it comes from {Origin}, and this is {Host}': [
        *({'Origin': origin} for origin in (
            EVIL, 'null', 'http://127.0.0.1:9002', 'http://127.0.0.1', HERE + '.evil.example',
            EVIL + '/' + HOST, HOST, '://')),
        {'Origin': '://', 'Host': None}, {'Origin': 'null', 'Host': ''},
        {'Origin': EVIL, 'Referer': HERE + '/restarter/'},
        {'Host': 'evil.example'}, {'Host': None}],
    OTHER_TOKEN: [{'X_Restarter_Token': token} for token in (None, '', 'x' * 43, '\u00fc')],
}


@pytest.mark.parametrize('sentence, forged', [
    (sentence, each) for sentence, forged in FORGED.items() for each in forged], ids=str)
def test_a_forged_request_is_refused_and_told_why(supervisord, server, interface, sentence, forged):
    interface.updateProcessGroup = lambda name, options: pytest.fail('it is updated')
    sentence = sentence.format(**{'Origin': HERE, 'Host': HOST, **{
        name: value or "''" for name, value in forged.items()}})
    for button in ('restart', 'update', 'cancel'):
        if button == 'cancel':
            interface.restartProcessGroup('web', {'wait': False})
        before = interface.getRestartInfo('web')['state']
        answer = server.press(button, **forged)
        assert (answer.status, error(answer)) == (403, sentence)
        assert interface.getRestartInfo('web')['state'] == before
        assert supervisord.options.logger.data[-1] == (
            'restarter: refused a request to the page: ' + sentence)


def test_the_token_of_another_supervisord_is_refused(supervisord, server):
    other = supervisord.restarter_page.token
    del supervisord.restarter_page
    events.clear()  # as at a reload
    anew, (server,) = serving(supervisord, page='true')
    answer = server.press(X_Restarter_Token=other)
    assert (answer.status, error(answer)) == (403, OTHER_TOKEN)
    assert not restarting(anew)


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'post'])
@pytest.mark.parametrize('button', ['restart', 'update', 'cancel'])
def test_a_button_takes_a_post_alone(server, interface, method, button):
    for query in ('', '?group=web'):
        answer = server.ask(method, '/restarter/' + button + query, b'', server.own_headers())
        assert (answer.status, answer.headers['Allow']) == (405, 'POST')
    assert not restarting(interface)


@pytest.mark.parametrize('path', ['/restarter', '/restarter/', '/restarter/status?group=web'])
def test_a_get_changes_nothing(server, interface, path):
    for method, body in (('GET', b''), ('HEAD', b''), ('POST', b'{"group": "web"}')):
        server.ask(method, path, body, server.own_headers())
    assert not restarting(interface)


def test_behind_a_proxy_that_passes_the_host_on_the_scheme_may_be_another(server, interface):
    assert server.press(Host='Ops.example', Origin='https://ops.example').status == 200
    assert restarting(interface)


SECOND = (b'POST /restarter/restart HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\n'
          b'X-Restarter-Token: %s\r\nContent-Length: 16\r\n\r\n{"group": "web"}')
POST = 'POST', '/restarter/restart'


@pytest.mark.parametrize('method, path, others, code', [
    (*POST, {}, 411),
    *((*POST, {'Content-Length': length}, 411) for length in ('0', '-1', '1_0', '9' * 10)),
    (*POST, {'Content-Length': LONGEST_BODY + 1}, 413),
    (*POST, {'Transfer-Encoding': 'chunked'}, 400),
    *((*POST, {'Content-Length': 2, **second}, 400) for second in (
        {'content-length': 40}, {'Content-Length ': 40}, {'X': '\nTransfer-Encoding: x'},
        {'transfer-encoding': 'gzip'}, {'Transfer-Encoding:': 'chunked'},
        {'Transfer-Encoding': '\r\n chunked'})),
    ('PUT', '/restarter/restart', {'Content-Length': 2}, 405),
    ('POST', '/restarter/nope', {'Content-Length': 2}, 404),
    ('GET', '/restarter/', {'Content-Length': 2}, 400),
    ('HEAD', '/restarter/status', {'Content-Length': 2}, 400),
    ('GET', '/restarter/', {'Transfer-Encoding': 'chunked'}, 400),
], ids=str)
def test_what_may_be_a_body_is_not_taken_for_the_next_request(server, interface, method, path,
                                                              others, code):
    second = SECOND % server.status()['token'].encode()
    answer = server.ask(method, path, second, server.own_headers(**others), length=False)
    assert (answer.status, answer.closed) == (code, True)
    assert b'HTTP/1.1' not in answer.body and b'not an object' not in answer.body
    assert not restarting(interface)


def test_what_follows_a_post_is_not_taken_for_a_request(server, interface):
    second = SECOND % server.status()['token'].encode()
    answer = server.ask('POST', '/restarter/cancel', b'{}' + second,
                        server.own_headers(Content_Length=2), length=False)
    assert (answer.status, answer.closed, answer.headers['Connection']) == (400, True, 'close')
    assert not restarting(interface)


@pytest.mark.parametrize('twice', ['Origin', 'Host', 'X-Restarter-Token'])
def test_of_a_header_that_is_there_twice_none_counts(server, interface, twice):
    assert server.press(**{twice.upper(): server.own_headers()[twice]}).status == 403
    assert not restarting(interface)
