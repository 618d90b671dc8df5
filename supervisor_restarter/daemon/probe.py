"""Looks at the address of a process until it answers."""

import errno
import http.client
import io
import math
import os
import re
import socket
import sys
import time
import traceback
from typing import Any, Callable, Dict, Optional, Set

from supervisor.medusa import asynchat_25 as asynchat

from supervisor_restarter.daemon.declaration import Declaration
from supervisor_restarter.daemon.listeners import CannotSee
from supervisor_restarter.daemon.listening import Own
from supervisor_restarter.daemon.pace import LEAST, Pace
from supervisor_restarter.daemon.socket_map import check_spare, forget

Accepts = Callable[[socket.socket], Optional[bool]]

FIRST = 4  # bytes of a request that are sent before it is known who gets it
PATIENCE = 1.0  # seconds that an attempt may take

HEAD = 65536  # bytes that a status line and headers may have

# An answer that is not the last: not 101, after which HTTP has ended (RFC 9110, 15.2).
INTERIM = re.compile(rb'HTTP/1\.[0-9] 1(?!01)[0-9]{2}[ \r\n]')


class Probe:
    """The watch for a process that can be asked, as `Readiness.watch` returns it.

    It does not see that a time has come: call `look()` when `due()` seconds have passed. All probes
    of a supervisord that are not ready yet are in `watched`. `own` tells whether an answer is the
    process's; where that cannot be known, make the probe right before the process is spawned.
    """

    extended_until = -math.inf
    early = True
    patient = False

    def __init__(self, options: Any, declaration: Declaration, delay: float,
                 changed: Callable[[], None], watched: Set[Any], own: Own, clock: Any = time):
        self.options = options
        self.declaration = declaration
        self.changed = changed
        self.watched = watched
        self.own = own
        self.clock = clock
        self.pace = Pace(delay, watched, clock)
        self.awaited = declaration.text
        self.environment: Dict[str, str] = {}
        self.ready = False
        self.seen = '%s has not answered' % self.awaited
        self._attempt: Optional[Attempt] = None
        self._until = math.inf  # when the attempt has taken long enough
        self._others = False  # whether somebody else answers
        watched.add(self)
        if own.blind:
            self._begin(declaration._replace(request=b''), self._ended_before)

    def look(self) -> None:
        """Begin an attempt if it is time for one, and end one that has taken too long."""
        now = self.clock.monotonic()
        if self._attempt is not None and self._attempt.go_on():
            self._until = now + PATIENCE  # it has been asked only now
        if self._attempt is not None and now >= self._until:
            self._attempt.end('has not answered within %g second' % PATIENCE)
        if self.ready or not self.pace.is_due() or self._attempt is not None:
            return
        # The process that has the socket now gets the connection.
        obstacle = self.own.obstacle()
        if obstacle:
            self.seen = obstacle
        elif self.own.others_too and self.declaration.request:
            self._begin(self.declaration, self._ended, self.own.accepts)
        else:
            self._begin(self.declaration, self._ended)

    def due(self) -> float:
        """Return the seconds until the next look."""
        if self._attempt is not None and self._attempt.waits:
            return LEAST
        return max(0.0, min(self.pace.next, self._until) - self.clock.monotonic())

    def in_the_way(self) -> str:
        """Return who else listens at the address, as a sentence; empty where nobody does."""
        return self.own.others()

    def close(self) -> None:
        """End the attempt, and make no more."""
        self.watched.discard(self)
        if self._attempt is not None:
            self._attempt.end('was not waited for')

    def _begin(self, declaration: Declaration, ended: Callable[[bool, str], None],
               accepts: Optional[Accepts] = None) -> None:
        self._until = self.clock.monotonic() + PATIENCE
        self._attempt = Attempt(self.options, declaration, self.own.process.group, ended, accepts)
        self._attempt.begin()

    def _ended_before(self, ready: bool, seen: str) -> None:
        self._attempt, self._until, self._others = None, math.inf, ready

    def _ended(self, ready: bool, seen: str) -> None:
        attempt, self._attempt, self._until = self._attempt, None, math.inf
        self.seen = '%s %s' % (self.awaited, seen)
        if attempt is not None and attempt.refused:
            self._others = False  # they have gone
        if ready and self._others:
            self.seen = '%s was answered before the process was started' % self.awaited
        elif ready:
            self.ready = True
            self.watched.discard(self)
            self.changed()


class Attempt(asynchat.async_chat):
    """One connection, an entry of the socket map while it is open.

    `ended(ready, seen)` is called once. With `accepts`, which tells whether the one to be asked has
    accepted a connection (None: nobody has yet), only that one is asked: call `go_on()` while
    `waits`.
    """

    def __init__(self, options: Any, declaration: Declaration, group: Any,
                 ended: Callable[[bool, str], None], accepts: Optional[Accepts] = None):
        super().__init__(map=options.get_socket_map())
        self._options = options
        self._declaration = declaration
        self._group = group
        self._ended = ended
        self._over = self._polled = False
        self._head = b''
        self._size = 0
        self._accepts = accepts
        self.waits = False
        self.refused = False  # nobody is there
        self.set_terminator(b'\r\n\r\n')

    def begin(self) -> None:
        """Connect, and ask."""
        try:
            self.create_socket(self._declaration.family, socket.SOCK_STREAM)
            check_spare(self._options, self._group)
            self.connect(self._declaration.address)
            if self._accepts is not None:
                # Something has to be sent before some accept it (tcp(7), TCP_DEFER_ACCEPT).
                self.push(self._declaration.request[:FIRST])
                self.waits = True
            elif self._declaration.request:
                self.push(self._declaration.request)
        except OSError as why:
            self._fail(why.errno)

    def go_on(self) -> bool:
        """Ask on, when it is known who has accepted the connection; return whether that is now."""
        if not self.waits:
            return False
        try:
            theirs = self._accepts(self.socket)
        except (OSError, CannotSee) as why:
            self.end('cannot be asked: %s' % why)
            return False
        self.waits = theirs is None
        if theirs:
            self.push(self._declaration.request[FIRST:])
        elif theirs is not None:
            self.end('was answered by another process')
        return bool(theirs)

    def end(self, seen: str, ready: bool = False) -> None:
        """Close the connection, and tell what was seen."""
        if self._over:
            return
        self._over = True
        if self.socket is not None:
            forget(self._options, self.socket.fileno(), self._polled)
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
        self._size += len(data)
        if self._size > HEAD:
            self.end('answered with more than %d bytes of headers' % HEAD)

    def found_terminator(self) -> None:
        if INTERIM.match(self._head):
            self._head = b''
        else:
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
        self._polled = True
        return True

    def writable(self) -> bool:
        return self._over or super().writable()

    def _fail(self, code: Optional[int]) -> None:
        self.refused = code in (errno.ECONNREFUSED, errno.ENOENT)
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
