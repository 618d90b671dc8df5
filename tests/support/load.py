"""Clients that ask a web server for a page all the time, and count what goes wrong."""

import contextlib
import http.client
import random
import socket
import threading
import time
from typing import Any, Counter, FrozenSet, NamedTuple, Optional

PAUSE = 0.01  # seconds after a request that failed


class Counts(NamedTuple):
    """What clients saw. A request that was refused is also one that failed.

    `retried` are those on a connection that had served before, repeated on a new one; `slowest`
    are the seconds of the slowest request that was answered; `reasons` says how often each kind of
    failure was seen, and `bodies` what was answered.
    """

    requests: int
    failed: int
    refused: int
    retried: int
    slowest: float
    reasons: Counter[str]
    bodies: FrozenSet[bytes]


class Client(threading.Thread):
    """One client with one connection at a time, which asks again as soon as it has its answer.

    As browsers and proxies do (RFC 9110, 9.2.2), it repeats a request once, on a new connection,
    when the server closed a connection that had served before and sent nothing in answer. It gives
    up its connection by itself after `per_connection` requests. `pause` are the seconds between two
    requests, `timeout` those that it waits for an answer. With a list of addresses, each connection
    is to the next one, and a request that a new connection does not answer goes once to another, as
    a proxy sends it (nginx: proxy_next_upstream).
    """

    def __init__(self, address: Any, per_connection: int, pause: float, timeout: float):
        threading.Thread.__init__(self, daemon=True)
        self.addresses = address if isinstance(address, list) else [address]
        self.per_connection = per_connection
        self._next = random.randrange(len(self.addresses))
        self.pause, self.timeout = pause, timeout
        self.requests, self.retried, self.refused = 0, 0, 0
        self.slowest = 0.0
        self.reasons: Counter[str] = Counter()
        self.bodies: FrozenSet[bytes] = frozenset()
        self.stopped = threading.Event()
        self._connection: Optional[http.client.HTTPConnection] = None
        self._served = 0

    def run(self) -> None:
        """Ask until `stopped` is set."""
        while not self.stopped.is_set():
            began = time.monotonic()
            try:
                self._request()
            except (OSError, http.client.HTTPException) as why:
                self._close()
                # A unix socket that is not there yet, or not any more, is a refusal too.
                self.refused += isinstance(why, (ConnectionRefusedError, FileNotFoundError))
                self.reasons['%s, %s connection' % (
                    type(why).__name__, 'used' if self._served else 'new')] += 1
                self.stopped.wait(PAUSE)
            else:
                self.slowest = max(self.slowest, time.monotonic() - began)
            self.requests += 1
            if self.pause:
                self.stopped.wait(self.pause)
        self._close()

    def _request(self) -> None:
        if self._served >= self.per_connection:
            self._close()
        if self._connection is not None:
            try:
                return self._ask(self._connection)
            except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
                self._close()
                self.retried += 1
        self._served = 0
        if len(self.addresses) > 1:
            try:
                return self._ask_another()
            except (OSError, http.client.RemoteDisconnected):
                self._close()
                self.retried += 1
        self._ask_another()

    def _ask_another(self) -> None:
        self._next = (self._next + 1) % len(self.addresses)
        self._connection = connection = connect(self.addresses[self._next], self.timeout)
        self._ask(connection)

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        connection.request('GET', '/')
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise http.client.HTTPException('status %d' % response.status)
        if body not in self.bodies:
            self.bodies |= {body}  # a new set: others iterate over the old one
        self._served += 1
        if response.will_close:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Load:
    """Clients that run while a block is executed.

        with Load('/tmp/web.sock') as load:
            restart()
        assert load.counts().failed == 0

    `address` is the path of a unix socket, a pair of a host and a port, or a list of such.
    """

    def __init__(self, address: Any, clients: int = 6, per_connection: int = 100,
                 pause: float = 0.0, timeout: float = 30.0):
        self._clients = [Client(address, per_connection, pause, timeout) for _ in range(clients)]

    def counts(self) -> Counts:
        """Return what the clients have seen up to now."""
        def total(name: str) -> int:
            return sum(getattr(client, name) for client in self._clients)
        reasons: Counter[str] = sum((client.reasons for client in self._clients), Counter())
        return Counts(total('requests'), sum(reasons.values()), total('refused'), total('retried'),
                      max(client.slowest for client in self._clients), reasons,
                      frozenset().union(*(client.bodies for client in self._clients)))

    def __enter__(self) -> 'Load':
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *error: Any) -> None:
        for client in self._clients:
            client.stopped.set()
        for client in self._clients:
            client.join()


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection through the unix socket at `path`."""

    def __init__(self, path: str, timeout: float):
        http.client.HTTPConnection.__init__(self, 'localhost', timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Connect; raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connect(address: Any, timeout: float) -> http.client.HTTPConnection:
    """Return an open connection to an address as Load takes it; raises OSError."""
    connection = (http.client.HTTPConnection(*address, timeout=timeout)
                  if isinstance(address, tuple) else UnixConnection(str(address), timeout))
    connection.connect()
    return connection


class Answer(NamedTuple):
    """The status and the body of one answer."""

    status: int
    body: bytes


def fetch(address: Any, timeout: float = 5.0, path: str = '/') -> Answer:
    """Ask once, on a connection of its own; raises OSError or http.client.HTTPException."""
    with contextlib.closing(connect(address, timeout)) as connection:
        connection.request('GET', path)
        response = connection.getresponse()
        return Answer(response.status, response.read())
