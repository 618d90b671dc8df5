"""What the plugin must not leave in a supervisord."""

import signal
import time
from pathlib import Path

from tests.support.daemon import Daemon, wait_until

ALARM = 1 << (signal.SIGALRM - 1)


def catches_alarm(daemon: Daemon) -> bool:
    """Whether supervisord has a handler for SIGALRM."""
    status = Path('/proc/%d/status' % daemon.pid).read_text()
    return bool(int(status.split('SigCgt:')[1].split()[0], 16) & ALARM)


def assert_nothing_is_left(daemon: Daemon, descriptors: int, sockets: int = 0) -> None:
    """See that handler and descriptors go, and that the main loop rests then."""
    wait_until(lambda: not catches_alarm(daemon), 'the handler is gone')
    wait_until(lambda: daemon.descriptors_at_rest(sockets) == descriptors,
               'the descriptors are gone')
    before = daemon.cpu()
    time.sleep(0.5)  # in which a main loop that never rests takes much more
    assert daemon.cpu() - before < 0.1
