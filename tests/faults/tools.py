"""What the tests of faults share."""

import os
import subprocess
import threading
import xmlrpc.client
from pathlib import Path

from tests.daemon import SCRIPTS, Daemon, wait_until

SABOTEUR = """
[rpcinterface:saboteur]
supervisor.rpcinterface_factory = tests.faults.saboteur:make_rpcinterface
"""


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
