"""Lets supervisord collect the children that have ended, all of them, and what they had."""

import traceback
from typing import Any

# The logs of what a process writes, by their names in its dispatchers; in Supervisor 4.1 normallog
# is called mainlog (supervisor/dispatchers.py: POutputDispatcher, PEventListenerDispatcher).
_LOGS = ('normallog', 'mainlog', 'capturelog', 'childlog')


def let_go_of_logs(process: Any) -> None:
    """Let the log files of a process be closed that has ended, when supervisord closes its pipes.

    The main loop has the dispatchers until its turn ends, and with them two descriptors for each
    process (supervisor/supervisord.py: runforever, combined_map). What a restart starts in the same
    turn may need these.
    """
    for dispatcher in process.dispatchers.values():
        for name in _LOGS:
            if hasattr(dispatcher, name):
                setattr(dispatcher, name, None)


def reap(supervisord: Any, until: float, clock: Any) -> None:
    """Let supervisord collect what has ended, until a monotonic time of the clock."""
    # reap() stops after 100 (supervisor/supervisord.py: reap, recursionguard), and at one that
    # ends in UNKNOWN (supervisor/process.py: finish, _assertInState).
    children = supervisord.options.pidhistory
    before = None
    while before != len(children) and clock.monotonic() < until:
        before = len(children)
        try:
            supervisord.reap()
        except Exception:  # whatever it is, it must not keep the others down
            before = None
            supervisord.options.logger.critical('restarter: %s' % traceback.format_exc())
