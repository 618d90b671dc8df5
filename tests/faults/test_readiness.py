"""What is at a process's address, or comes to its socket, does not get at supervisord."""

import contextlib
import os
import resource
import signal
import socket
import ssl
import sys
import threading
import time

import pytest

from supervisor_restarter.daemon.socket_map import SPARE
from tests.support.daemon import MANNERS, Daemon, wait_until
from tests.support.faults import Call, all_new, info
from tests.support.readiness import declaring, temporary_folder

pytestmark = pytest.mark.slow

PATIENCE = 1.5  # seconds that a restart waits for a process that is not ready
LATE = 0.5  # seconds: a main loop that is held, is held for a second and more

FLOOD = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    while 'NOTIFY_SOCKET' in os.environ:
        try:
            sender.sendto(b'STATUS=x', os.environ['NOTIFY_SOCKET'])
        except OSError:
            break
time.sleep(100000)
"""


class Server(threading.Thread):
    """A server at `port` that talks to each connection in its own way."""

    def __init__(self, talk):
        super().__init__(daemon=True)
        self.talk = talk
        self.listening = socket.socket()
        self.listening.bind(('127.0.0.1', 0))
        self.listening.listen(512)
        self.port = self.listening.getsockname()[1]

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._talk, args=self.listening.accept(),
                                 daemon=True).start()

    def _talk(self, connection, address):
        with connection, contextlib.suppress(OSError):
            self.talk(connection)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *why):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


class Caller(threading.Thread):
    """Another client of supervisord; `longest` is how long an answer took."""

    def __init__(self, daemon, pause=0.005):
        super().__init__(daemon=True)
        self.supervisord, self.pause = daemon, pause
        self.longest = 0.0
        self.done = threading.Event()

    def run(self):
        with self.supervisord.connection() as rpc:
            while not self.done.wait(self.pause):
                began = time.monotonic()
                rpc.supervisor.getState()
                self.longest = max(self.longest, time.monotonic() - began)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *why):
        self.done.set()
        self.join()


def says_nothing(connection):
    connection.recv(4096)
    time.sleep(60)


def a_megabyte(connection):
    connection.sendall(b'x' * 1000000)


def a_megabyte_of_headers(connection):
    connection.sendall(b'HTTP/1.1 200 OK\r\n' + b'X-Header: more\r\n' * 65536)


def a_byte_at_a_time(connection):
    for byte in b'HTTP/1.1 200 OK\r\n' + b'X-Header: more\r\n' * 65536:
        connection.sendall(bytes([byte]))
        time.sleep(0.01)


def rubbish(connection):
    connection.sendall(bytes(range(256)))


def a_tls_record(connection):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(here, there).do_handshake()
    connection.sendall(there.read())


def a_reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')


@pytest.mark.parametrize('talk, seen', [
    (says_nothing, 'has not answered within 1 second'),
    (a_megabyte, 'answered with more than 65536 bytes of headers'),
    (a_megabyte_of_headers, 'answered with more than 65536 bytes of headers'),
    (a_byte_at_a_time, 'has not answered within 1 second'),
    (rubbish, 'answered what is not HTTP'),
    (a_tls_record, 'answered what is not HTTP'),
    (a_reset, ''),
])
def test_whatever_is_at_the_address_others_are_answered_and_nothing_is_left(talk, seen):
    with Server(talk) as server:
        url = 'http://127.0.0.1:%d/' % server.port
        assert_not_ready(url, '%s %s' % (url, seen))


def test_an_address_that_does_not_answer():
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(('127.0.0.1', 0))
        listening.listen(0)
        for _ in range(4):  # once its queue is full, the system does not answer
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        url = 'tcp://127.0.0.1:%d' % listening.getsockname()[1]
        assert_not_ready(url, url + ' has not answered within 1 second')


def assert_not_ready(url, seen):
    programs = declaring(MANNERS['at once'], url, numprocs=3)
    with Daemon(programs, loglevel='info') as daemon:
        before = daemon.wait_running('web')
        descriptors = daemon.descriptors_at_rest()
        with Caller(daemon) as caller:
            answer = Call(daemon, 'web', {'timeout': PATIENCE}).result()
        assert [fault['code'] for fault in answer] == [0x460] * 3
        assert all(seen in fault['text'] for fault in answer), answer
        assert all_new(before, daemon.wait_running('web'))
        assert caller.longest < LATE
        assert daemon.descriptors_at_rest() == descriptors
        assert 'Traceback' not in daemon.output()


def test_a_redirect_is_an_answer():
    def redirect(connection):
        connection.recv(4096)
        connection.sendall(b'HTTP/1.1 301 Moved\r\nLocation: https://192.0.2.1/\r\n\r\n')
    with Server(redirect) as server:
        programs = declaring(MANNERS['at once'], 'http://127.0.0.1:%d/' % server.port)
        with Daemon(programs) as daemon:
            daemon.wait_running('web')
            assert Call(daemon, 'web').result() is True


def test_messages_without_end_do_not_hold_the_main_loop():
    daemon = Daemon(declaring('%s flood.py' % sys.executable, 'notify'))
    (daemon.folder / 'flood.py').write_text(FLOOD)
    with daemon:
        daemon.wait_running('web')
        descriptors = daemon.descriptors_at_rest()
        with Caller(daemon) as caller:
            answer = Call(daemon, 'web', {'timeout': PATIENCE}).result()
        assert 'has not sent READY=1' in answer[0]['text']
        assert caller.longest < LATE
        assert daemon.descriptors_at_rest() == descriptors


@pytest.mark.stress
def test_a_thousand_processes_are_asked_and_nothing_is_left():
    def answer(connection):
        connection.recv(4096)
        connection.sendall(b'HTTP/1.1 204 x\r\n\r\n')
    with Server(answer) as server:
        programs = declaring(MANNERS['at once'], 'http://127.0.0.1:%d/' % server.port,
                             numprocs=1000, stdout_logfile='NONE', stderr_logfile='NONE')
        with Daemon(programs, minfds=8192, loglevel='info') as daemon:
            daemon.wait_running('web', 300)
            descriptors = daemon.descriptors_at_rest()
            with Caller(daemon, pause=0.1) as caller:
                assert Call(daemon, 'web', {'timeout': 600}).result(600) is True
            assert daemon.log().count('spawned: ') == 2000
            assert caller.longest < 3.0
            assert daemon.descriptors_at_rest() == descriptors


# Nothing is left in the temporary folder, whatever ends the restart

def in_time(daemon):
    return Call(daemon, 'web', {'timeout': 0.5}).result()


def cancelled(daemon):
    begin(daemon)
    daemon.rpc.restarter.cancelRestart('web')
    daemon.supervisorctl('stop', 'web:*')


def killed(daemon):
    begin(daemon)
    for pid in daemon.pids('web').values():
        os.kill(pid, signal.SIGKILL)


def stopped(daemon):
    begin(daemon)
    daemon.supervisorctl('stop', 'web:*')


def removed(daemon):
    begin(daemon)
    daemon.supervisorctl('stop', 'web:*')
    daemon.supervisorctl('remove', 'web')


def reloaded(daemon):
    begin(daemon)
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: daemon.log().count('supervisord started with pid') == 2, 'it reloads')


def ended(daemon):
    begin(daemon)
    daemon.signal(signal.SIGTERM)
    daemon.wait_ended()


def begin(daemon):
    daemon.rpc.restarter.restartProcessGroup('web', {'timeout': 60, 'wait': False})
    wait_until(lambda: len(info(daemon)['awaiting']) == 3, 'all are awaited')
    assert temporary(daemon)


def temporary(daemon):
    return list((daemon.folder / 'tmp').iterdir())


@pytest.mark.parametrize('end', [in_time, cancelled, killed, stopped, removed, reloaded, ended])
def test_nothing_is_left_in_the_temporary_folder_however_it_ends(end):
    daemon = Daemon(declaring(MANNERS['at once'], 'notify', numprocs=3))
    temporary_folder(daemon)
    with daemon:
        daemon.wait_running('web')
        end(daemon)
        wait_until(lambda: temporary(daemon) == [], 'the folder is empty')
        if end is reloaded:
            daemon.wait_running('web')
            assert len(in_time(daemon)) == 3
            assert temporary(daemon) == []


@pytest.mark.parametrize('kind', ['notify', 'tcp'])
def test_the_last_descriptors_are_for_the_process_that_has_to_come_up(kind):
    with Server(lambda connection: None) as server:
        value = kind if kind == 'notify' else 'tcp://127.0.0.1:%d' % server.port
        with Daemon(declaring(MANNERS['at once'], value, numprocs=1)) as daemon:
            before = daemon.wait_running('web')
            hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[1]
            # Enough for a process, and for the client; all that are free are among the last ones.
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (SPARE + 4, hard))
            answer = Call(daemon, 'web', {'timeout': 1}).result()
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (hard, hard))
            after = daemon.wait_running('web')
            assert [fault['code'] for fault in answer] == [0x460]
            assert 'Too many open files' in answer[0]['text']
            assert all_new(before, after)
