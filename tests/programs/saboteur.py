"""Faults that a test cannot cause from outside: an RPC namespace in the supervisord of a test.

    [rpcinterface:saboteur]
    supervisor.rpcinterface_factory = tests.programs.saboteur:make_rpcinterface
"""

import errno
import os
import time


class SaboteurRPCInterface:
    def __init__(self, supervisord):
        self._options = supervisord.options
        self._fork, self._time = os.fork, time.time

    def failForks(self, count):
        """ Let the next forks of processes fail, as with the process limit reached

        @param int count       how many
        @return boolean result always true
        """
        left = [count]

        def fork():
            if left[0]:
                left[0] -= 1
                raise OSError(errno.EAGAIN, 'Resource temporarily unavailable')
            return self._fork()
        self._options.fork = fork
        return True

    def setClock(self, seconds):
        """ Set the system clock, as this supervisord sees it, forward or back

        @param int seconds     by how much
        @return boolean result always true
        """
        time.time = lambda: self._time() + seconds
        return True


def make_rpcinterface(supervisord):
    return SaboteurRPCInterface(supervisord)
