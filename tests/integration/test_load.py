"""The clients that measure a web server see what they are meant to see."""

import socket
import threading

import pytest

from tests.support.daemon import free_port, wait_until
from tests.support.load import Load

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
GOODBYE = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'
ERROR = b'HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n'


class Server(threading.Thread):
    """Answers each connection with `answers`, one for each request, and closes it after the last.

    A None among them closes without an answer to a request that has been read.
    """

    def __init__(self, *answers):
        threading.Thread.__init__(self, daemon=True)
        self.answers = answers
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.address = self.listener.getsockname()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            for answer in self.answers:
                request = b''
                while not request.endswith(b'\r\n\r\n'):
                    piece = connection.recv(1000)
                    if not piece:
                        return
                    request += piece
                if answer is None:
                    return
                connection.sendall(answer)


@pytest.fixture
def serve():
    servers = []

    def start(*answers):
        server = Server(*answers)
        servers.append(server)
        server.start()
        return server.address

    yield start
    for server in servers:
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        server.join()


def counts(address, **options):
    with Load(address, clients=2, **options) as load:
        wait_until(lambda: load.counts().requests >= 20, 'some requests')
    return load.counts()


def test_a_connection_that_is_closed_between_two_requests_is_no_failure(serve):
    seen = counts(serve(ANSWER, ANSWER))
    assert (seen.failed, seen.refused, seen.bodies) == (0, 0, {b'ok'})
    assert seen.retried > 0


def test_a_used_connection_that_is_closed_instead_of_an_answer_is_retried(serve):
    seen = counts(serve(ANSWER, None))
    assert seen.failed == 0
    assert seen.retried > 0


@pytest.mark.parametrize('answers', [[None], [ERROR] * 100])
def test_a_new_connection_that_is_closed_instead_of_an_answer_or_an_error_is_a_failure(
        serve, answers):
    seen = counts(serve(*answers))
    assert seen.failed == seen.requests
    assert (seen.refused, seen.retried) == (0, 0)


def test_a_connection_that_the_server_ends_with_its_answer_is_neither(serve):
    seen = counts(serve(GOODBYE))
    assert (seen.failed, seen.retried) == (0, 0)
    seen = counts(serve(ANSWER, ANSWER, ANSWER), per_connection=3)  # nor one that the client ends
    assert (seen.failed, seen.retried) == (0, 0)


@pytest.mark.parametrize('kind', ['tcp', 'unix'])
def test_nobody_listening_is_a_refusal_and_a_failure(tmp_path, kind):
    address = ('127.0.0.1', free_port()) if kind == 'tcp' else str(tmp_path / 'none')
    seen = counts(address)
    assert seen.refused == seen.failed == seen.requests


def test_with_several_addresses_what_one_does_not_answer_goes_once_to_another(serve):
    nobody = ('127.0.0.1', free_port())
    seen = counts([nobody, serve(ANSWER)])
    assert seen.failed == 0
    assert seen.retried > 0
    seen = counts([nobody, nobody, serve(ANSWER)], per_connection=1)
    assert 0 < seen.failed < seen.requests


def test_the_slowest_request_is_one_that_was_answered(serve):
    assert 0 < counts(serve(*[ANSWER] * 100)).slowest < 20
    assert counts(serve(None)).slowest == 0
