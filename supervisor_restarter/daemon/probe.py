"""Looks at the address of a process until it answers."""

import errno
import http.client
import io
import math
import os
import socket
import sys
import time
import traceback
from typing import Any, Callable, Dict, Optional, Set

from supervisor.medusa import asynchat_25 as asynchat

from supervisor_restarter.daemon.declaration import Declaration
from supervisor_restarter.daemon.socket_map import check_spare, forget

PATIENCE = 1.0  # seconds that an attempt may take

# Seconds between two attempts: at least, and for each process that is asked. An attempt costs about
# 0.1 ms, so all together take a fifth of a core, and a few are seen soon.
LEAST = 0.01
EACH = 0.0005
# What part of the time that has passed since the first may pass until the next one.
PART = 1 / 8

HEAD = 65536  # bytes that a status line and headers may have


class Probe:
    """The watch for a process that can be asked, as `Readiness.watch` returns it.

    It does not see that a time has come: call `look()` when `due()` seconds have passed. All probes
    of a supervisord that are not ready yet are in `asked`.
    """

    extended_until = -math.inf

    def __init__(self, options: Any, declaration: Declaration, delay: float,
                 changed: Callable[[], None], asked: Set['Probe'], clock: Any = time):
        self.options = options
        self.declaration = declaration
        self.delay = delay
        self.changed = changed
        self.asked = asked
        self.clock = clock
        self.awaited = declaration.text
        self.environment: Dict[str, str] = {}
        self.ready = False
        self._seen = 'has not answered'
        self._attempt: Optional[Attempt] = None
        self._began = math.inf
        self._next = -math.inf
        self._until = math.inf  # when the attempt has taken long enough
        asked.add(self)

    @property
    def seen(self) -> str:
        """What was seen last, as the end of a sentence."""
        return '%s %s' % (self.awaited, self._seen)

    def look(self) -> None:
        """Begin an attempt if it is time for one, and end one that has taken too long."""
        now = self.clock.monotonic()
        if now >= self._until and self._attempt is not None:
            self._attempt.end('has not answered within %g second' % PATIENCE)
        if self.ready or now < self._next:
            return
        self._began = min(self._began, now)
        self._next = now + min(self.delay, max(
            LEAST, PART * (now - self._began), EACH * len(self.asked)))
        if self._attempt is None:
            self._until = now + PATIENCE
            self._attempt = Attempt(self.options, self.declaration, self._ended)
            self._attempt.begin()

    def due(self) -> float:
        """Return the seconds until the next look."""
        return max(0.0, min(self._next, self._until) - self.clock.monotonic())

    def close(self) -> None:
        """End the attempt, and make no more."""
        self.asked.discard(self)
        if self._attempt is not None:
            self._attempt.end('was not waited for')

    def _ended(self, ready: bool, seen: str) -> None:
        self._attempt, self._until, self._seen = None, math.inf, seen
        if ready:
            self.ready = True
            self.asked.discard(self)
            self.changed()


class Attempt(asynchat.async_chat):
    """One connection, an entry of the socket map while it is open.

    `ended(ready, seen)` is called once.
    """

    def __init__(self, options: Any, declaration: Declaration,
                 ended: Callable[[bool, str], None]):
        super().__init__(map=options.get_socket_map())
        self._options = options
        self._declaration = declaration
        self._ended = ended
        self._over = False
        self._head = b''
        self.set_terminator(b'\r\n\r\n')

    def begin(self) -> None:
        """Connect, and ask."""
        try:
            self.create_socket(self._declaration.family, socket.SOCK_STREAM)
            check_spare(self.socket.fileno())
            self.connect(self._declaration.address)
            if self._declaration.request:
                self.push(self._declaration.request)
        except OSError as why:
            self._fail(why.errno)

    def end(self, seen: str, ready: bool = False) -> None:
        """Close the connection, and tell what was seen."""
        if self._over:
            return
        self._over = True
        if self.socket is not None:
            forget(self._options, self.socket.fileno())
            self.close()
        self._ended(ready, seen)

    # what asyncore calls

    def handle_connect(self) -> None:
        failed = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            self._fail(failed)
            return
        try:
            # A unix socket whose queue is full is not connecting, though connect() says EAGAIN.
            peer = self.socket.getpeername()
        except OSError as why:
            self._fail(why.errno)
            return
        if peer == self.socket.getsockname():
            # Where nobody listens, a port that the system gives away can be connected to itself.
            self._fail(errno.ECONNREFUSED)
        elif not self._declaration.request:
            self.end('accepts connections', ready=True)

    def collect_incoming_data(self, data: bytes) -> None:
        self._head += data
        if len(self._head) > HEAD:
            self.end('answered with more than %d bytes of headers' % HEAD)

    def found_terminator(self) -> None:
        self._judge()

    def handle_close(self) -> None:
        if self._head or self.ac_in_buffer:
            self._judge()
        else:
            self.end('closed the connection without an answer')

    def handle_error(self) -> None:
        if self._over:
            # asyncore reads and writes on after it has told that there is a connection, or none
            # any more (asyncore_25.py: handle_read_event).
            return
        why = sys.exc_info()[1]
        if isinstance(why, OSError):
            self._fail(why.errno)
        else:
            self._options.logger.critical('restarter: %s' % traceback.format_exc())
            self.end('cannot be asked: %s' % why)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return self._over or super().writable()

    def _fail(self, code: Optional[int]) -> None:
        self.end('refused the connection' if code == errno.ECONNREFUSED
                 else 'cannot be asked: %s' % os.strerror(code or errno.EIO))

    def _judge(self) -> None:
        response = http.client.HTTPResponse(_Bytes(self._head + b'\r\n\r\n'), method='GET')
        try:
            response.begin()
        except http.client.HTTPException:
            self.end('answered what is not HTTP')
        else:
            self.end('answered %d' % response.status, ready=200 <= response.status <= 399)


class _Bytes:
    """What http.client asks of a socket, with bytes that are there already."""

    def __init__(self, data: bytes):
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)
