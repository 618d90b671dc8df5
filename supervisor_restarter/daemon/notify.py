"""Hears a process say that it is ready, as sd_notify(3) does."""

import contextlib
import math
import os
import re
import socket
import tempfile
import time
import traceback
from typing import Any, Callable, Iterator, List

from supervisor_restarter.daemon.declaration import LONGEST_PATH
from supervisor_restarter.daemon.socket_map import check_spare, forget

LONGEST_MESSAGE = 4096  # bytes
AT_ONCE = 100  # messages that are read before others have their turn

EXTEND = re.compile(rb'EXTEND_TIMEOUT_USEC=([0-9]{1,18})')


class Sockets:
    """The folder that has the sockets of a supervisord; it is there while there is one."""

    def __init__(self, options: Any):
        self.options = options
        self._folder = ''
        self._open = 0
        self._count = 0

    def open(self, user: Any) -> socket.socket:
        """Return a socket that only a user can send to, and that never blocks.

        `user` is a user id, or None for that of supervisord. Raises OSError.
        """
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._open += 1
        try:
            check_spare(made.fileno())
            made.setblocking(False)
            if not self._folder:
                self._folder = tempfile.mkdtemp(prefix='restarter-notify-', dir=_parent())
                os.chmod(self._folder, 0o711)
            self._count += 1
            path = os.path.join(self._folder, str(self._count))
            with _umask(0o177):
                made.bind(path)
            if user is not None:
                os.chown(path, user, -1)
        except OSError:
            self.close(made)
            raise
        return made

    def close(self, made: socket.socket) -> None:
        """Close a socket, remove it, and with the last one the folder."""
        paths: List[str] = [made.getsockname()] if made.getsockname() else []
        made.close()
        self._open -= 1
        remove = [(os.unlink, path) for path in paths]
        if not self._open and self._folder:
            remove.append((os.rmdir, self._folder))
            self._folder = ''
        for function, path in remove:
            try:
                function(path)
            except OSError as why:
                self.options.logger.warn('restarter: %s cannot be removed: %s' % (path, why))


class Notification:
    """The watch for a process that says it itself, as `Readiness.watch` returns it.

    It is an entry of the socket map, and reads whatever comes: senders wait when they are not read.
    """

    awaited = 'notify'

    def __init__(self, options: Any, sockets: Sockets, user: Any, changed: Callable[[], None],
                 clock: Any = time):
        self.options = options
        self.sockets = sockets
        self.changed = changed
        self.clock = clock
        self.ready = False
        self.extended_until = -math.inf
        self._socket = sockets.open(user)
        self.environment = {'NOTIFY_SOCKET': self._socket.getsockname()}
        options.get_socket_map()[self._socket.fileno()] = self

    @property
    def seen(self) -> str:
        """What was seen last, as the end of a sentence."""
        return 'has sent READY=1' if self.ready else 'has not sent READY=1'

    def look(self) -> None:
        """Read what has come, in case that the main loop has not come to it."""
        self.handle_read_event()

    def due(self) -> float:
        """Return that there is no time at which to look."""
        return math.inf

    def close(self) -> None:
        """Give everything back."""
        if self._socket.fileno() != -1:
            forget(self.options, self._socket.fileno())
            self.sockets.close(self._socket)

    # what supervisord asks of an entry in its socket map (supervisor/supervisord.py: runforever)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        for _ in range(AT_ONCE):
            if self._socket.fileno() == -1:
                return
            try:
                # Without room for them, the system closes descriptors that come along
                # (BARRIER=1, where the sender waits for that).
                message = self._socket.recv(LONGEST_MESSAGE)
            except BlockingIOError:
                return
            self._heed(message.split(b'\n'))

    def handle_error(self) -> None:
        self.options.logger.critical('restarter: %s' % traceback.format_exc())

    def _heed(self, lines: List[bytes]) -> None:
        for line in lines:
            more = EXTEND.fullmatch(line)
            if more:
                self.extended_until = self.clock.monotonic() + int(more.group(1)) / 1e6
                self.changed()
        if b'READY=1' in lines:
            self.ready = True
            self.close()
            self.changed()


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _parent() -> str:
    """Return a folder for temporary things that everybody may search, its name being short."""
    wanted = os.path.abspath(tempfile.gettempdir())
    longest = os.path.join(wanted, 'restarter-notify-12345678', '1' * 12)
    above = wanted
    while len(os.fsencode(longest)) <= LONGEST_PATH and os.stat(above).st_mode & 0o001:
        if above == os.path.dirname(above):
            return wanted
        above = os.path.dirname(above)
    return '/tmp'
