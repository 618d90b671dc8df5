"""The floor: what Supervisor's own stop and start need, measured inside of supervisord.

Supervisor's own stopProcessGroup(name, False) runs until all are down, and then its own
startProcessGroup(name, False) until all are spawned. supervisord's main loop has no part in it, so
none of its sleeps is in the figure: between the two, this waits for SIGCHLD and reaps. That holds
the main loop all the while, so it is for a benchmark only.
"""

import signal
import time
from typing import Any

from supervisor.http import NOT_DONE_YET
from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.xmlrpc import Faults, RPCError

LONGEST = 100.0


class Floor:
    """The namespace `floor`. The group has to be the only one of the supervisord."""

    def __init__(self, supervisord: Any):
        self._supervisord = supervisord
        self._calls = SupervisorNamespaceRPCInterface(supervisord)

    def restartProcessGroup(self, name):
        """ Stop all processes of a group, and when all are down start them

        @param string name  The group
        @return double seconds  From the call until all are spawned; startsecs comes on top
        """
        began = time.monotonic()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        try:
            _finish(self._calls.stopProcessGroup(name, False))
            while self._supervisord.options.pidhistory:
                if time.monotonic() > began + LONGEST:
                    raise RPCError(Faults.FAILED, '%s: not down in time' % name)
                signal.sigtimedwait([signal.SIGCHLD], 1)
                self._reap()
            _finish(self._calls.startProcessGroup(name, False))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return time.monotonic() - began

    def _reap(self) -> None:
        before = None
        while before != len(self._supervisord.options.pidhistory):
            before = len(self._supervisord.options.pidhistory)
            self._supervisord.reap()


def _finish(callback: Any) -> None:
    while callback() is NOT_DONE_YET:
        pass


def make_rpcinterface(supervisord: Any, **config: str) -> Floor:
    """Make the namespace; it has no options."""
    return Floor(supervisord)
