"""The algorithm of 2013 in Python 3, as a reference for the benchmark; not for use.

A deferred callback that relies on being polled: at each poll it starts what is down, and stops the
next batch, until all are RUNNING or the time is over. It asks to be polled every 0.2 seconds;
supervisord polls it when its main loop turns, which may take a second.
"""

import time
from typing import Any

from supervisor.http import NOT_DONE_YET
from supervisor.states import STOPPED_STATES, ProcessStates
from supervisor.xmlrpc import RPCError

TIMEOUT = 0x420
BAD_GROUP = 0x400


class Reference2013:
    """The namespace `reference` with the one method that the benchmark needs."""

    def __init__(self, supervisord: Any, delay: float, timeout: float, stagger_factor: int):
        self._supervisord = supervisord
        self._delay = delay
        self._timeout = timeout
        self._stagger_factor = stagger_factor

    def restartProcessGroup(self, name):
        """ Restart all processes of a group

        @param string name  The group
        @return boolean result  True when all are RUNNING
        """
        group = self._supervisord.process_groups.get(name)
        if group is None:
            raise RPCError(BAD_GROUP, name)
        deadline = time.monotonic() + self._timeout
        to_stop = sorted(group.processes.values(), key=lambda p: p.config.priority, reverse=True)
        batch = -(-len(to_stop) // self._stagger_factor)
        down, coming = {}, {}

        def poll():
            for process in to_stop[:batch]:
                process.stop()
                down[process.config.name] = process
            del to_stop[:batch]
            for key, process in list(down.items()):
                if process.get_state() in STOPPED_STATES:
                    process.spawn()
                    coming[key] = down.pop(key)
            for key, process in list(coming.items()):
                process.transition()
                if process.get_state() == ProcessStates.RUNNING:
                    del coming[key]
            if not (to_stop or down or coming):
                return True
            if time.monotonic() > deadline:
                raise RPCError(TIMEOUT, name)
            return NOT_DONE_YET

        poll.delay = self._delay
        poll.rpcinterface = self
        return poll


def make_rpcinterface(supervisord: Any, delay: str = '0.2', timeout: str = '5',
                      stagger_factor: str = '1') -> Reference2013:
    """Make the namespace from the options of its configuration section."""
    return Reference2013(supervisord, float(delay), float(timeout), int(stagger_factor))
