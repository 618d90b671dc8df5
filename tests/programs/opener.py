"""A careless plugin, in the supervisord of a test: it opens descriptors that children inherit.

    [rpcinterface:opener]
    supervisor.rpcinterface_factory = tests.programs.opener:make_rpcinterface
"""

import fcntl
import os

from supervisor import events

MINFDS = 100
BEFORE_ANYTHING, BETWEEN, DURING, ABOVE = 40, 50, 60, MINFDS + 50


def open_inheritable(number):
    """Open /dev/null with this number, or the next one that is free."""
    null = os.open(os.devnull, os.O_RDWR)
    fcntl.fcntl(null, fcntl.F_DUPFD, number)
    os.close(null)


class OpenerRPCInterface:
    def open(self):
        """Open a descriptor now, and one more each time that a process is about to be spawned."""
        open_inheritable(BETWEEN)
        events.subscribe(events.ProcessStateStartingEvent, lambda event: open_inheritable(DURING))
        return True


def make_rpcinterface(supervisord):
    open_inheritable(BEFORE_ANYTHING)
    open_inheritable(ABOVE)
    return OpenerRPCInterface()
