"""No stop signal is lost between fork and exec.

Between fork and exec a child still has supervisord's Python signal handlers: a stop signal that
arrives then is noted by a handler, and forgotten by exec. So all signals are blocked around our own
spawns, and the child takes the handlers away before it lets the signals in.
"""

import contextlib
import os
import signal
from typing import Iterator, Optional, Set

# The signal mask that the child has to restore; None outside a spawn of ours. supervisord forks
# for itself too (supervisor/options.py: _daemonize), and must keep its handlers there.
_mask: Optional[Set[int]] = None


@contextlib.contextmanager
def signals_kept() -> Iterator[None]:
    """Fork inside of this, and the child loses no signal that is sent to it."""
    global _mask
    _mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, _mask)
        _mask = None


def _in_child() -> None:
    if _mask is None:
        return
    signal.set_wakeup_fd(-1)
    for signum in signal.valid_signals():
        if callable(signal.getsignal(signum)):
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, _mask)


os.register_at_fork(after_in_child=_in_child)
