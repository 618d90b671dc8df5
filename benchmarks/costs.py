"""What the parts of the plugin cost a supervisord."""

import os
import pwd
import statistics
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

from supervisor.options import ServerOptions

from benchmarks.contenders import cpu_seconds
from benchmarks.results import write
from tests.support.daemon import MANNERS, PLUGIN, Daemon, group, wait_until

SIZE = 10


def starts(count: int = 20, turns: int = 9) -> List[Dict[str, Any]]:
    """Return what a start costs in ways that Python has, in microseconds for each of `count`.

    They are started one right after the other, until the last has ended; the ways take turns. As
    root, a program with another user is started too: there Popen forks.
    """
    options = ServerOptions()
    environment = dict(os.environ)
    user: Dict[str, Any] = {}

    def by_popen() -> int:
        started = subprocess.Popen(['true'], executable='/bin/true', env=environment,
                                   process_group=0, restore_signals=False, **user)
        started.returncode = 0  # it is collected below
        return started.pid

    def by_fork() -> int:
        pid = os.fork()
        if pid == 0:
            os.setpgrp()
            os.closerange(3, 1024)
            if user:
                options.drop_privileges(user['user'])
            os.execve('/bin/true', ['true'], environment)
        return pid

    def measure(start: Callable[[], int]) -> float:
        began = time.perf_counter()
        pids = [start() for _ in range(count)]
        for pid in pids:
            os.waitpid(pid, 0)
        return (time.perf_counter() - began) / count

    rows = []
    ways = {'Popen': by_popen, 'a fork': by_fork}
    for whose in ('', ' with another user')[:1 + (os.getuid() == 0)]:
        if whose:
            nobody = pwd.getpwnam('nobody')
            user = {'user': nobody.pw_uid, 'group': nobody.pw_gid, 'extra_groups': []}
        took: Dict[str, List[float]] = {name: [] for name in ways}
        for _ in range(turns):
            for name, start in ways.items():
                took[name].append(measure(start))
        rows += [_row('start a program%s by %s, until it has ended' % (whose, name),
                      1e6 * statistics.median(seconds)) for name, seconds in took.items()]
    return rows


def idle(seconds: float = 5.0) -> List[Dict[str, Any]]:
    """Return the CPU that a supervisord uses, in microseconds for each second.

    Without the plugin; with it, before any restart; while a restart waits for processes that do
    not end; and after that restart.
    """
    never = group('web', SIZE, MANNERS['never'], stopwaitsecs=int(seconds) + 4)
    rows = []
    with Daemon(never, plugin='', loglevel='info') as daemon:
        daemon.wait_running('web')
        rows.append(_row('idle, without the plugin', _used(daemon, seconds)))
    with Daemon(never, plugin=PLUGIN, options={'timeout': 60}, loglevel='info') as daemon:
        daemon.wait_running('web')
        rows.append(_row('idle, with the plugin', _used(daemon, seconds)))
        caller = threading.Thread(
            target=lambda: daemon.rpc.restarter.restartProcessGroup('web'))
        caller.start()
        wait_until(lambda: set(daemon.states('web').values()) == {'STOPPING'}, 'all are stopping')
        rows.append(_row('while a restart waits for %d processes to end' % SIZE,
                         _used(daemon, seconds)))
        caller.join()
        daemon.wait_running('web')
        rows.append(_row('idle, after that restart', _used(daemon, seconds)))
    return rows


def _used(daemon: Daemon, seconds: float) -> float:
    time.sleep(1.5)  # the last call's own turn of the main loop is not idleness
    before, began = cpu_seconds(daemon.pid), time.monotonic()
    time.sleep(seconds)
    return 1e6 * (cpu_seconds(daemon.pid) - before) / (time.monotonic() - began)


def _row(what: str, microseconds: float) -> Dict[str, Any]:
    print('  %-62s %10.1f us%s' % (what, microseconds,
                                   ' each second' if what.startswith(('idle', 'while')) else ''))
    return {'what': what, 'microseconds': '%.1f' % microseconds}


def report(folder: Path) -> None:
    """Measure and print the costs, and write costs.csv."""
    write(folder, 'costs', starts() + idle())
