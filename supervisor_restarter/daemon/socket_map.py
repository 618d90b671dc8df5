"""What every entry of the plugin in supervisord's socket map has to do, and to leave alone."""

import errno
import os
import resource
from typing import Any

# So many descriptors are left to supervisord: those of a process that is spawned, and of clients.
SPARE = 16

# So many supervisord has for a process: its end of three pipes, and two log files.
OF_A_PROCESS = 5


def forget(options: Any, descriptor: int, polled: bool) -> None:
    """Take a descriptor that is about to be closed out of the socket map and the poller.

    `options` are supervisord's. `polled`: supervisord has asked the entry what it waits for. Where
    it has not, the poller knows the number from an entry that was closed in this turn of the loop,
    and whose own turn may be to come: it would be unregistered a second time. The entry's
    `readable` and `writable` have to stay as they were: where they say no in their own turn of the
    loop, it unregisters the descriptor a second time (supervisor/supervisord.py: runforever).
    """
    # The poller must forget the descriptor before it is somebody else's.
    poller = options.poller
    if polled and descriptor in getattr(poller, 'readables', ()):
        poller.unregister_readable(descriptor)
    if polled and descriptor in getattr(poller, 'writables', ()):
        poller.unregister_writable(descriptor)
    options.get_socket_map().pop(descriptor, None)


def check_spare(options: Any, group: Any) -> None:
    """Raise OSError where too few descriptors are left for the processes.

    The processes of the group that are down need some of them to come up.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    processes = len(group.processes) + len(options.pidhistory)
    if limit == resource.RLIM_INFINITY or limit > (
            4 * SPARE + len(options.get_socket_map()) + (OF_A_PROCESS + 1) * processes):
        return
    left = limit - SPARE - len(os.listdir('/dev/fd'))
    if left < OF_A_PROCESS * len(group.processes) and left < OF_A_PROCESS * [
            process.pid for process in group.processes.values()].count(0):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
