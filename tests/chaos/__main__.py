"""Random faults against a real supervisord, for a bounded time.

    python -m tests.chaos --seconds 60 [--seed 7]

Fifty-six processes of mixed manners are restarted in every way; clients are killed, processes are
killed, stopped and started by others, also those that come or leave in a surge or are about to
become ready, restarts are cancelled. All is drawn from a seed, which is printed first. At the end
everything has to run, no process may have two lives, names, descriptors and memory have to be where
they were, and nothing may be left in the temporary folder.
"""

import argparse
import contextlib
import os
import random
import re
import signal
import sys
import time
import xmlrpc.client
from collections import Counter
from typing import List

from tests.support.daemon import MANNERS, Daemon, group, wait_until
from tests.support.faults import children, info, script
from tests.support.readiness import SLOW_STARTER, declaration, temporary_folder

GROUPS = {  # name -> number, manner, startsecs
    'quick': (20, 'at once', 0), 'steady': (15, 'at once', 1), 'late': (10, 'late', 0),
    'deaf': (5, 'never', 0), 'notifies': (3, 'notifies', 0), 'asked': (3, 'asked', 1),
}
COMMANDS = dict(MANNERS, notifies=SLOW_STARTER + ' 0.3 notify',
                asked=SLOW_STARTER + ' 0.3 unix %(here)s/%(process_num)d.sock')
READY = {'notifies': 'notify', 'asked': 'unix://%(here)s/%(process_num)d.sock'}
MEMORY = 4 << 20  # bytes that supervisord may have grown by


class Chaos:
    """Draws what happens next, and does it."""

    def __init__(self, daemon: Daemon, seed: int):
        self.daemon = daemon
        self.random = random.Random(seed)
        self.done: Counter = Counter()
        self.slowest = 0.0
        self.clients = []

    def step(self) -> None:
        """Do one thing."""
        action = self.random.choice([self.restart, self.restart, self.script, self.kill_client,
                                     self.kill, self.stop, self.start, self.cancel, self.look])
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
        self.daemon.rpc.restarter.restartProcessGroup(name, dict(options, wait=False))
        self.done['restart, with max_surge = %s' % options.get('max_surge', 0)] += 1

    def script(self, name: str, process: str) -> None:
        self.clients.append(script(self.daemon, '--timeout', '5', name))

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

    def settle(self) -> None:
        """Wait until every restart has ended, and start what others have stopped."""
        for client in self.clients:
            client.wait(60)
        for name in GROUPS:
            wait_until(lambda name=name: info(self.daemon, name)['state'] in ('IDLE', 'FINISHED'),
                       'the restart of %s ends' % name, 60)
            self.daemon.rpc.supervisor.startProcessGroup(name, False)
            self.daemon.wait_running(name, 60)


def names(group_name: str) -> List[str]:
    """Return the names of the processes of a group."""
    return ['%s_%03d' % (group_name, number) for number in range(GROUPS[group_name][0])]


def restart_all(daemon: Daemon) -> None:
    for name in GROUPS:
        daemon.rpc.restarter.restartProcessGroup(name, {'timeout': 60})


def ends(log: str) -> Counter:
    """Count the ends of restarts and the faults in supervisord's log."""
    counts: Counter = Counter()
    for restarted, total in re.findall(r'restarter: \w+: restarted (\d+) of (\d+) processes', log):
        counts['restarts, of all their processes' if restarted == total
               else 'restarts, not of all their processes'] += 1
    counts.update(re.findall(r'restarter: \w+: (?:\w+: )?([A-Z_]+): ', log))
    counts['processes that took over'] = log.count(' takes over from ')
    return counts


def run(seconds: float, seed: int) -> int:
    """Run for a number of seconds, print what happened, and return the exit status."""
    print('seed %d, %g seconds' % (seed, seconds), flush=True)
    programs = '\n'.join(group(name, number, COMMANDS[manner], startsecs, stopwaitsecs=1,
                               startretries=100, **declaration(READY.get(name)))
                         for name, (number, manner, startsecs) in GROUPS.items())
    failures = []
    daemon = Daemon(programs, {'timeout': 30}, loglevel='info', minfds=4096)
    temporary = temporary_folder(daemon)
    with daemon:
        for name in GROUPS:
            daemon.wait_running(name, 60)
        restart_all(daemon)  # caches are warm
        sockets = GROUPS['notifies'][0]  # as long as their processes live
        descriptors, memory = daemon.descriptors_at_rest(sockets), daemon.memory()
        chaos = Chaos(daemon, seed)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            chaos.step()
        try:
            chaos.settle()
            for name in GROUPS:
                wait_until(lambda name=name: list(daemon.states(name)) == names(name),
                           'the names are back')
            pids = {pid for name in GROUPS for pid in daemon.pids(name).values()}
            wait_until(lambda: children(daemon) == pids, 'each process lives once')
            with daemon.connection() as rpc:  # those that supervisord started have no socket
                assert rpc.restarter.restartProcessGroup('notifies') is True, 'notifies is not up'
            wait_until(lambda: daemon.descriptors_at_rest(sockets) == descriptors,
                       'descriptors are back')
            assert len(list(temporary.glob('*/*'))) == sockets, 'sockets outlive processes'
        except AssertionError as why:
            failures.append(str(why))
        if daemon.memory() - memory > MEMORY:
            failures.append('memory has grown by %d bytes' % (daemon.memory() - memory))
        if not ends(daemon.log())['processes that took over']:
            failures.append('no process took over from another')
        for name in READY:
            if not re.search(r'restarter: %s: \w+: ready: ' % name, daemon.log()):
                failures.append('none of %s became ready' % name)
        if 'Traceback' in daemon.log():
            failures.append('a traceback is in the log')
        print('what was asked, and refused:')
        for what, times in sorted(chaos.done.items()):
            print('%6d  %s' % (times, what))
        print('how the restarts and their processes ended:')
        for what, times in sorted(ends(daemon.log()).items()):
            print('%6d  %s' % (times, what))
        print('slowest answer of getState: %.3f s' % chaos.slowest)
        daemon.signal(signal.SIGTERM)
        daemon.wait_ended(60)
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
