"""Lets supervisord collect the children that have ended, all of them."""

import traceback
from typing import Any


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
