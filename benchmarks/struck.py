"""A restart in a real supervisord that a fault strikes, watched without a call.

A call would turn supervisord's main loop, and so make what sleeps in it faster than it is: what
happens is read in the log.
"""

import re
import shutil
import subprocess
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, TextIO, Tuple

from tests.support.daemon import MANNERS, SCRIPTS, Daemon, group
from tests.support.faults import sabotaged

PROCESSES = 6
PATIENCE = 10.0  # seconds after the fault until what is down counts as left down

# What supervisord logs of a process, and where that leaves it (supervisor/process.py).
NEWS = [(re.compile(pattern), standing) for pattern, standing in [
    (r"spawned: '(\S+)' with pid", 'starting'),
    (r'success: (\S+) entered RUNNING', 'up'),
    (r'killing (\S+) \(pid', 'stopping'),
    (r'(?:stopped|exited): (\S+) \(', 'down'),
    (r'gave up: (\S+) entered FATAL', 'down'),
]]


class Log:
    """Where the processes stand, by what supervisord has logged since this was made.

    `standing` is by process name, and has only those of which there is news; `spawned` counts.
    """

    def __init__(self, file: TextIO):
        self._file = file
        file.seek(0, 2)
        self._rest = ''
        self.standing: Dict[str, str] = {}
        self.spawned = 0

    def read(self) -> 'Log':
        """Take in what is new."""
        *lines, self._rest = (self._rest + self._file.read()).split('\n')
        for line in lines:
            for pattern, standing in NEWS:
                found = pattern.search(line)
                if found:
                    self.standing[found.group(1)] = standing
                    self.spawned += standing == 'starting'
        return self

class Scene(NamedTuple):
    """What a fault can get at: supervisord, what restarts, and the running ones of these."""

    daemon: Daemon
    command: List[str]
    clients: List[subprocess.Popen]

    def restart(self, group: str) -> None:
        """Run the command that restarts, for one more group."""
        script, *arguments = [word.format(group) for word in self.command]
        self.clients.append(subprocess.Popen(
            [str(SCRIPTS / script), '-c', str(self.daemon.configuration), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def returned(self) -> bool:
        """Whether all of them have returned."""
        return all(client.poll() is not None for client in self.clients)


class Fault(NamedTuple):
    """A fault, the processes that it befalls, and the moment at which it comes.

    `command` may hold `%(here)s`, supervisord's folder, which has a copy of /bin/sleep by the name
    of `program`. `prepare` is called before the restart, `relieve` before the processes are looked
    at in the end. `only` names the one contender for which there is such a moment. With `ends`,
    supervisord is to end.
    """

    text: str
    command: str = MANNERS['at once']
    startsecs: int = 0
    moment: Callable[[Log], bool] = lambda log: True
    strike: Callable[[Scene], None] = lambda scene: None
    prepare: Callable[[Daemon], None] = lambda daemon: None
    relieve: Callable[[Daemon], None] = lambda daemon: None
    options: Dict[str, Any] = {'timeout': 30}
    groups: Tuple[str, ...] = ('web',)
    processes: int = PROCESSES
    patience: float = PATIENCE
    only: str = ''
    ends: bool = False


class Result(NamedTuple):
    """How it ended: seconds until all were new and up, or None; how many are down, how many old.

    `ended` are the seconds until supervisord had ended, `spawned` is how many processes were
    spawned, `hangs` whether a command had not returned PATIENCE seconds after the fault.
    """

    seconds: Optional[float] = None
    down: int = 0
    old: int = 0
    ended: Optional[float] = None
    spawned: int = 0
    hangs: bool = False

    def __str__(self) -> str:
        words = []
        if self.ended is not None:
            words.append('ends after %.1f s, %d spawned' % (self.ended, self.spawned))
        elif self.seconds is not None:
            words.append('%.1f s' % self.seconds)
        words += ['%d %s' % (count, name)
                  for count, name in ((self.down, 'down'), (self.old, 'old')) if count]
        if self.hangs:
            words.append('the command hangs')
        return ', '.join(words) or 'not all up in time'


def strike(fault: Fault, command: List[str]) -> Result:
    """Restart with `command`, to which the group's name is formatted, and let the fault strike."""
    programs = '\n'.join(group(name, fault.processes, fault.command, fault.startsecs)
                         for name in fault.groups)
    daemon = sabotaged(programs, fault.options, minfds=max(1024, 8 * fault.processes))
    shutil.copy('/bin/sleep', str(daemon.folder / 'program'))
    scene = Scene(daemon, command, [])
    with daemon:
        before = {name: daemon.wait_running(name, 120) for name in fault.groups}
        fault.prepare(daemon)
        daemon.descriptors_at_rest()
        with daemon.logfile.open(errors='replace') as file:
            try:
                return _watched(fault, scene, Log(file), before)
            finally:
                for client in scene.clients:
                    client.kill()
                    client.wait()


def _watched(fault: Fault, scene: Scene, log: Log, before: Dict[str, Dict[str, int]]) -> Result:
    daemon, begin = scene.daemon, time.monotonic()
    for name in fault.groups:
        scene.restart(name)
    _wait(lambda: fault.moment(log.read()), fault.patience)
    struck, spawned = time.monotonic(), log.spawned
    fault.strike(scene)
    if fault.ends:
        _wait(lambda: not daemon.alive(), fault.patience)
        ended = time.monotonic() - struck
        return Result(ended=ended, spawned=log.read().spawned - spawned,
                      hangs=not _wait(scene.returned, fault.patience))
    expected = fault.processes * len(fault.groups)
    up = _wait(lambda: list(log.read().standing.values()) == ['up'] * expected, fault.patience)
    seconds = time.monotonic() - begin
    returned = _wait(scene.returned, fault.patience)
    fault.relieve(daemon)
    down = old = 0
    for name, pids in before.items():
        for process, info in daemon.processes(name).items():
            down += info['statename'] != 'RUNNING'
            old += info['pid'] == pids[process]
    return Result(seconds if up and not (down or old) else None, down, old,
                  spawned=log.read().spawned, hangs=not returned)


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True
