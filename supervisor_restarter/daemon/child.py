"""All that a new process of ours does between fork and exec; the one place, and the one hook.

Signals: no stop signal is lost there. A child still has supervisord's Python signal handlers: a
stop signal that arrives before exec is noted by a handler, and forgotten by exec. So the signals
that have one are blocked around our own spawns, and the child takes the handlers away before it
lets the signals in.

Descriptors: Supervisor closes all numbers from 3 up to `minfds`, each with a call of its own in
Python. That loop is most of what a spawn takes. Here one call closes the same ones.

Environment: what the one process is to have, and nobody else.
"""

import contextlib
import gc
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
    """What the child has to undo, and what it is to have."""

    mask: Set[int]  # to be restored
    handled: List[int]  # signals with a Python handler
    options: Any  # supervisord's
    child: Child


# None outside of a spawn of ours. supervisord forks for itself too (supervisor/options.py:
# _daemonize), and must stay what it is there.
_kept: Optional[_Kept] = None


@contextlib.contextmanager
def spawning(options: Any) -> Iterator[Child]:
    """Fork inside of this, and the child is as it should be; `options` are supervisord's."""
    global _kept
    child = Child()
    # Without a Python handler a signal does in the child what it should.
    handled = [signum for signum in _SIGNALS if callable(signal.getsignal(signum))]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, handled)
    # A collection of garbage writes to all objects that there are, and what is written to while a
    # child is there is copied.
    collects = gc.isenabled()
    gc.disable()
    _kept = _Kept(mask, handled, options, child)
    try:
        yield child
    finally:
        _kept = None
        if collects:
            gc.enable()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _in_child() -> None:
    if _kept is None:
        return
    signal.set_wakeup_fd(-1)
    for signum in _kept.handled:
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, _kept.mask)
    os.environ.update(_kept.child.environment)
    _close_in_one_call(_kept.options)


def _close_in_one_call(options: Any) -> None:
    # When the child has made its 0, 1 and 2 from the pipes, it calls close_fd for each number from
    # 3 to minfds (supervisor/process.py: Subprocess._prepare_child_fds, and FastCGISubprocess's).
    # Only then may they be closed; so its loop is left one turn, which closes them all. Nobody has
    # to know which ones there are: what somebody opened just before the fork is closed as well.
    minfds = options.minfds
    options.minfds = min(minfds, 4)
    options.close_fd = lambda first: os.closerange(first, minfds)


os.register_at_fork(after_in_child=_in_child)
