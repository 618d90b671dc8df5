"""What every entry of ours in supervisord's socket map has to heed."""

import errno
import os
import resource
from typing import Any

# So many descriptors are left to supervisord: those of a process that is spawned, and of clients.
SPARE = 16


def forget(options: Any, descriptor: int) -> None:
    """Take a descriptor that is about to be closed out of the socket map and the poller.

    `options` are supervisord's. The entry's `readable` and `writable` have to stay as they were:
    where they say no in their own turn of the loop, it unregisters the descriptor a second time
    (supervisor/supervisord.py: runforever).
    """
    # The poller must forget the descriptor before it is somebody else's.
    poller = options.poller
    if descriptor in getattr(poller, 'readables', ()):
        poller.unregister_readable(descriptor)
    if descriptor in getattr(poller, 'writables', ()):
        poller.unregister_writable(descriptor)
    options.get_socket_map().pop(descriptor, None)


def check_spare(descriptor: int) -> None:
    """Raise OSError where a new descriptor is one of the last that there are.

    A process that is down needs some of them to come up.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # The system gives the lowest number that is free.
    if limit != resource.RLIM_INFINITY and descriptor >= limit - SPARE:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
