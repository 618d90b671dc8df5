"""No stop signal is lost between fork and exec.

Between fork and exec a child still has supervisord's Python signal handlers: a stop signal that
arrives then is noted by a handler, and forgotten by exec. So all signals are blocked around our own
spawns, and the child takes the handlers away before it lets the signals in.
"""

import contextlib
import os
import signal
from typing import Iterator, List, NamedTuple, Optional, Set


class _Kept(NamedTuple):
    """What the child has to undo."""

    mask: Set[int]  # to be restored
    handled: List[int]  # signals with a Python handler


# None outside of a spawn of ours. supervisord forks for itself too (supervisor/options.py:
# _daemonize), and must keep its handlers there.
_kept: Optional[_Kept] = None


@contextlib.contextmanager
def signals_kept() -> Iterator[None]:
    """Fork inside of this, and the child loses no signal that is sent to it."""
    global _kept
    signals = signal.valid_signals()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    _kept = _Kept(mask, [signum for signum in signals if callable(signal.getsignal(signum))])
    try:
        yield
    finally:
        _kept = None
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _in_child() -> None:
    if _kept is None:
        return
    signal.set_wakeup_fd(-1)
    for signum in _kept.handled:
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, _kept.mask)


os.register_at_fork(after_in_child=_in_child)
