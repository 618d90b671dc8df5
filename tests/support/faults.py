"""What the tests of faults share."""

import os
import threading
import time
import xmlrpc.client
from pathlib import Path

from tests.support.daemon import plugged, wait_until

# Far below the second that supervisord's main loop sleeps, far above what a restart takes.
QUICK = 0.7

# The phases of a restart: how processes stop, startsecs, options. Each lasts until a test lets go
# (tests.support.daemon: MANNERS), or for two seconds.
WAITING = 'waiting', 'at once', 0, {'stagger_factor': 2, 'delay': 2, 'timeout': 30}
STOPPING = 'stopping', 'held back', 0, {'timeout': 30}
STARTING = 'starting', 'at once', 2, {'timeout': 30}
RESTARTED = 'restarted', 'at once', 0, {'stagger_factor': 2, 'delay': 2, 'timeout': 30}


def restart(daemon, *arguments):
    """Restart, and return the answer and the seconds that it took."""
    begin = time.monotonic()
    with daemon.connection() as rpc:
        answer = rpc.restarter.restartProcessGroup(*arguments)
    return answer, time.monotonic() - begin


def sabotaged(programs, *arguments, **options):
    """A supervisord with the saboteur in it."""
    return plugged('saboteur', programs, *arguments, **options)


class Call(threading.Thread):
    """A restart in a thread; `answer` is what came back, or what was raised."""

    def __init__(self, daemon, *arguments, url=None):
        super().__init__(daemon=True)
        self.daemon_of_call, self.arguments, self.url = daemon, arguments, url
        self.answer = None
        self.start()

    def run(self):
        try:
            with self.daemon_of_call.connection(self.url) as rpc:
                self.answer = rpc.restarter.restartProcessGroup(*self.arguments)
        except (xmlrpc.client.Error, OSError) as why:
            self.answer = why

    def result(self, seconds=20.0):
        self.join(seconds)
        assert not self.is_alive(), 'the call hangs'
        return self.answer


class Caller(threading.Thread):
    """Another client of supervisord while a block is executed.

        with Caller(daemon) as caller:
            restart()
        assert caller.held < 0.5
    """

    LATE = 0.5  # seconds: a main loop that is held, is held for a second and more

    def __init__(self, daemon, pause=0.005):
        super().__init__(daemon=True)
        self.supervisord, self.pause = daemon, pause
        self.waits = []
        self.done = threading.Event()

    def run(self):
        with self.supervisord.connection() as rpc:
            while not self.done.wait(self.pause):
                began = time.monotonic()
                rpc.supervisor.getState()
                self.waits.append(time.monotonic() - began)

    def __enter__(self):
        self.began = time.monotonic()
        self.start()
        return self

    def __exit__(self, *why):
        self.seconds = time.monotonic() - self.began
        self.done.set()
        self.join()

    @property
    def held(self):
        """The share of the time in which it waited for answers that were late."""
        return sum(wait for wait in self.waits if wait > self.LATE) / self.seconds


def info(daemon, name='web'):
    with daemon.connection() as rpc:
        return rpc.restarter.getRestartInfo(name)


def wait_phase(daemon, phase, count=1, name='web'):
    """Wait until so many processes stand in a phase of the restart."""
    return wait_until(lambda: info(daemon, name)[phase] >= count, '%s: %s' % (name, phase))


def wait_finished(daemon, name='web'):
    return wait_until(lambda: info(daemon, name)['state'] == 'FINISHED', 'the restart has finished')


def wait_reloaded(daemon):
    """Wait until supervisord has reloaded its configuration, and answers again."""
    wait_until(lambda: daemon.log().count('supervisord started with pid') == 2, 'it reloads')
    wait_until(lambda: daemon.rpc.supervisor.getState()['statename'] == 'RUNNING', 'it runs')


def together(daemon, *calls):
    """Make calls of supervisord, such as ('supervisor.stopProcessGroup', 'web'), one directly
    after the other, however slow this test is; return their answers.
    """
    return daemon.rpc.system.multicall([
        {'methodName': method, 'params': arguments} for method, *arguments in calls])


STOP_AND_REMOVE = ('supervisor.stopProcessGroup', 'web'), ('supervisor.removeProcessGroup', 'web')


def all_new(before, after):
    return set(before) == set(after) and 0 not in after.values() and not (
        set(before.values()) & set(after.values()))


def children(daemon):
    """Process ids of supervisord's own living children."""
    found = set()
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                state, parent = Path('/proc/%s/stat' % entry).read_text().rsplit(
                    ')', 1)[1].split()[:2]
            except OSError:
                continue
            if int(parent) == daemon.pid and state != 'Z':
                found.add(int(entry))
    return found


def no_process_has_two_lives(daemon):
    wait_until(lambda: children(daemon) == set(daemon.pids('web').values()) - {0},
               'each process lives once')
