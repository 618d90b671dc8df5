"""The console script against a real supervisord, and against servers that are none."""

import contextlib
import signal
import socket
import subprocess
import threading

import pytest

from tests.support.daemon import MANNERS, SCRIPTS, free_port, group, heed_ctrl_c, running
from tests.support.faults import all_new, wait_finished, wait_phase

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
    with running(group('web', 3), inet=True, **login) as (daemon, before):
        given = ['-u', 'user', '-p', '123'] if login else []
        done = script('-s', getattr(daemon, server), *given, 'web')
        assert (done.returncode, done.stdout, done.stderr) == (0, 'web: restarted\n', '')
        assert all_new(before, daemon.wait_running('web'))


def test_what_ctrl_c_says_cancels_the_restart_without_commands_for_supervisorctl(folder):
    with running(group('web', 4, MANNERS['held back'])) as (daemon, _):
        deploy = subprocess.Popen([SCRIPT, '-s', daemon.url, '--max-unavailable', '1', 'web'],
                                  stderr=subprocess.PIPE, universal_newlines=True,
                                  preexec_fn=heed_ctrl_c)
        wait_phase(daemon, 'stopping')
        deploy.send_signal(signal.SIGINT)
        said = deploy.communicate(timeout=20)[1]
        assert deploy.returncode == 130
        assert said == ('web: interrupted; the restart goes on in supervisord. To stop it: '
                        '%s -s %s --cancel web\n' % (SCRIPT, daemon.url))
        done = subprocess.run(said.split('To stop it: ')[1], shell=True, stdout=subprocess.PIPE,
                              universal_newlines=True)
        assert (done.returncode, done.stdout) == (0, 'web: cancelled\n')
        daemon.let_go()
        wait_finished(daemon)
        lines = daemon.restart_group('web', '--info').stdout.splitlines()
        assert '3 waiting' in lines[0] and lines[1].startswith('  web: ERROR (CANCELLED: ')


def test_a_supervisord_that_ends_in_the_middle_is_no_traceback():
    with running(group('web', 2, MANNERS['held back'])) as (daemon, _):
        deploy = daemon.begin('supervisorctl_restart_group', 'web')
        wait_phase(daemon, 'stopping')
        daemon.signal(signal.SIGTERM)
        daemon.let_go()
        error = deploy.communicate(timeout=20)[1]
        assert deploy.returncode in (1, 2)
        assert 'Traceback' not in error and len(error.splitlines()) == 1


@contextlib.contextmanager
def odd_server(answer):
    """A server that gives each connection the same answer; yields its address."""
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        server.listen(5)

        def serve():
            with contextlib.suppress(OSError):  # the test has ended
                while True:
                    with server.accept()[0] as connection:
                        connection.recv(4096)
                        connection.sendall(answer)
        thread = threading.Thread(target=serve)
        thread.start()
        yield 'http://127.0.0.1:%d' % server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize('answer, status', [
    (b'HTTP/1.1 500 x', 10), (b'HTTP/1.1 404 x', 10), (b'HTTP/1.1 200 x', 10),
    (b'HTTP/1.1 401 x', 2), (b'220 hello', 10)])
def test_a_server_that_is_another_is_one_sentence(folder, answer, status):
    with odd_server(answer + b'\r\nContent-Length: 5\r\n\r\nhello') as url:
        done = script('-s', url, 'web')
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


def test_a_closed_standard_output_is_no_traceback():
    with running(group('web', 1)) as (daemon, _):
        deploy = daemon.begin('supervisorctl_restart_group', 'web')
        deploy.stdout.close()
        error = deploy.stderr.read()
        deploy.stderr.close()
        assert (deploy.wait(20), error) == (0, '')
