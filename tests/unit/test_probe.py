"""What a look at an address makes of what is there."""

import contextlib
import os
import socket
import threading
from types import SimpleNamespace

import pytest

from supervisor_restarter.daemon.declaration import declared
from supervisor_restarter.daemon.probe import HEAD, Attempt, Probe
from tests.support.daemon import free_port
from tests.support.world import Clock
from tests.unit.loop import POLLERS, assert_nothing_is_left, fake_options, turn_until

TOO_MUCH = 'answered with more than %d bytes of headers' % HEAD
NO_ANSWER, NO_HTTP = 'closed the connection without an answer', 'answered what is not HTTP'
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'


@pytest.fixture(params=POLLERS)
def options(request):
    return fake_options(request.param)


@pytest.fixture
def server():
    """Serve at an address: `talk` is done with each connection. Returns where that is."""
    def accept(listening, talk):
        with contextlib.suppress(OSError):  # the test has ended
            while True:
                connection = listening.accept()[0]
                with connection, contextlib.suppress(OSError):
                    talk(connection)

    with contextlib.ExitStack() as stack:
        def serve(talk, family=socket.AF_INET, address=('127.0.0.1', 0)):
            listening = stack.enter_context(socket.socket(family))
            listening.bind(address)
            listening.listen(5)
            thread = threading.Thread(target=accept, args=(listening, talk), daemon=True)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(listening.shutdown, socket.SHUT_RDWR)
            return listening.getsockname()
        yield serve


@pytest.fixture
def unused():
    """An address at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(('127.0.0.1', 0))
        yield bound.getsockname()


def answers(data):
    def talk(connection):
        connection.recv(4096)
        connection.sendall(data)
    return talk


class OwnAddress:
    """Whoever answers at the address is the process, unless a test says otherwise."""

    process = SimpleNamespace(group=SimpleNamespace(processes={}))

    def __init__(self, obstacle='', blind=False):
        self.in_the_way, self.blind = obstacle, blind
        self.others_too, self.accepted = False, []

    def obstacle(self):
        return self.in_the_way

    def accepts(self, connection):
        return self.accepted.pop(0)


def probe(options, value, changed=lambda: None, clock=None, delay=0.2, asked=None, own=None):
    return Probe(options, declared({'RESTARTER_READY': value}), delay, changed,
                 set() if asked is None else asked, own or OwnAddress(), clock or Clock())


def look(options, watch):
    """Make one attempt."""
    watch.look()
    turn_until(options, lambda: not options.socket_map)


def seen_of(options, watch):
    """Make one attempt; return what was seen, without the address."""
    look(options, watch)
    assert_nothing_is_left(options)
    assert watch.seen.startswith(watch.awaited + ' ')
    return watch.ready, watch.seen[len(watch.awaited) + 1:]


def http(address, path='/health'):
    return 'http://127.0.0.1:%d%s' % (address[1], path)


@pytest.mark.parametrize('answer, seen', [
    (OK, 'answered 200'),
    (b'HTTP/1.0 204 No Content\r\n\r\n', 'answered 204'),
    (b'HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n', 'answered 302'),
    (b'HTTP/1.1 399 x\r\n\r\n', 'answered 399'),
    (b'HTTP/1.0 200 OK\n\nclosed after it', 'answered 200'),
    (b'HTTP/1.1 200 OK', 'answered 200'),
    (b'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n' + OK, 'answered 200'),
    (b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\n\r\nHTTP/1.1 503 x\r\n\r\n', 'answered 503'),
    (b'HTTP/1.1 103 Early Hints\r\n\r\n', NO_ANSWER),
    (b'HTTP/1.1 101 Switching Protocols\r\n\r\n' + OK, 'answered 101'),
    (b'HTTP/1.1 103 x\r\n\r\n' * 10000, TOO_MUCH),
    (b'HTTP/1.1 400 Bad Request\r\n\r\n', 'answered 400'),
    (b'HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n', 'answered 503'),
    (OK + b'x' * 1000000, 'answered 200'),
    (OK + b'\r\n\r\n' * 100, 'answered 200'),
    (b'', NO_ANSWER),
    (b'x' * 1000000, TOO_MUCH),
    (b'HTTP/1.1 200 OK\r\n' + b'X: y\r\n' * 100000, TOO_MUCH),
    (b'220 mail.example.com ESMTP\r\n\r\n', NO_HTTP),
    (b'HTTP/1.1 abc OK\r\n\r\n', NO_HTTP),
    (b'\r\n\r\n\r\n\r\n', NO_HTTP),
    (b'\x15\x03\x03\x00\x02\x02\x46', NO_HTTP),  # a TLS alert
    (bytes(range(256)) * 4, NO_HTTP),
])
def test_ready_is_what_answers_with_a_status_from_200_to_399(options, server, answer, seen):
    ready = seen in ('answered 200', 'answered 204', 'answered 302', 'answered 399')
    assert seen_of(options, probe(options, http(server(answers(answer))))) == (ready, seen)


def test_the_path_and_the_query_are_asked_for(options, server):
    asked = []

    def talk(connection):
        asked.append(connection.recv(4096))
        connection.sendall(OK)
    address = server(talk)
    assert seen_of(options, probe(options, http(address, '/a?b=c')))[0]
    assert asked[0].startswith(b'GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n' % address[1])
    assert b'\r\nConnection: close\r\n' in asked[0]


def test_an_answer_may_come_a_byte_at_a_time(options, server):
    def talk(connection):
        connection.recv(4096)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in OK:
            connection.sendall(bytes([byte]))
    assert seen_of(options, probe(options, http(server(talk)))) == (True, 'answered 200')


@pytest.mark.parametrize('kind', ['tcp', 'unix'])
def test_ready_is_what_accepts_a_connection(options, server, tmp_path, kind):
    if kind == 'tcp':
        value = 'tcp://127.0.0.1:%d' % server(lambda connection: None)[1]
    else:
        path = str(tmp_path / 's')
        server(lambda connection: None, socket.AF_UNIX, path)
        value = 'unix://' + path
    changes = []
    watch = probe(options, value, lambda: changes.append(watch.ready))
    assert seen_of(options, watch) == (True, 'accepts connections')
    watch.look()
    assert changes == [True] and options.socket_map == {}


@pytest.mark.parametrize('value', ['http://127.0.0.1:%d/', 'tcp://127.0.0.1:%d'])
def test_what_nobody_listens_at_refuses(options, unused, value):
    watch = probe(options, value % unused[1])
    assert seen_of(options, watch) == (False, 'refused the connection')


def test_an_answer_that_is_not_the_processes_own_says_nothing_of_it(options, server):
    own = OwnAddress(obstacle='127.0.0.1:8001 is listened on by pid 4711')
    clock = Clock()
    watch = probe(options, http(server(answers(OK))), own=own, clock=clock)
    watch.look()
    assert (watch.ready, watch.seen, options.socket_map) == (False, own.in_the_way, {})
    own.in_the_way = ''
    clock.forward(watch.due())
    assert seen_of(options, watch) == (True, 'answered 200')


# `pause`: where nothing wakes supervisord, it looks once a second.
@pytest.mark.parametrize('accepted, pause, seen', [
    ([None, None, True], None, 'answered 200'), ([True], 1.1, 'answered 200'),
    ([None, False], None, 'was answered by another process'),
    ([None], 1.1, 'has not answered within 1 second')])
def test_where_others_listen_there_too_only_the_one_that_has_accepted_is_asked(
        options, server, accepted, pause, seen):
    asked = []

    def talk(connection):
        for data in iter(lambda: connection.recv(4096), b''):
            asked.append(data)
            if data.endswith(b'\r\n\r\n'):
                connection.sendall(OK)
    own, clock = OwnAddress(), Clock()
    own.others_too, own.accepted = True, list(accepted)
    watch = probe(options, http(server(talk)), own=own, clock=clock)
    watch.look()
    while own.accepted:
        turn_until(options, lambda: b''.join(asked) == b'GET ')
        assert watch.due() <= 0.01
        clock.forward(pause or watch.due())
        watch.look()
    if accepted[-1]:
        turn_until(options, lambda: not options.socket_map)
    assert (watch.ready, watch.seen) == (bool(accepted[-1]), '%s %s' % (watch.awaited, seen))
    assert b'\r\n\r\n' in b''.join(asked) or not accepted[-1]
    watch.close()  # one that was answered by others is asked again
    assert_nothing_is_left(options)


@pytest.mark.parametrize('kind', ['http', 'unix'])
def test_where_nobody_tells_whose_an_answer_is_one_that_was_there_before_says_nothing(
        options, server, tmp_path, kind):
    family, path, address = socket.AF_INET, str(tmp_path / 's'), ('127.0.0.1', 0)
    if kind == 'unix':
        family, address = socket.AF_UNIX, path
    old = socket.socket(family)
    old.bind(address)
    old.listen(5)
    address, clock = old.getsockname(), Clock()
    value = http(address) if kind == 'http' else 'unix://' + path
    watch = probe(options, value, own=OwnAddress(blind=True), clock=clock)  # and now it is spawned
    turn_until(options, lambda: not options.socket_map)

    def looks():
        clock.forward(0.2)
        look(options, watch)
        return watch.seen
    if kind == 'unix':
        assert looks() == value + ' was answered before the process was started'
    old.close()
    assert 'refused' in looks() and not watch.ready
    if kind == 'unix':
        os.unlink(path)
    server(answers(OK), family, address)
    assert looks() and watch.ready
    assert_nothing_is_left(options)


def test_a_socket_that_is_not_there_is_named_as_the_system_does(options, tmp_path):
    watch = probe(options, 'unix://%s' % (tmp_path / 'none'))
    assert seen_of(options, watch) == (False, 'cannot be asked: No such file or directory')


def test_one_that_has_not_been_polled_leaves_alone_whose_number_it_has(options, tmp_path):
    with socket.socket() as closed:  # and its own turn of the loop is to come
        number = closed.fileno()
        options.poller.register_readable(number)
        options.poller.register_writable(number)
    watch = probe(options, 'unix://%s' % (tmp_path / 'none'))
    watch.look()
    assert 'No such file' in watch.seen and number in options.poller.writables
    options.poller.unregister_writable(number)
    options.poller.unregister_readable(number)
    assert_nothing_is_left(options)


def test_a_unix_socket_whose_queue_is_full_has_not_accepted(options, tmp_path):
    path = str(tmp_path / 's')
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(path)
        listening.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(path)
        assert not seen_of(options, probe(options, 'unix://' + path))[0]


def test_a_port_that_is_connected_to_itself_is_not_ready(options, monkeypatch):
    # The system chooses that port for the connection's other end once in some thousand times.
    connect = Attempt.connect

    def from_that_port(attempt, to):
        attempt.socket.bind(to)
        connect(attempt, to)
    monkeypatch.setattr(Attempt, 'connect', from_that_port)
    watch = probe(options, 'tcp://127.0.0.1:%d' % free_port())
    assert seen_of(options, watch) == (False, 'refused the connection')


def test_a_trouble_of_ours_is_logged_and_ends_the_attempt(options, server, monkeypatch):
    def fail(attempt):
        raise RuntimeError('oops')
    monkeypatch.setattr(Attempt, 'found_terminator', fail)
    watch = probe(options, http(server(answers(OK))))
    look(options, watch)
    level, line = options.logger.lines.pop()
    assert level == 'critical' and 'RuntimeError: oops' in line
    assert watch.seen == watch.awaited + ' cannot be asked: oops'
    assert_nothing_is_left(options)


# When

@pytest.fixture
def attempts(options, unused, monkeypatch):
    """When a probe of an address that refuses makes its attempts, in seconds."""
    clock, times, begin = Clock(), [], Attempt.begin

    def noted(attempt):
        times.append(clock.now - 1000.0)
        begin(attempt)
    monkeypatch.setattr(Attempt, 'begin', noted)

    def within(seconds, others=0):
        watch = probe(options, 'tcp://127.0.0.1:%d' % unused[1], clock=clock,
                      asked=set(range(others)))
        assert watch.due() == 0
        while clock.now < 1000.0 + seconds:
            look(options, watch)
            clock.forward(watch.due())
        return times
    return within


def test_it_looks_at_once_after_10_ms_and_then_ever_more_rarely(attempts):
    times = attempts(4.0)
    assert times[:9] == pytest.approx([number / 100 for number in range(9)])
    for before, after in zip(times[8:], times[9:]):
        assert after - before == pytest.approx(min(0.2, max(0.01, before / 8)))


@pytest.mark.parametrize('others, pause', [(19, 0.01), (99, 0.05), (1000, 0.2)])
def test_the_more_are_asked_the_more_rarely_each(attempts, others, pause):
    assert attempts(0.3, others)[:2] == pytest.approx([0, pause])


def test_one_that_is_ready_or_closed_is_not_asked(options, server):
    asked = set()
    url = http(server(answers(OK)))
    first, second = probe(options, url, asked=asked), probe(options, url, asked=asked)
    assert asked == {first, second}
    first.look()
    turn_until(options, lambda: first.ready)
    assert asked == {second}
    second.close()
    assert asked == set()


@pytest.mark.parametrize('delay', [0.2, 50.0])
def test_an_attempt_ends_after_a_second(options, server, delay):
    silent = threading.Event()
    clock = Clock()
    watch = probe(options, http(server(lambda connection: silent.wait(10))), clock=clock,
                  delay=delay)
    try:
        begin = clock.now
        watch.look()
        connections = set(options.socket_map.values())
        assert len(connections) == 1
        while set(options.socket_map.values()) == connections:
            clock.forward(watch.due())
            watch.look()
        assert clock.now - begin == pytest.approx(1.0, abs=0.2)
        assert watch.seen.endswith('has not answered within 1 second')
    finally:
        silent.set()
    watch.close()
    assert_nothing_is_left(options)


def test_a_watch_that_is_closed_leaves_nothing(options, server):
    silent = threading.Event()
    watch = probe(options, http(server(lambda connection: silent.wait(10))))
    watch.look()
    attempt, = options.socket_map.values()
    watch.close()
    watch.close()
    silent.set()
    assert_nothing_is_left(options)
    assert attempt.socket.fileno() == -1
