"""Random faults against a real supervisord, for a bounded time.

    python -m tests.chaos --seconds 60 [--seed 7]

Processes of mixed manners are restarted in every way; clients are killed, processes are killed,
stopped and started by others, also those that come or leave in a surge or are about to become
ready, restarts are cancelled, spawns fail. All is drawn from a seed, which is printed first. At the
end everything has to run, no process may have two lives, names, descriptors and memory have to be
where they were, and nothing may be left in the temporary folder.
"""

import argparse
import contextlib
import os
import random
import re
import resource
import shutil
import signal
import socket
import sys
import threading
import time
import xmlrpc.client
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple

from tests.support.daemon import MANNERS, Daemon, free_ports, group, wait_until
from tests.support.faults import children, info
from tests.support.readiness import SLOW_STARTER, declaration, temporary_folder
from tests.support.surge import EARS


class Group(NamedTuple):
    """A group of like processes; with `never`, a restart of it never succeeds."""

    number: int
    command: str
    startsecs: int = 0
    ready: Any = None
    never: bool = False
    settings: Dict[str, Any] = {}


FIRST, SECOND, PORT = free_ports(3)
SOCKET = '%(here)s/%(process_num)d.sock'
LISTENER = {'kind': 'eventlistener', 'events': 'EVENT'}
FAREWELL, PATIENCE = 5, 12  # seconds

GROUPS = {
    'quick': Group(20, MANNERS['at once']),
    'steady': Group(15, MANNERS['at once'], 1),
    'late': Group(10, MANNERS['late']),
    'deaf': Group(5, MANNERS['never']),
    'notifies': Group(3, SLOW_STARTER + ' 0.3 notify', 0, 'notify'),
    'asked': Group(3, SLOW_STARTER + ' 0.3 unix ' + SOCKET, 1, 'unix://' + SOCKET),
    # They and a child of each say so all the time.
    'again': Group(3, SLOW_STARTER + ' 0.3 again', 0, 'notify'),
    # Each listens where the other is to answer.
    'crossed': Group(2, "/bin/sh -c 'exec %s 0 tcp $((%d - %%(process_num)d))'" % (
        SLOW_STARTER, FIRST + SECOND), 1, 'tcp://127.0.0.1:%(process_num)d', True,
        {'numprocs_start': FIRST}),
    # It ends, and its child goes on: without a port, and with one.
    'leaves': Group(2, "/bin/sh -c 'sleep 100000 & wait'", 1),
    'holds': Group(1, "/bin/sh -c '%s 0 tcp %d & wait'" % (SLOW_STARTER, PORT), 1, never=True),
    'farewell': Group(3, '/bin/sh -c \'trap "sleep %d; exit 0" TERM; while :; do sleep 0.05; done\''
                      % FAREWELL, settings={'stopwaitsecs': PATIENCE}),
    'vanishes': Group(3, '%(here)s/program 100000', 1),
    'ears': Group(2, '%s -u %s /dev/null' % (sys.executable, EARS), 1,
                  settings=dict(LISTENER, buffer_size=200)),
    'no_ears': Group(2, MANNERS['at once'], 1, settings=dict(LISTENER, buffer_size=10)),
}
SOCKETS = sum(each.number for each in GROUPS.values() if each.ready == 'notify')
MEMORY = 4 << 20  # bytes that supervisord may have grown by
IDLE = 0.1  # seconds of CPU that it may use in one of time, at rest
LEFT = re.compile(r'LEFT_BEHIND: pid (\d+) has ended')


class Chaos:
    """Draws what happens next, and does it.

    Forks do not fail here: when one of supervisord's own has, it takes a client's request for what
    the program says (supervisor/process.py: spawn keeps the numbers of the pipes it has closed).
    """

    def __init__(self, daemon: Daemon, seed: int):
        self.daemon = daemon
        self.random = random.Random(seed)
        self.done: Counter = Counter()
        self.slowest = 0.0
        self.clients = []
        self.descriptors = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)

    def step(self) -> None:
        """Do one thing."""
        action = self.random.choice([self.restart, self.restart, self.script, self.kill_client,
                                     self.kill, self.stop, self.start, self.cancel, self.look,
                                     self.starve, self.vanish, self.sweep])
        name = self.random.choice(sorted(GROUPS))
        # Where there are some that come or leave in a surge, or are about to become ready, it is
        # one of those.
        chosen = [there for there in self.daemon.states(name) if there not in names(name)]
        chosen += [entry['name'] for entry in info(self.daemon, name)['awaiting']]
        process = '%s:%s' % (name, self.random.choice(chosen or names(name)))
        try:
            action(name, process)
            self.done[action.__name__] += 1
        except xmlrpc.client.Fault as fault:
            self.done['%s: %s' % (action.__name__, fault.faultString.split(':')[0])] += 1

    def restart(self, name: str, process: str) -> None:
        options = self.random.choice([
            {}, {'timeout': 0.2}, {'stagger_factor': 3, 'delay': 0.2}, {'max_unavailable': 2},
            {'max_unavailable': '50%'}, {'max_surge': 1}, {'max_surge': '30%'},
            {'max_surge': 2, 'max_unavailable': 1, 'timeout': 3}])
        if GROUPS[name].never:
            options = dict({'timeout': 2}, **options)
        self.daemon.rpc.restarter.restartProcessGroup(name, dict(options, wait=False))
        self.done['restart, with max_surge = %s' % options.get('max_surge', 0)] += 1

    def script(self, name: str, process: str) -> None:
        deploy = self.daemon.begin('supervisorctl_restart_group', '--timeout', '5', name)
        self.clients.append(deploy)

    def kill_client(self, name: str, process: str) -> None:
        if self.clients:
            client = self.clients.pop(self.random.randrange(len(self.clients)))
            client.kill()
            client.wait()

    def kill(self, name: str, process: str) -> None:
        pid = self.daemon.rpc.supervisor.getProcessInfo(process)['pid']
        if pid and pid in children(self.daemon):
            with contextlib.suppress(ProcessLookupError):  # one that leaves anyway
                os.kill(pid, signal.SIGKILL)

    def stop(self, name: str, process: str) -> None:
        self.daemon.rpc.supervisor.stopProcess(process, False)

    def start(self, name: str, process: str) -> None:
        self.daemon.rpc.supervisor.startProcess(process, False)

    def cancel(self, name: str, process: str) -> None:
        self.daemon.rpc.restarter.cancelRestart(name)

    def look(self, name: str, process: str) -> None:
        begin = time.monotonic()
        self.daemon.rpc.supervisor.getState()
        self.slowest = max(self.slowest, time.monotonic() - begin)

    def starve(self, name: str, process: str) -> None:
        """Leave supervisord few descriptors, for half a second: it cannot let us in meanwhile."""
        few = len(self.daemon.descriptors()) + self.random.randrange(4, 40)
        resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, (few, self.descriptors[1]))
        threading.Timer(0.5, self.feed).start()

    def feed(self) -> None:
        resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, self.descriptors)

    def vanish(self, name: str, process: str) -> None:
        """Take the executable of some away, or bring it back."""
        gone, there = self.daemon.folder / 'gone', self.daemon.folder / 'program'
        gone.rename(there) if gone.exists() else there.rename(gone)

    def sweep(self, name: str, process: str) -> None:
        """End whoever has been left behind."""
        for pid in strays(self.daemon):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def settle(self) -> None:
        """Wait until every restart has ended, and start what others have stopped."""
        self.feed()
        if not (self.daemon.folder / 'program').exists():
            self.vanish('', '')
        for client in self.clients:
            client.wait(100)
        for name in GROUPS:
            wait_until(lambda name=name: info(self.daemon, name)['state'] in ('IDLE', 'FINISHED'),
                       'the restart of %s ends' % name, 100)
        self.sweep('', '')
        for name in GROUPS:
            for process, state in self.daemon.states(name).items():
                if state == 'BACKOFF':  # for a minute, perhaps
                    self.daemon.rpc.supervisor.stopProcess('%s:%s' % (name, process))
            self.daemon.rpc.supervisor.startProcessGroup(name, False)
            self.daemon.wait_running(name, 60)
        wait_until(lambda: not strays(self.daemon) or self.sweep('', ''), 'nobody is left', 60)


def names(group_name: str) -> List[str]:
    """Return the names of the processes of a group."""
    begin = GROUPS[group_name].settings.get('numprocs_start', 0)
    return ['%s_%03d' % (group_name, begin + number)
            for number in range(GROUPS[group_name].number)]


def strays(daemon: Daemon) -> Dict[int, int]:
    """Return the processes that its programs have left behind, and their process groups."""
    url, found = b'SUPERVISOR_SERVER_URL=' + daemon.url.encode(), {}
    for entry in Path('/proc').iterdir():
        with contextlib.suppress(OSError):  # it is gone
            if entry.name.isdigit() and url in (entry / 'environ').read_bytes().split(b'\0'):
                found[int(entry.name)] = os.getpgid(int(entry.name))
    mains = children(daemon)
    return {pid: group for pid, group in found.items() if group not in mains}


def restart_all(daemon: Daemon) -> None:
    """Restart each group; who cannot be restarted must not, who is left behind must be named."""
    for name, each in GROUPS.items():
        before = daemon.pids(name)
        with daemon.connection() as rpc:
            answer = rpc.restarter.restartProcessGroup(name, {'timeout': 2} if each.never else {})
        assert (answer is True) != each.never, '%s: %s' % (name, answer)
        left = set(strays(daemon).values())
        assert left <= set(before.values()), left
        warned = {int(pid) for warning in info(daemon, name)['warnings']
                  for pid in LEFT.findall(warning['text'])}
        assert left == warned, '%s: left behind are %s, and named %s' % (name, left, warned)
        for pid in left:
            os.killpg(pid, signal.SIGKILL)
        daemon.wait_running(name)


@contextlib.contextmanager
def every_call_is_answered() -> Iterator[None]:
    """Wait for an answer no longer than the longest restart takes."""
    socket.setdefaulttimeout(100)
    try:
        yield
    finally:
        socket.setdefaulttimeout(None)


def ends(log: str) -> Counter:
    """Count the ends of restarts and the faults in supervisord's log."""
    counts: Counter = Counter()
    for restarted, total in re.findall(r'restarter: \w+: restarted (\d+) of (\d+) processes', log):
        counts['restarts, of all their processes' if restarted == total
               else 'restarts, not of all their processes'] += 1
    counts.update(re.findall(r'restarter: \w+: (?:\w+: )?([A-Z_]+): ', log))
    counts['processes that took over'] = log.count(' takes over from ')
    return counts


def failures_in(log: str) -> List[str]:
    """Return what must not be in supervisord's log, or is missing in it."""
    failures = []
    if not ends(log)['processes that took over']:
        failures.append('no process took over from another')
    for name, each in GROUPS.items():
        ready = re.findall(r'restarter: %s: (\w+): ready: ' % name, log)
        if each.ready and bool(ready) == each.never:
            failures.append('%d of %s became ready' % (len(ready), name))
        if len(ready) > len(re.findall(r"spawned: '%s_" % name, log)):
            failures.append('of %s more became ready than were spawned' % name)
    if re.search("killing 'farewell_.*SIGKILL", log):
        failures.append('one was killed that took leave within its time')
    if re.search('restarter: farewell: TIMEOUT: after %d' % (PATIENCE + FAREWELL), log):
        failures.append('a restart without timeout had not time enough')
    if 'Traceback' in log or 'uncaptured' in log:
        failures.append('an error that nobody expected is in the log')
    return failures


def programs() -> str:
    """Return the configuration of all groups."""
    parts = []
    for name, each in GROUPS.items():
        settings = dict({'stopwaitsecs': 1, 'startretries': 100}, **declaration(each.ready))
        settings.update(each.settings)
        parts.append(group(name, each.number, each.command, each.startsecs, **settings))
    return '\n'.join(parts)


def run(seconds: float, seed: int) -> int:
    """Run for a number of seconds, print what happened, and return the exit status."""
    print('seed %d, %g seconds' % (seed, seconds), flush=True)
    failures = []
    daemon = Daemon(programs(), loglevel='info', minfds=4096)
    shutil.copy('/bin/sleep', str(daemon.folder / 'program'))
    temporary = temporary_folder(daemon)
    with daemon, every_call_is_answered():
        for name in GROUPS:
            daemon.wait_running(name, 60)
        restart_all(daemon)  # caches are warm
        descriptors, memory = daemon.descriptors_at_rest(SOCKETS), daemon.memory()
        chaos = Chaos(daemon, seed)
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                chaos.step()
            chaos.settle()
            for name in GROUPS:
                wait_until(lambda name=name: list(daemon.states(name)) == names(name),
                           'the names are back')
            pids = {pid for name in GROUPS for pid in daemon.pids(name).values()}
            wait_until(lambda: children(daemon) == pids, 'each process lives once')
            restart_all(daemon)  # those that supervisord has started have no socket
            wait_until(lambda: daemon.descriptors_at_rest(SOCKETS) == descriptors,
                       'descriptors are back')
            assert len(list(temporary.glob('*/*'))) == SOCKETS, 'sockets outlive processes'
            used = daemon.cpu()
            time.sleep(1.0)
            assert daemon.cpu() - used <= IDLE, 'it is busy: %.2f s' % (daemon.cpu() - used)
        except (AssertionError, socket.timeout) as why:
            failures.append(str(why))
        if daemon.memory() - memory > MEMORY:
            failures.append('memory has grown by %d bytes' % (daemon.memory() - memory))
        failures += failures_in(daemon.output())
        print('what was asked, and refused:')
        for what, times in sorted(chaos.done.items()):
            print('%6d  %s' % (times, what))
        print('how the restarts and their processes ended:')
        for what, times in sorted(ends(daemon.log()).items()):
            print('%6d  %s' % (times, what))
        print('slowest answer of getState: %.3f s' % chaos.slowest)
        daemon.signal(signal.SIGTERM)
        daemon.wait_ended(60)
        chaos.sweep('', '')
        if list(temporary.iterdir()):
            failures.append('something is left in the temporary folder')
    for failure in failures:
        print('FAILED: %s (seed %d)' % (failure, seed))
    print('%d passed, %d failed' % (1 - bool(failures), bool(failures)))
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog='python -m tests.chaos', description=__doc__)
    parser.add_argument('--seconds', type=float, default=60.0, help='how long')
    parser.add_argument('--seed', type=int, help='the same again')
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10 ** 6) if options.seed is None else options.seed
    return run(options.seconds, seed)


if __name__ == '__main__':
    sys.exit(main())
