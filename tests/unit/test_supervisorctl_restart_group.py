"""The console script: what it says, and the status that it exits with."""

import http.client
import socket
import sys
import xml.parsers.expat
import xmlrpc.client

import pytest

from supervisor_restarter import supervisorctl_restart_group as script


def failed(name, code=0x430):
    return {'code': code, 'text': 'START_FAILED: why', 'group': 'web', 'name': name}


def whole_group(text, code):
    return {'code': code, 'text': text, 'group': 'web', 'name': ''}


def protocol_error(code, message=''):
    return xmlrpc.client.ProtocolError('127.0.0.1/RPC2', code, message, {})


class FakeNamespace:
    def __init__(self, proxy, name):
        self._proxy, self._name = proxy, name

    def __getattr__(self, method):
        def call(*arguments):
            self._proxy.calls.append((self._name + '.' + method, arguments))
            answer = self._proxy.answers.get(method)
            if isinstance(answer, BaseException):
                raise answer
            return answer
        return call


class FakeProxy:
    """Answers each method with what `answers` has for it; an exception is raised."""

    def __init__(self, **answers):
        self.calls = []
        self.answers = dict({'getVersion': '3.0', 'getRestartInfo': IDLE, 'getAPIVersion': '3.3',
                             'listMethods': ['restarter.x', 'supervisor.x']}, **answers)

    def __getattr__(self, name):
        return FakeNamespace(self, name)


def run(capsys, proxy, *arguments):
    """Run the script; return status, standard output and standard error."""
    options = script.RestartOptions()
    options.getServerProxy = lambda: proxy
    options.stderr = sys.stderr  # Supervisor has its own from before the test
    with pytest.raises(SystemExit) as end:
        script.main(['-s', 'http://127.0.0.1:9001', *arguments], options)
    return (end.value.code, *capsys.readouterr())


@pytest.fixture(autouse=True)
def no_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['/bin/supervisorctl_restart_group'])


OUTCOMES = [
    # what restartProcessGroup answers, status, standard output, standard error
    (True, 0, 'web: restarted\n', ''),
    ([failed('a')], 1, '', 'web:a: ERROR (START_FAILED: why)\n'),
    ([failed('a'), failed('b'), whole_group('STOPPED_EARLY: why', 0x450)], 2, '',
     'web:a: ERROR (START_FAILED: why)\nweb:b: ERROR (START_FAILED: why)\n'
     'web: ERROR (STOPPED_EARLY: why)\n'),
    ([whole_group('STOPPED_EARLY: why', 0x450)], 2, '', 'web: ERROR (STOPPED_EARLY: why)\n'),
    (xmlrpc.client.Fault(0x420, 'TIMEOUT: web: why'), 2, '', 'web: ERROR (TIMEOUT: web: why)\n'),
    (ConnectionRefusedError(111, 'no'), 1, '', 'http://127.0.0.1:9001 refused connection\n'),
    (FileNotFoundError(2, 'no'), 1, '', 'http://127.0.0.1:9001 no such file\n'),
    (socket.gaierror(-2, 'no'), 1, '', 'http://127.0.0.1:9001 unknown host\n'),
    (PermissionError(13, 'Permission denied'), 1, '', 'http://127.0.0.1:9001: Permission denied\n'),
    (http.client.RemoteDisconnected('gone'), 1, '',
     'http://127.0.0.1:9001 closed the connection; supervisord may be stopping\n'),
    (http.client.IncompleteRead(b''), 1, '',
     'http://127.0.0.1:9001 closed the connection; supervisord may be stopping\n'),
    (protocol_error(401, 'Unauthorized'), 2, '', 'Server requires authentication\n'),
    (protocol_error(500, 'Internal Server Error'), 10, '',
     'http://127.0.0.1:9001: HTTP error 500 Internal Server Error\n'),
    (http.client.BadStatusLine('x'), 10, '',
     'http://127.0.0.1:9001 does not answer as supervisord does (BadStatusLine)\n'),
    (xml.parsers.expat.ExpatError('x'), 10, '',
     'http://127.0.0.1:9001 does not answer as supervisord does (ExpatError)\n'),
    (xmlrpc.client.ResponseError(), 10, '',
     'http://127.0.0.1:9001 does not answer as supervisord does (ResponseError)\n'),
]


@pytest.mark.parametrize('answer, status, output, error', OUTCOMES)
def test_each_outcome_has_its_status_and_its_sentence(capsys, answer, status, output, error):
    proxy = FakeProxy(restartProcessGroup=answer)
    assert run(capsys, proxy, 'web') == (status, output, error)


def test_more_failures_than_a_status_can_hold_are_125(capsys):
    proxy = FakeProxy(restartProcessGroup=[failed('p%d' % n) for n in range(300)])
    assert run(capsys, proxy, 'web')[0] == 125


UNKNOWN_METHOD = xmlrpc.client.Fault(1, 'UNKNOWN_METHOD')


@pytest.mark.parametrize('answers, sections', [
    ({'restartProcessGroup': UNKNOWN_METHOD, 'listMethods': ['supervisor.getState']},
     ['restarter']),
    ({'getVersion': UNKNOWN_METHOD, 'listMethods': ['restarter.getAPIVersion']}, ['supervisor']),
    ({'getVersion': UNKNOWN_METHOD, 'listMethods': ['system.listMethods']},
     ['restarter', 'supervisor']),
])
def test_a_missing_namespace_is_named_with_the_section_to_add(capsys, answers, sections):
    status, output, error = run(capsys, FakeProxy(**answers), 'web')
    assert (status, output) == (2, '')
    for section in ('restarter', 'supervisor'):
        assert ('add a section [rpcinterface:%s]' % section in error) == (section in sections)
    assert error.endswith('" to its configuration and restart supervisord.)\n')


@pytest.mark.parametrize('arguments, sent', [
    ([], ('web',)),
    (['--timeout', '30'], ('web', {'timeout': 30.0})),
    (['--timeout=0.5', '--stagger-factor', '3'],
     ('web', {'timeout': 0.5, 'stagger_factor': 3})),
    (['--max-unavailable', '25%'], ('web', {'max_unavailable': '25%'})),
    (['--max-surge', '1'], ('web', {'max_surge': '1'})),
    (['--quiet'], ('web',)),
    (['--no-wait'], ('web', {'wait': False})),
    (['--reread'], ('web', {'reread': True})),
    (['--max-unavailable=', '-u', '', '--qui'], ('web', {'max_unavailable': ''})),
])
def test_only_the_options_that_were_given_are_sent_wherever_they_stand(capsys, arguments, sent):
    for words in ([*arguments, 'web'], ['web', *arguments]):
        proxy = FakeProxy(restartProcessGroup=True)
        assert run(capsys, proxy, *words)[0] == 0
        assert ('restarter.restartProcessGroup', sent) in proxy.calls


def test_a_group_whose_name_looks_like_an_option_stands_behind_two_dashes(capsys):
    proxy = FakeProxy(restartProcessGroup=True)
    assert run(capsys, proxy, '--timeout', '3', '--', '--web')[0] == 0
    assert ('restarter.restartProcessGroup', ('--web', {'timeout': 3.0})) in proxy.calls


IDLE = dict(dict.fromkeys(('waiting', 'stopping', 'starting', 'restarted', 'failed', 'removed',
                           'surging', 'total'), 0),
            group='web', state='IDLE', elapsed=0.0, awaiting=[], faults=[])
WAITS = {'name': 'b', 'awaited': 'notify', 'seen': 'has not sent READY=1'}
LEAVES = {'name': 'c', 'awaited': '', 'seen': '', 'phase': 'leaving', 'seconds': 3.0, 'limit': 10.0}
STANDING = dict(IDLE, state='RESTARTING', total=3, starting=1, failed=1, restarted=1, elapsed=2.5,
                awaiting=[WAITS, LEAVES], faults=[failed('a')])


@pytest.mark.parametrize('option, answer, status, output, error', [
    ('--cancel', True, 0, 'web: cancelled\n', ''),
    ('--cancel', xmlrpc.client.Fault(0x441, 'NO_RESTART: web: why'), 2, '',
     'web: ERROR (NO_RESTART: web: why)\n'),
    ('--info', IDLE, 0, 'web: IDLE\n', ''),
    ('--info', STANDING, 0, 'web: RESTARTING, 1 starting, 1 restarted, 1 failed, 2.5 seconds\n'
     '  web:b: awaiting notify: has not sent READY=1\n'
     '  web:c: leaving, up to 10 s\n'
     '  web:a: ERROR (START_FAILED: why)\n', ''),
    ('--info', protocol_error(500, 'no'), 10, '', 'http://127.0.0.1:9001: HTTP error 500 no\n'),
])
def test_a_restart_can_be_cancelled_and_shown(capsys, option, answer, status, output, error):
    proxy = FakeProxy(cancelRestart=answer, getRestartInfo=answer)
    assert run(capsys, proxy, 'web', option) == (status, output, error)
    assert 'restarter.restartProcessGroup' not in [method for method, _ in proxy.calls]


@pytest.mark.parametrize('login, sentence', [
    (['-u', 'user', '-p', 'wrong'], 'http://127.0.0.1:9001 refused the login of user\n'),
    (['-u', 'user'], 'Server requires authentication\n'),
    ([], 'Server requires authentication\n'),
])
def test_a_wrong_login_is_told_from_none(capsys, login, sentence):
    proxy = FakeProxy(getVersion=protocol_error(401))
    assert run(capsys, proxy, *login, 'web') == (2, '', sentence)


@pytest.mark.parametrize('arguments, status, sentence', [
    ([], 5, 'Error: a group name is needed'),
    (['-c', '/no/such/file', 'web'], 2, 'could not find config file /no/such/file'),
    (['web', '--timeout'], 2, 'option --timeout requires argument'),
    (['web', '--cancel', '--info'], 2, '--cancel and --info exclude each other'),
])
def test_a_wrong_command_line_gets_one_sentence(capsys, arguments, status, sentence):
    proxy = FakeProxy()
    code, output, error = run(capsys, proxy, *arguments)
    assert (code, output, proxy.calls) == (status, '', [])
    assert sentence in error


def test_a_configuration_that_does_not_parse_gets_one_sentence(capsys, tmp_path):
    path = tmp_path / 'broken.conf'
    path.write_text('this is no section\n')
    status, output, error = run(capsys, FakeProxy(), '-c', str(path), 'web')
    assert (status, output) == (2, '')
    assert error.startswith('Error: %s: File contains no section headers' % path)


@pytest.mark.parametrize('url', ['ftp://127.0.0.1', 'http://127.0.0.1:port'])
def test_a_url_that_cannot_be_used_gets_one_sentence(capsys, url):
    with pytest.raises(SystemExit) as end:
        script.main(['-s', url, 'web'])
    assert end.value.code in (1, 2)  # for Supervisor 4.2.0, a port that is none is part of the host
    assert 'Traceback' not in capsys.readouterr().err


def test_with_i_it_asks_for_the_login_and_tries_again(capsys, monkeypatch):
    refusing = FakeProxy(getVersion=protocol_error(401))
    accepting = FakeProxy(restartProcessGroup=True)
    options = script.RestartOptions()
    options.getServerProxy = lambda: accepting if options.password == '123' else refusing
    monkeypatch.setattr('builtins.input', lambda prompt: 'user')
    passwords = ['wrong', '123']
    monkeypatch.setattr(script.getpass, 'getpass', lambda prompt: passwords.pop(0))
    with pytest.raises(SystemExit) as end:
        script.main(['-i', '-s', 'http://127.0.0.1:9001', 'web'], options)
    assert (end.value.code, options.username) == (0, 'user')
    assert capsys.readouterr().err.splitlines() == [
        'Server requires authentication', 'http://127.0.0.1:9001 refused the login of user']


def test_without_an_answer_to_the_login_nothing_is_restarted(capsys, monkeypatch):
    def no_input(prompt):
        raise EOFError
    monkeypatch.setattr('builtins.input', no_input)
    proxy = FakeProxy(getVersion=protocol_error(401))
    status, _, error = run(capsys, proxy, '-i', 'web')
    assert status == 130
    assert error == 'Server requires authentication\n\nno login, nothing is done\n'
