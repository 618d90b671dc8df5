"""What is left down after a fault: `supervisorctl restart web:*` and this plugin, side by side.

    python -m benchmarks.reliability

Prints a table of docs/reliability.md: how many of six processes are down ten seconds after the
restart began, or the seconds from its beginning until all were new and up.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Tuple

from tests.daemon import MANNERS, Daemon, group
from tests.faults.tools import sabotaged

PROCESSES = 6
PATIENCE = 10.0  # seconds


class Fault(NamedTuple):
    """A fault, the processes that it befalls, and the moment at which it comes."""

    name: str
    manner: str
    startsecs: int
    moment: Callable[[Daemon], bool]
    strike: Callable[[Daemon, subprocess.Popen], None]
    prepare: Callable[[Path], str] = lambda folder: ''


def stopping(daemon: Daemon) -> bool:
    return 'STOPPING' in daemon.states('web').values()


def starting(daemon: Daemon) -> bool:
    return 'STARTING' in daemon.states('web').values()


def kill_client(daemon: Daemon, client: subprocess.Popen) -> None:
    client.kill()


def kill_one(daemon: Daemon, client: subprocess.Popen) -> None:
    os.kill(daemon.pids('web')['web_000'], signal.SIGKILL)


def fail_forks(daemon: Daemon, client: subprocess.Popen) -> None:
    daemon.rpc.saboteur.failForks(1)


def break_program(daemon: Daemon, client: subprocess.Popen) -> None:
    program = daemon.folder / 'program'
    program.unlink()
    program.write_text('#!/bin/sh\nexit 1\n')
    program.chmod(0o755)


def copied_program(folder: Path) -> str:
    shutil.copy('/bin/sleep', str(folder / 'program'))
    return '%s 100000' % (folder / 'program')


FAULTS: List[Fault] = [
    Fault('none', 'at once', 0, lambda daemon: True, lambda daemon, client: None),
    Fault('the client is killed while processes stop', 'late', 0, stopping, kill_client),
    Fault('the client is killed while processes start', 'at once', 2, starting, kill_client),
    Fault('a process is killed while others stop', 'late', 0, stopping, kill_one),
    Fault('a process is killed while it starts', 'at once', 2, starting, kill_one),
    Fault('a fork fails', 'late', 0, stopping, fail_forks),
    Fault('the new release exits at once', '', 1, lambda daemon: True, lambda daemon, client: None,
          copied_program),
]

CONTENDERS: List[Tuple[str, List[str]]] = [
    ('supervisorctl restart', ['supervisorctl', 'restart', 'web:*']),
    ('plugin', ['supervisorctl_restart_group', '--timeout', '30', 'web']),
    ('plugin, rolling', ['supervisorctl_restart_group', '--timeout', '30', '--max-unavailable', '2',
                         'web']),
]


def measure(fault: Fault, command: List[str]) -> Tuple[int, Optional[float]]:
    """Return how many are down in the end, and the seconds until all were up, or None."""
    daemon = sabotaged('')
    release = fault.prepare(daemon.folder)
    program = release or MANNERS[fault.manner]
    daemon.write_configuration(group('web', PROCESSES, program, fault.startsecs, startretries=1))
    with daemon:
        before = daemon.wait_running('web')
        if release:
            break_program(daemon, None)
        begin = time.monotonic()
        client = subprocess.Popen(
            [str(daemon.scripts / command[0]), '-c', str(daemon.configuration), *command[1:]],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not fault.moment(daemon):
                if client.poll() is not None:
                    break
            fault.strike(daemon, client)
            while time.monotonic() - begin < PATIENCE:
                states, pids = daemon.states('web'), daemon.pids('web')
                new = not set(pids.values()) & set(before.values())
                if client.poll() is not None and set(states.values()) == {'RUNNING'} and new:
                    return 0, time.monotonic() - begin
                time.sleep(0.02)
            return sum(state != 'RUNNING' for state in daemon.states('web').values()), None
        finally:
            client.kill()
            client.wait()


def main() -> None:
    """Measure and print the table."""
    print('| fault | %s |' % ' | '.join(name for name, _ in CONTENDERS))
    print('| --- |%s' % (' --- |' * len(CONTENDERS)))
    for fault in FAULTS:
        cells = []
        for _, command in CONTENDERS:
            down, seconds = measure(fault, command)
            cells.append('%d down' % down if seconds is None else '%.1f s' % seconds)
        print('| %s | %s |' % (fault.name, ' | '.join(cells)), flush=True)


if __name__ == '__main__':
    main()
