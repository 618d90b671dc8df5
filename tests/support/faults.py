"""What the tests of faults share."""

import os
import subprocess
import threading
import time
import xmlrpc.client
from pathlib import Path

from tests.support.daemon import SCRIPTS, Daemon, wait_until

SABOTEUR = """
[rpcinterface:saboteur]
supervisor.rpcinterface_factory = tests.programs.saboteur:make_rpcinterface
"""


# Far below the second that supervisord's main loop sleeps, far above what a restart takes.
QUICK = 0.7


def restart(daemon, *arguments):
    """Restart, and return the answer and the seconds that it took."""
    begin = time.monotonic()
    with daemon.connection() as rpc:
        answer = rpc.restarter.restartProcessGroup(*arguments)
    return answer, time.monotonic() - begin


def seconds_to_restart(daemon, limit):
    """Restart web until it takes less than the limit, three times at most, as the machine may be
    busy with others; return the seconds that the last one took. Each time all have to be new.
    """
    for _ in range(3):
        before = daemon.wait_running('web')
        answer, seconds = restart(daemon, 'web')
        assert answer is True
        assert all_new(before, daemon.pids('web'))
        if seconds < limit:
            break
    return seconds


def sabotaged(programs, *arguments, **options):
    """A supervisord with the saboteur in it."""
    root = str(Path(__file__).parents[2])
    return Daemon(programs, *arguments, extra=SABOTEUR, env=dict(os.environ, PYTHONPATH=root),
                  **options)


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


def script(daemon, *arguments):
    """The console script, running."""
    return subprocess.Popen([str(SCRIPTS / 'supervisorctl_restart_group'), '-c',
                             str(daemon.configuration), *arguments],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def info(daemon, name='web'):
    with daemon.connection() as rpc:
        return rpc.restarter.getRestartInfo(name)


def wait_phase(daemon, phase, count=1, name='web'):
    """Wait until so many processes stand in a phase of the restart."""
    return wait_until(lambda: info(daemon, name)[phase] >= count, '%s: %s' % (name, phase))


def wait_finished(daemon, name='web'):
    return wait_until(lambda: info(daemon, name)['state'] == 'FINISHED', 'the restart has finished')


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


def no_process_has_two_lives(daemon, name='web'):
    wait_until(lambda: children(daemon) == set(daemon.pids(name).values()) - {0},
               'each process lives once')
