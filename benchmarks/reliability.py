"""What a fault leaves down: `supervisorctl restart web:*` and this plugin, side by side.

Prints the first table of docs/reliability.md, or those rows of it. Each figure is of one restart.
"""

import os
import resource
import signal
from typing import Any, Callable, Dict, Optional

from benchmarks.results import Options
from benchmarks.struck import PROCESSES, Fault, Log, Scene, strike
from tests.support.daemon import MANNERS, Daemon

LAST = 'web_005'
LATE = MANNERS['late']  # takes half a second to stop
OPEN = "/bin/sh -c 'setsid /bin/sleep 4 & exec /bin/sleep 100000'"
# A program of the test's own, in supervisord's folder.
PROGRAM = '%(here)s/program 100000'
BATCHES = {'timeout': 30, 'stagger_factor': 2, 'delay': 1}

CONTENDERS = {
    'supervisorctl restart': ['supervisorctl', 'restart', '{}:*'],
    'plugin': ['supervisorctl_restart_group', '{}'],
    'plugin, rolling, 2 at a time': ['supervisorctl_restart_group', '--max-unavailable', '2', '{}'],
}


# moments

def some(standing: str, least: int = 1) -> Callable[[Log], bool]:
    return lambda log: list(log.standing.values()).count(standing) >= least


stopping, starting = some('stopping'), some('starting')


def last_one_starts(log: Log) -> bool:
    return log.standing.get(LAST) == 'starting'


# faults

def kill_client(scene: Scene) -> None:
    scene.clients[0].kill()


def kill_process(scene: Scene) -> None:
    os.kill(scene.daemon.pids('web')[LAST], signal.SIGKILL)


def send(signum: int) -> Callable[[Scene], None]:
    return lambda scene: scene.daemon.signal(signum)


def theirs(command: str) -> Callable[[Scene], Any]:
    return lambda scene: scene.daemon.supervisorctl(command, 'web:' + LAST)


def allow_descriptors(daemon: Daemon, count: Optional[int] = None) -> None:
    hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (count or hard, hard))


def lose_program(daemon: Daemon) -> None:
    (daemon.folder / 'program').unlink()


def release_that_exits(daemon: Daemon) -> None:
    lose_program(daemon)
    (daemon.folder / 'program').write_text('#!/bin/sh\nexit 1\n')
    (daemon.folder / 'program').chmod(0o755)


FAULTS: Dict[str, Fault] = {
    'none': Fault('none'),
    'client-killed-while-stopping': Fault(
        'the client is killed while processes stop', LATE, 0, stopping, kill_client),
    'client-killed-between-batches': Fault(
        'the client is killed between two batches', moment=some('up', PROCESSES // 2),
        strike=kill_client, options=BATCHES, only='plugin'),
    'client-killed-while-starting': Fault(
        'the client is killed while processes start', startsecs=2, moment=starting,
        strike=kill_client),
    'timeout': Fault(
        'processes need longer to stop than `timeout`', LATE, options={'timeout': 0.2}),
    'shutdown': Fault(
        'SIGTERM to supervisord while processes stop', LATE, 0, stopping, send(signal.SIGTERM),
        ends=True),
    'reload': Fault(
        'SIGHUP to supervisord while processes stop', LATE, 0, stopping, send(signal.SIGHUP)),
    'second-restart': Fault(
        'a second restart while processes stop', LATE, 0, stopping,
        lambda scene: scene.restart('web')),
    'three-groups': Fault('three groups at once', LATE, groups=('one', 'two', 'three')),
    'process-stopped': Fault(
        'somebody stops a process while it starts', startsecs=2, moment=last_one_starts,
        strike=theirs('stop')),
    'process-restarted': Fault(
        'somebody restarts a process while it starts', startsecs=2, moment=last_one_starts,
        strike=theirs('restart')),
    'process-killed-while-stopping': Fault(
        'a process is killed while processes stop', LATE, 0, stopping, kill_process),
    'process-killed-while-starting': Fault(
        'a process is killed while it starts', startsecs=2, moment=last_one_starts,
        strike=kill_process, patience=20),
    'program-vanishes': Fault(
        'the file of their program vanishes', PROGRAM, prepare=lose_program),
    'fork-fails': Fault(
        'a fork fails', LATE, 0, stopping, lambda scene: scene.daemon.rpc.saboteur.failForks(1)),
    'no-descriptors': Fault(
        'no descriptors are left for one more process', LATE, 0, stopping, lambda scene:
        allow_descriptors(scene.daemon, max(scene.daemon.descriptors()) - 2),
        relieve=allow_descriptors),
    'clock-set-back': Fault(
        'the system clock is set back by an hour', startsecs=2, moment=starting,
        strike=lambda scene: scene.daemon.rpc.saboteur.setClock(-3600)),
    'clock-set-forward': Fault(
        'the system clock is set forward by an hour', LATE, 0, stopping,
        lambda scene: scene.daemon.rpc.saboteur.setClock(3600)),
    'output-kept-open': Fault(
        'children keep the output open after their process', OPEN),
    'release-exits': Fault(
        'the new release exits at once', PROGRAM, 1, prepare=release_that_exits),
    'thousand': Fault('none, with 1,000 processes', processes=1000, options={'timeout': 100},
                      patience=100),
}


def measure(options: Options) -> None:
    """Measure and print the rows whose names begin like one of `only`."""
    print('| fault | %s | row |' % ' | '.join(CONTENDERS))
    print('| --- %s| --- |' % ('| --- ' * len(CONTENDERS)))
    for row, fault in FAULTS.items():
        if row.startswith(options.only):
            cells = ['' if fault.only not in ('', name) else str(strike(fault, command))
                     for name, command in CONTENDERS.items()]
            print('| %s | %s | `%s` |' % (fault.text, ' | '.join(cells), row), flush=True)
