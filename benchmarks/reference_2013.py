"""The algorithm of 2013 in Python 3, as a reference for the benchmark; not for use.

A deferred callback that relies on being polled: the first poll stops all, and each starts what is
down, until all are RUNNING or the time is over. It asks to be polled every 0.2 seconds; supervisord
polls it when its main loop turns, which may take a second.
"""

import time
from typing import Any

from supervisor.http import NOT_DONE_YET
from supervisor.states import STOPPED_STATES, ProcessStates
from supervisor.xmlrpc import RPCError

TIMEOUT = 0x420


class Reference2013:
    """The namespace `reference` with the one method that the benchmark needs."""

    def __init__(self, supervisord: Any, timeout: float):
        self._supervisord = supervisord
        self._timeout = timeout

    def restartProcessGroup(self, name):
        """ Restart all processes of a group

        @param string name  The group
        @return boolean result  True when all are RUNNING
        """
        processes = self._supervisord.process_groups[name].processes.values()
        to_stop = sorted(processes, key=lambda process: process.config.priority)
        deadline = time.monotonic() + self._timeout
        down, coming = {}, {}

        def poll():
            while to_stop:
                process = to_stop.pop()
                process.stop()
                down[process.config.name] = process
            for key, process in list(down.items()):
                if process.get_state() in STOPPED_STATES:
                    process.spawn()
                    coming[key] = down.pop(key)
            for key, process in list(coming.items()):
                process.transition()
                if process.get_state() == ProcessStates.RUNNING:
                    del coming[key]
            if not (down or coming):
                return True
            if time.monotonic() > deadline:
                raise RPCError(TIMEOUT, name)
            return NOT_DONE_YET

        poll.delay = 0.2
        poll.rpcinterface = self
        return poll


def make_rpcinterface(supervisord: Any, timeout: str) -> Reference2013:
    """Make the namespace from the option of its configuration section."""
    return Reference2013(supervisord, float(timeout))
