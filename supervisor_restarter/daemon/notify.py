"""Hears a process say that it is ready, as sd_notify(3) does."""

import contextlib
import math
import os
import re
import socket
import tempfile
import time
import traceback
from typing import Any, Callable, Dict, Iterator, List, Optional

from supervisor import events
from supervisor.states import ProcessStates

from supervisor_restarter.daemon.declaration import LONGEST_PATH
from supervisor_restarter.daemon.socket_map import check_spare, forget

LONGEST_MESSAGE = 4096  # bytes
AT_ONCE = 100  # messages that are read before others have their turn
REST = 0.1  # seconds until the next ones are read, of a process that nobody waits for

_ENDED = (events.ProcessStateStoppedEvent, events.ProcessStateExitedEvent,
          events.ProcessStateBackoffEvent, events.ProcessStateFatalEvent)

EXTEND = re.compile(rb'EXTEND_TIMEOUT_USEC=([0-9]{1,18})')


class Sockets:
    """The sockets of a supervisord, and their folder, which is there while there is a socket.

    A socket stays as long as its process: one that was ready long ago may start a worker again,
    which says `READY=1` too, and fails where there is no socket.
    """

    def __init__(self, options: Any):
        self.options = options
        self._folder = ''
        self._open = 0
        self._count = 0
        self._living: Dict[int, Notification] = {}
        # Until events.clear() (supervisor/supervisord.py: run).
        events.subscribe(events.ProcessStateEvent, self._on_process_state)
        events.subscribe(events.SupervisorStoppingEvent, self._on_stopping)

    def open(self, process: Any) -> socket.socket:
        """Return a socket that the user of a process can send to, and that never blocks.

        Raises OSError.
        """
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._open += 1
        user = process.config.uid
        try:
            check_spare(self.options, process.group)
            made.setblocking(False)
            if not self._folder:
                self._folder = tempfile.mkdtemp(prefix='restarter-notify-', dir=_parent())
                os.chmod(self._folder, 0o711)
            self._count += 1
            path = os.path.join(self._folder, str(self._count))
            # What root runs may become another user (su, setpriv) before it sends; others cannot
            # find the folder's name.
            with _umask(0o111 if (os.geteuid() if user is None else user) == 0 else 0o177):
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

    def keep(self, notification: 'Notification') -> None:
        """Let a notification be there as long as its process."""
        self._living[id(notification.process)] = notification

    def forget(self, notification: 'Notification') -> None:
        """Keep it no longer."""
        if self._living.get(id(notification.process)) is notification:
            del self._living[id(notification.process)]

    def _on_process_state(self, event: events.ProcessStateEvent) -> None:
        # The event comes while the process still has its id (supervisor/process.py: finish); and
        # in Supervisor 4.2.0 before it has its new state, so that the event's class tells.
        if isinstance(event, _ENDED):
            self._end(self._living.get(id(event.process)))

    def _on_stopping(self, event: events.SupervisorStoppingEvent) -> None:
        for notification in list(self._living.values()):
            # supervisord does not wait for it (supervisor/states.py: STOPPED_STATES).
            if notification.process.get_state() == ProcessStates.UNKNOWN:
                self._end(notification)

    @staticmethod
    def _end(notification: Optional['Notification']) -> None:
        if notification is not None:
            notification.end()


class Notification:
    """The watch for a process that says itself that it is ready, as `Readiness.watch` returns it.

    It is an entry of the socket map, and reads whatever comes: senders wait when they are not read.
    Once closed it only does that, until its process has ended.
    """

    awaited = 'notify'
    early = True
    patient = False

    def __init__(self, options: Any, sockets: Sockets, process: Any, changed: Callable[[], None],
                 clock: Any = time):
        self.options = options
        self.sockets = sockets
        self.process = process
        self.changed = changed
        self.clock = clock
        self.ready = False
        self.extended_until = -math.inf
        self._closed = self._polled = False
        self._rests_until = -math.inf
        self._socket = sockets.open(process)
        self.environment = {'NOTIFY_SOCKET': self._socket.getsockname()}
        options.get_socket_map()[self._socket.fileno()] = self
        sockets.keep(self)

    @property
    def seen(self) -> str:
        """What was seen last, as the end of a sentence."""
        return 'has sent READY=1' if self.ready else 'has not sent READY=1'

    def look(self) -> None:
        """Read what has come, in case that the main loop has not come to it."""
        self.handle_read_event()

    def due(self) -> float:
        """Return infinity: there is no time at which to look."""
        return math.inf

    def in_the_way(self) -> str:
        """Return '': it cannot be seen whether there is anybody."""
        return ''

    def close(self) -> None:
        """See nothing more; where there is no process, give everything back."""
        self._closed = True
        if not self.process.pid:
            self.end()

    def end(self) -> None:
        """Give everything back."""
        self._closed = True
        if self._socket.fileno() != -1:
            self.sockets.forget(self)
            forget(self.options, self._socket.fileno(), self._polled)
            self.sockets.close(self._socket)

    # what supervisord asks of an entry in its socket map (supervisor/supervisord.py: runforever)

    def readable(self) -> bool:
        self._polled = True
        # One that never stops sending, and for which nobody waits, does not keep supervisord busy.
        return (not self._closed or self._socket.fileno() == -1
                or self.clock.monotonic() >= self._rests_until)

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
            if not self._closed:
                self._heed(message.split(b'\n'))
        self._rests_until = self.clock.monotonic() + REST

    def handle_error(self) -> None:
        self.options.logger.critical('restarter: %s' % traceback.format_exc())

    def _heed(self, lines: List[bytes]) -> None:
        for line in lines:
            more = EXTEND.fullmatch(line)
            if more:
                self.extended_until = self.clock.monotonic() + int(more.group(1)) / 1e6
                self.changed()
        if b'READY=1' in lines and not self.ready:
            self.ready = True
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
