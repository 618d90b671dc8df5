"""What the parts of the plugin cost a supervisord."""

import os
import statistics
import subprocess
import time
from typing import Any, Dict, Iterator, List

from supervisor.options import ServerOptions

from benchmarks.contenders import cpu_seconds
from benchmarks.results import Line, Options
from tests.support.daemon import MANNERS, Daemon, group, wait_until
from tests.support.faults import Call

SIZE = 10
OPTIONS = ServerOptions()


def measure(options: Options) -> Iterator[Line]:
    """Yield the lines of the table."""
    yield from _starts()
    yield from _idle()


def _starts(count: int = 20, turns: int = 9) -> Iterator[Line]:
    """Yield what a start costs in ways that Python has, in microseconds for each of `count`.

    They are started one right after the other, until the last has ended; the ways take turns. As
    root, a program with another user is started too: there Popen forks.
    """
    users: Dict[str, Dict[str, Any]] = {'': {}}
    if os.getuid() == 0:
        users[' with another user'] = {'user': 'nobody', 'extra_groups': []}
    for whose, user in users.items():
        took: Dict[str, List[float]] = {name: [] for name in WAYS}
        for name in list(WAYS) * turns:
            began = time.perf_counter()
            for pid in [WAYS[name](user) for _ in range(count)]:
                os.waitpid(pid, 0)
            took[name].append((time.perf_counter() - began) / count)
        for name, seconds in took.items():
            yield Line('start a program%s by %s, until it has ended' % (whose, name), 'us',
                       1e6 * statistics.median(seconds))


def _by_popen(user: Dict[str, Any]) -> int:
    started = subprocess.Popen(['true'], executable='/bin/true', process_group=0,
                               restore_signals=False, **user)
    started.returncode = 0  # it is collected by its caller
    return started.pid


def _by_fork(user: Dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        os.setpgrp()
        os.closerange(3, 1024)
        if user:
            OPTIONS.drop_privileges(user['user'])
        os.execv('/bin/true', ['true'])
    return pid


WAYS = {'Popen': _by_popen, 'a fork': _by_fork}


def _idle(seconds: float = 5.0) -> Iterator[Line]:
    """Yield the CPU that a supervisord uses, in microseconds for each second.

    Without the plugin; with it, before any restart; while a restart waits for processes that do
    not end; and after that restart.
    """
    never = group('web', SIZE, MANNERS['never'], stopwaitsecs=int(seconds) + 4)

    def used(what: str) -> Line:
        time.sleep(1.5)  # the last call's own turn of the main loop is not idleness
        before, began = cpu_seconds(daemon.pid), time.monotonic()
        time.sleep(seconds)
        return Line(what, 'us each second',
                    1e6 * (cpu_seconds(daemon.pid) - before) / (time.monotonic() - began))
    with Daemon(never, plugin='', loglevel='info') as daemon:
        daemon.wait_running('web')
        yield used('idle, without the plugin')
    with Daemon(never, {'timeout': 60}, loglevel='info') as daemon:
        daemon.wait_running('web')
        yield used('idle, with the plugin')
        call = Call(daemon, 'web')
        wait_until(lambda: set(daemon.states('web').values()) == {'STOPPING'}, 'all are stopping')
        yield used('while a restart waits for %d processes to end' % SIZE)
        call.result()
        daemon.wait_running('web')
        yield used('idle, after that restart')
