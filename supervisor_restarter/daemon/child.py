"""What a new process of ours does between fork and exec.

No stop signal is lost there. A child still has supervisord's Python signal handlers: a stop signal
that arrives before exec is noted by a handler, and forgotten by exec. So the signals that have one
are blocked around our own spawns, and the child takes the handlers away before it lets the signals
in.
"""

import contextlib
import os
import signal
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set

_SIGNALS = tuple(signal.valid_signals())  # each call makes them anew, which takes a while


class Child:
    """What the next process that is spawned has, and supervisord has not.

    `environment` are variables. supervisord takes a program's environment from its own when it is
    in the child (supervisor/process.py: _spawn_as_child), so they are set there.
    """

    def __init__(self) -> None:
        self.environment: Dict[str, str] = {}


class _Kept(NamedTuple):
    """What the child has to undo."""

    mask: Set[int]  # to be restored
    handled: List[int]  # signals with a Python handler
    child: Child


# None outside of a spawn of ours. supervisord forks for itself too (supervisor/options.py:
# _daemonize), and must keep its handlers there.
_kept: Optional[_Kept] = None


@contextlib.contextmanager
def spawning(options: Any) -> Iterator[Child]:
    """Fork inside of this, and the child is as it should be; `options` are supervisord's."""
    global _kept
    child = Child()
    # Without a Python handler a signal does in the child what it should.
    handled = [signum for signum in _SIGNALS if callable(signal.getsignal(signum))]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, handled)
    _kept = _Kept(mask, handled, child)
    try:
        yield child
    finally:
        _kept = None
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _in_child() -> None:
    if _kept is None:
        return
    signal.set_wakeup_fd(-1)
    for signum in _kept.handled:
        signal.signal(signum, signal.SIG_DFL)
    os.environ.update(_kept.child.environment)
    signal.pthread_sigmask(signal.SIG_SETMASK, _kept.mask)


os.register_at_fork(after_in_child=_in_child)
