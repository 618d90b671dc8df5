"""The console script against a real supervisord, and against servers that are none."""

import http.server
import signal
import socket
import subprocess
import threading

import pytest

from tests.support.daemon import MANNERS, SCRIPTS, Daemon, free_port, group, heed_ctrl_c, wait_until

SCRIPT = str(SCRIPTS / 'supervisorctl_restart_group')


def script(*arguments, **options):
    return subprocess.run([SCRIPT, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, timeout=60, **options)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('login', [{}, {'username': 'user', 'password': '123'}])
@pytest.mark.parametrize('server', ['unix_url', 'inet_url'])
def test_it_restarts_a_group(folder, server, login):
    with Daemon(group('web', 3), inet=True, **login) as daemon:
        before = daemon.wait_running('web')
        given = ['-u', 'user', '-p', '123'] if login else []
        done = script('-s', getattr(daemon, server), *given, 'web')
        assert (done.returncode, done.stdout, done.stderr) == (0, 'web: restarted\n', '')
        assert not set(before.values()) & set(daemon.wait_running('web').values())


def test_it_finds_the_configuration_as_supervisorctl_does():
    with Daemon(group('web', 1)) as daemon:
        daemon.wait_running('web')
        done = script('web', cwd=str(daemon.folder))
        assert (done.returncode, done.stdout) == (0, 'web: restarted\n')


def test_each_failed_process_has_its_line_and_counts():
    with Daemon(group('web', 3, MANNERS['exits 1'], startsecs=1)) as daemon:
        wait_until(lambda: 'BACKOFF' in daemon.states('web').values(), 'they have failed')
        done = daemon.restart_group('web')
        assert (done.returncode, done.stdout) == (3, '')
        lines = done.stderr.splitlines()
        assert sorted(line.split(': ERROR (START_FAILED: ')[0] for line in lines) == [
            'web:web_000', 'web:web_001', 'web:web_002']


def test_a_server_that_wants_a_login_says_so(folder):
    with Daemon(group('web', 1), username='user', password='123') as daemon:
        done = script('-s', daemon.url, 'web')
        assert (done.returncode, done.stderr) == (2, 'Server requires authentication\n')


def test_a_login_that_is_wrong_says_so(folder):
    with Daemon(group('web', 1), username='user', password='123') as daemon:
        done = script('-s', daemon.url, '-u', 'user', '-p', 'wrong', 'web')
        assert (done.returncode, done.stderr) == (
            2, '%s refused the login of user\n' % daemon.url)


def test_a_server_without_the_plugin_says_which_section_to_add_and_what_then():
    with Daemon(group('web', 1), plugin='') as daemon:
        done = daemon.restart_group('web')
        assert done.returncode == 2
        assert 'add a section [rpcinterface:restarter]' in done.stderr
        assert done.stderr.endswith('to its configuration and restart supervisord.)\n')


@pytest.mark.parametrize('arguments', [
    ['web:'], ['web:*'], ['web', '--timeout', '5', '--max-unavailable=1']])
def test_a_group_may_be_written_as_for_supervisorctl_and_options_may_stand_behind_it(arguments):
    with Daemon(group('web', 1)) as daemon:
        daemon.wait_running('web')
        done = daemon.restart_group(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (0, 'web: restarted\n', '')


def test_ctrl_c_says_that_the_restart_goes_on_and_it_does():
    with Daemon(group('web', 2, MANNERS['held back'])) as daemon:
        before = daemon.wait_running('web')
        running = subprocess.Popen([SCRIPT, '-c', str(daemon.configuration), 'web'],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   universal_newlines=True, preexec_fn=heed_ctrl_c)
        wait_until(lambda: 'STOPPING' in daemon.states('web').values(), 'the restart has begun')
        running.send_signal(signal.SIGINT)
        output, error = running.communicate(timeout=20)
        daemon.let_go()
        assert (running.returncode, output) == (130, '')
        assert error == ('web: interrupted; the restart goes on in supervisord. To stop it: '
                         '%s -c %s --cancel web\n' % (SCRIPT, daemon.configuration))
        wait_until(lambda: daemon.rpc.restarter.getRestartInfo('web')['state'] == 'FINISHED',
                   'the restart has finished')
        assert not set(before.values()) & set(daemon.wait_running('web').values())


def test_what_ctrl_c_says_cancels_the_restart_without_commands_for_supervisorctl(folder):
    with Daemon(group('web', 8, startsecs=1)) as daemon:
        daemon.wait_running('web')
        running = subprocess.Popen([SCRIPT, '-s', daemon.url, '--max-unavailable', '1', 'web'],
                                   stderr=subprocess.PIPE, universal_newlines=True,
                                   preexec_fn=heed_ctrl_c)
        wait_until(lambda: 'STARTING' in daemon.states('web').values(), 'the restart has begun')
        running.send_signal(signal.SIGINT)
        hint = running.communicate(timeout=20)[1].split('To stop it: ')[1]
        done = subprocess.run(hint, shell=True, stdout=subprocess.PIPE, universal_newlines=True)
        assert (done.returncode, done.stdout) == (0, 'web: cancelled\n')
        wait_until(lambda: 'FINISHED' in daemon.restart_group('--info', 'web').stdout,
                   'it has settled')
        lines = daemon.restart_group('web', '--info').stdout.splitlines()
        assert 'waiting' in lines[0] and lines[1].startswith('  web: ERROR (CANCELLED: ')


def test_a_supervisord_that_ends_in_the_middle_is_no_traceback():
    with Daemon(group('web', 2, MANNERS['held back'])) as daemon:
        daemon.wait_running('web')
        running = subprocess.Popen([SCRIPT, '-c', str(daemon.configuration), 'web'],
                                   stderr=subprocess.PIPE, universal_newlines=True)
        wait_until(lambda: 'STOPPING' in daemon.states('web').values(), 'the restart has begun')
        daemon.signal(signal.SIGTERM)
        daemon.let_go()
        error = running.communicate(timeout=20)[1]
        assert running.returncode in (1, 2)
        assert 'Traceback' not in error and len(error.splitlines()) == 1


class OddServer(http.server.BaseHTTPRequestHandler):
    """Answers every call with the status that its path names, and no XML."""

    def do_POST(self):
        self.send_response(self.server.status)
        self.send_header('Content-Length', '5')
        self.end_headers()
        self.wfile.write(b'hello')

    def log_message(self, *arguments):
        pass


@pytest.fixture
def odd_server(request):
    server = http.server.HTTPServer(('127.0.0.1', 0), OddServer)
    server.status = request.param
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
    thread.start()
    yield 'http://127.0.0.1:%d' % server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize('odd_server, status', [(500, 10), (404, 10), (200, 10), (401, 2)],
                         indirect=['odd_server'])
def test_any_other_http_error_is_one_sentence(folder, odd_server, status):
    done = script('-s', odd_server, 'web')
    assert (done.returncode, done.stdout) == (status, '')
    assert 'Traceback' not in done.stderr and len(done.stderr.splitlines()) == 1


def no_such_socket(folder):
    return 'unix://%s' % (folder / 'no.sock')


def no_socket_at_all(folder):
    (folder / 'file').write_text('')
    return 'unix://%s' % (folder / 'file')


@pytest.mark.parametrize('url', [
    no_such_socket, no_socket_at_all,
    lambda folder: 'http://127.0.0.1:%d' % free_port(),
    lambda folder: 'http://no-such-host.invalid:9001'])
def test_no_connection_is_one_sentence(folder, url):
    done = script('-s', url(folder), 'web')
    assert (done.returncode, done.stdout) == (1, '')
    assert 'Traceback' not in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_server_that_does_not_speak_http_is_one_sentence(folder):
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        server.listen(1)

        def answer():
            connection = server.accept()[0]
            connection.recv(4096)
            connection.sendall(b'220 hello\r\n')
            connection.close()
        thread = threading.Thread(target=answer)
        thread.start()
        done = script('-s', 'http://127.0.0.1:%d' % server.getsockname()[1], 'web')
        thread.join()
    assert done.returncode == 10
    assert 'Traceback' not in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_closed_standard_output_is_no_traceback():
    with Daemon(group('web', 1)) as daemon:
        daemon.wait_running('web')
        running = subprocess.Popen([SCRIPT, '-c', str(daemon.configuration), 'web'],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   universal_newlines=True)
        running.stdout.close()
        error = running.stderr.read()
        running.stderr.close()
        assert (running.wait(20), error) == (0, '')
