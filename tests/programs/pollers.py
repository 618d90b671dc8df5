"""The pollers that supervisord has on other systems, in the supervisord of a test.

    [rpcinterface:poller]
    supervisor.rpcinterface_factory = tests.programs.pollers:make_rpcinterface
    poller = kqueue
"""

import errno
import os
import select
from types import SimpleNamespace

from supervisor import poller as pollers


class FakeKqueue:
    """A kqueue as far as supervisor/poller.py: KQueuePoller uses it.

    Like a real one, it forgets a descriptor that is closed, also when its number is used again.
    """

    def __init__(self):
        self._files = {}

    def control(self, changes, most, timeout=None):
        for change in changes or []:
            key = change.ident, change.filter
            if change.flags == select.KQ_EV_ADD:
                self._files[key] = _file(change.ident)
            elif self._files.pop(key, None) is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self._events(timeout)[:most] if most else []

    def _events(self, timeout):
        self._files = {key: file for key, file in self._files.items() if file == _open(key[0])}
        poll, masks = select.poll(), {}
        for descriptor, kind in self._files:
            masks[descriptor] = masks.get(descriptor, 0) | kind
            poll.register(descriptor, masks[descriptor])
        found = {descriptor: event | (event & select.POLLHUP and masks[descriptor])
                 for descriptor, event in poll.poll(timeout and timeout * 1000)}
        return [SimpleNamespace(ident=descriptor, filter=kind) for descriptor, kind in self._files
                if found.get(descriptor, 0) & kind]

    def close(self):
        self._files.clear()


def _file(descriptor):
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _open(descriptor):
    try:
        return _file(descriptor)
    except OSError:
        return None


def make_rpcinterface(supervisord, poller):
    """Let supervisord use another poller, before it has used its own."""
    if poller == 'kqueue':
        select.kqueue = FakeKqueue
        select.kevent = lambda ident, filter, flags: SimpleNamespace(
            ident=ident, filter=filter, flags=flags)
        select.KQ_FILTER_READ, select.KQ_FILTER_WRITE = select.POLLIN, select.POLLOUT
        select.KQ_EV_ADD, select.KQ_EV_DELETE = 1, 2
    made = {'kqueue': pollers.KQueuePoller, 'select': pollers.SelectPoller}[poller]
    supervisord.options.poller = made(supervisord.options)
    return SimpleNamespace()
