"""Makes supervisord's main loop turn when a restart has something to do.

The main loop sleeps up to a second, and since Python 3.5 a signal does not end its sleep. So while
a restart is running there is one end of a socket pair in its socket map. Any signal, SIGCHLD above
all, writes to the other end (`signal.set_wakeup_fd`), and a timer sends SIGALRM for what is due by
time alone. When no restart is running any more, all of it is as it was.
"""

import math
import select
import signal
import socket
import threading
import time
import traceback
from typing import Any, Callable, Dict, Optional, Tuple

from supervisor import events

from supervisor_restarter.daemon.socket_map import forget
from supervisor_restarter.daemon.spawn import keep_from_children

# The timer is set for a shorter time than this, in seconds; it is set anew with each pass.
LONGEST = 3600.0

# How long the main loop may be held while nothing else waits for it, in seconds.
LONGEST_HOLD = 0.2

Callback = Callable[[], Any]


class MainLoop:
    """Drives the restarts of a supervisord, as an entry of its socket map.

    `restarts` has `advance()`, `due()` in seconds, and `finished`. There is no pass within a pass:
    what another plugin calls at an event of one waits for the next.
    """

    def __init__(self, options: Any, restarts: Any):
        self.options = options
        self.restarts = restarts
        self._pair: Tuple[socket.socket, ...] = ()
        self._woken = False
        self._signals = False
        self._turning = False
        self._passing = False
        self._complained = False
        self._unanswered: Dict[Callback, Any] = {}
        # At a reload supervisord closes descriptors but keeps the socket map
        # (supervisor/options.py: cleanup_fds), so all must be given back before.
        events.subscribe(events.SupervisorStoppingEvent, self._on_stopping)

    # what the namespace asks for

    def prepare(self) -> None:
        """See to it that the main loop turns for a restart that is about to begin.

        Raises OSError where supervisord has no descriptors left.
        """
        if not self._pair:
            self._pair = socket.socketpair()
            for end in self._pair:
                end.setblocking(False)
            self._turning = self._woken = False
            self.options.get_socket_map()[self._pair[0].fileno()] = self
            self._take_signals()

    def hand_over(self, restart: Any, callback: Callback) -> None:
        """When `restart` has its outcome, let `callback` be polled at once."""
        self._unanswered[callback] = restart

    def rest(self) -> None:
        """Give everything back, unless a restart is running."""
        if self.restarts.finished:
            self._give_back()

    def polled(self) -> None:
        """Make a pass, unless the main loop does that."""
        if not self._turning:
            self.make_pass()

    def make_pass(self) -> None:
        """Make a pass, unless one is being made; and see to the next."""
        if self._passing:
            return
        self._passing = True
        try:
            self.restarts.advance()
        finally:
            self._passing = False
        self._answer()
        self.rest()
        seconds = self.restarts.due() if self._signals else math.inf
        if 0 < seconds < math.inf:
            signal.setitimer(signal.ITIMER_REAL, min(seconds, LONGEST))

    # what supervisord asks of an entry in its socket map (supervisor/supervisord.py: runforever)

    def readable(self) -> bool:
        self._turning = True
        return True

    def writable(self) -> bool:
        # Our end can always be written to, so the loop does not sleep while this is true; and it
        # handles what is writable last, so the passes of a large group do not hold others up.
        return not self._pair or self._woken or self.restarts.due() <= 0

    def handle_read_event(self) -> None:
        try:
            while self._pair and self._pair[0].recv(4096):
                self._woken = True
        except BlockingIOError:  # that is all
            pass

    def handle_write_event(self) -> None:
        self._woken = False
        until = time.monotonic() + LONGEST_HOLD
        self.make_pass()
        # A turn of the loop costs time for each process of supervisord's. So while a large group
        # is worked off it turns only for others, at the latest after LONGEST_HOLD.
        others = None
        while self._pair and self.restarts.due() <= 0 and time.monotonic() < until:
            others = others or self._others()
            if others is None or any(what != select.POLLNVAL for _, what in others.poll(0)):
                break
            self.make_pass()

    def handle_error(self) -> None:
        self.options.logger.critical('restarter: %s' % traceback.format_exc())

    # the inside

    def _on_stopping(self, event: events.SupervisorStoppingEvent) -> None:
        try:
            self.make_pass()
        except Exception:  # It must not keep supervisord from stopping.
            self.handle_error()

    def _answer(self) -> None:
        """Let the callers whose restarts have their outcomes be answered in the next turn."""
        answered = [callback for callback, restart in self._unanswered.items()
                    if restart.outcome is not None]
        if not answered:
            return
        for callback in answered:
            del self._unanswered[callback]
        theirs = set(map(id, answered))
        # A channel that waits for it is left alone until its delay has passed
        # (supervisor/http.py: deferring_http_channel.writable).
        for channel in self.options.get_socket_map().values():
            producers = getattr(channel, 'producer_fifo', ())
            if len(producers) and id(getattr(producers.first(), 'callback', None)) in theirs:
                channel.delay = 0

    def _others(self) -> Optional[Any]:
        """Return a poll object for what else supervisord's poller looks at.

        Not that poller itself: it forgets what was closed in this turn, which supervisord is yet to
        unregister (supervisor/poller.py: PollPoller.poll, supervisor/supervisord.py: runforever).
        None where the system has no poll().
        """
        if not hasattr(select, 'poll'):
            return None
        poller, others = self.options.poller, select.poll()
        for descriptor in poller.readables | poller.writables:
            wanted = select.POLLIN | select.POLLPRI if descriptor in poller.readables else 0
            if descriptor in poller.writables and descriptor != self._pair[0].fileno():
                wanted |= select.POLLOUT
            others.register(descriptor, wanted)
        return others

    def _take_signals(self) -> None:
        """Let signals and the timer write to the socket pair, unless they are in use."""
        why = ''
        if threading.current_thread() is not threading.main_thread():
            why = 'supervisord does not run in the main thread'
        elif signal.getsignal(signal.SIGALRM) != signal.SIG_DFL or any(
                signal.getitimer(signal.ITIMER_REAL)):
            why = 'something else uses the alarm signal'
        else:
            other = signal.set_wakeup_fd(self._pair[1].fileno(), warn_on_full_buffer=False)
            if other == -1:
                signal.signal(signal.SIGALRM, _only_wake_up)
                keep_from_children(self._pair[1].fileno())
                self._signals = True
                return
            signal.set_wakeup_fd(other)
            why = 'something else uses the wakeup descriptor of signals'
        if not self._complained:
            self._complained = True
            self.options.logger.warn(
                "restarter: %s, so restarts go at supervisord's own pace" % why)

    def _give_back(self) -> None:
        if not self._pair:
            return
        if self._signals:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            keep_from_children(-1)
            self._signals = False
        forget(self.options, self._pair[0].fileno(), self._turning)
        for end in self._pair:
            end.close()
        self._pair = ()


def _only_wake_up(signum: int, frame: Any) -> None:
    """SIGALRM's handler: what matters is that the signal wrote to the socket pair."""
