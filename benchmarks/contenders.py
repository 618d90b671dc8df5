"""Who is compared: each can restart a group, and tell which of its processes are up."""

import os
import subprocess
import time
import xmlrpc.client
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set, Tuple

from benchmarks.results import Sample
from tests.support.daemon import Daemon, group

COMMAND = '/bin/sleep 100000'
GROUP = 'web'
LIMIT = 120.0  # seconds; who needs longer is left out from there on
ROLLING = '25%'

SERIALRESTART = """
[ctlplugin:serialrestart]
supervisor.ctl_factory = supervisorserialrestart.controllerplugin:make_serialrestart_controllerplugin
"""  # noqa: E501

SUPERVISORD = """
[rpcinterface:reference]
supervisor.rpcinterface_factory = benchmarks.reference_2013:make_rpcinterface
timeout = %d

[rpcinterface:floor]
supervisor.rpcinterface_factory = benchmarks.floor_plugin:make_rpcinterface

[ctlplugin:wildcards]
supervisor.ctl_factory = supervisorwildcards.controllerplugin:make_wildcards_controllerplugin
""" % LIMIT + SERIALRESTART


class NotRestarted(Exception):
    """A restart that does not count; the message is a sentence that says why."""


class Contender(NamedTuple):
    """A way to restart a group of a daemon that is running.

    `restart` returns when the caller has its answer. It may return how many seconds the restart
    took, where the caller's clock does not show it.
    """

    name: str
    daemon: Any
    restart: Callable[[], Optional[float]]

    def measure(self) -> Sample:
        """Restart the group once; raises NotRestarted unless every process is up and new."""
        before = self.daemon.up()
        if len(before) != self.daemon.size:
            raise NotRestarted('%d of %d processes are up before it' % (len(before),
                                                                        self.daemon.size))
        time.sleep(0.3)  # A process that has just been spawned may lose its stop signal.
        cpu, began = self.daemon.cpu(), time.monotonic()
        told = self.restart()
        seconds = time.monotonic() - began if told is None else told
        cpu = self.daemon.cpu() - cpu
        after = self.daemon.up()
        while len(after) != self.daemon.size or after & before:
            if time.monotonic() - began > LIMIT:
                raise NotRestarted('%d processes are up, %d of them are old ones'
                                   % (len(after), len(after & before)))
            time.sleep(0.005)
            after = self.daemon.up()
            seconds = time.monotonic() - began
        return Sample(seconds, cpu)


class Supervised(Daemon):
    """A supervisord with a group, and the contenders that restart it.

    `minfds` is supervisord's option; 0 for one that suffices. `settings` are the program's.
    """

    def __init__(self, size: int, startsecs: int, minfds: int = 0, **settings: Any):
        self.size, self.startsecs = size, startsecs
        super().__init__(group(GROUP, size, COMMAND, startsecs, **settings),
                         options={'timeout': int(LIMIT)}, extra=SUPERVISORD,
                         minfds=minfds or min(4 * size + 1024, 15000), loglevel='info',
                         env=dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1])))

    def start(self) -> 'Supervised':
        """Start supervisord and wait until all processes are RUNNING."""
        super().start()
        self.wait_running(GROUP, LIMIT)
        return self

    def up(self) -> Set[Tuple[int, int]]:
        """Return those that are RUNNING: process ids, and when they were started.

        A machine that forks a lot may give a process id again in the time of one restart.
        """
        return {(info['pid'], info['start']) for info in self.processes(GROUP).values()
                if info['statename'] == 'RUNNING'}

    def cpu(self) -> float:
        """Return the seconds of CPU that supervisord has used."""
        return cpu_seconds(self.pid)

    def contenders(self) -> List[Contender]:
        """Return them, the floor first."""
        script, ctl = 'supervisorctl_restart_group', 'supervisorctl'
        restarts: Dict[str, Callable[[], Optional[float]]] = {
            'floor': self._floor,
            'plugin': lambda: self._by_rpc('restarter', {}),
            'plugin, rolling': lambda: self._by_rpc('restarter', {'max_unavailable': ROLLING}),
            'plugin, surge': lambda: self._by_rpc('restarter', {'max_surge': ROLLING}),
            'plugin, command': lambda: self._by_command(script, GROUP),
            'plugin, command, rolling': lambda: self._by_command(
                script, '--max-unavailable', ROLLING, GROUP),
            'algorithm of 2013': lambda: self._by_rpc('reference'),
            'supervisorctl restart': lambda: self._by_command(ctl, 'restart', GROUP + ':*'),
            'wildcards mrestart': lambda: self._by_command(ctl, 'mrestart', GROUP + '_*'),
            'serialrestart': lambda: self._by_command(ctl, 'serialrestart', GROUP + ':*'),
        }
        return [Contender(name, self, restart) for name, restart in restarts.items()]

    def _by_rpc(self, namespace: str, *arguments: Any) -> float:
        with self.connection() as rpc:
            began = time.monotonic()
            try:
                answer = getattr(rpc, namespace).restartProcessGroup(GROUP, *arguments)
            except xmlrpc.client.Fault as why:
                raise NotRestarted(why.faultString) from None
            seconds = time.monotonic() - began
        if isinstance(answer, list):
            raise NotRestarted('%d faults, the first: %s' % (len(answer), answer[0]['text']))
        return seconds

    def _floor(self) -> float:
        seconds = self._by_rpc('floor') + self.startsecs
        time.sleep(self.startsecs + 0.1)  # the processes' own time
        return seconds

    def _by_command(self, *command: str) -> None:
        run([str(self.scripts / command[0]), '-c', str(self.configuration), *command[1:]])


def run(command: List[str], **popen: Any) -> None:
    """Run a command that restarts something; raises NotRestarted where it takes too long or fails.

    What supervisorctl's plugins print is of no use here: they report errors on standard output.
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, universal_newlines=True, timeout=LIMIT,
                              **popen)
    except subprocess.TimeoutExpired:
        raise NotRestarted('not done after %d seconds' % LIMIT) from None
    if done.returncode:
        # After what is wrong, supervisorctl says how to get help (supervisor/options.py: usage).
        lines = [line for line in done.stdout.strip().splitlines()
                 if not line.startswith('For help, ')] or ['']
        raise NotRestarted('%s: exit status %d: %s' % (
            os.path.basename(command[0]), done.returncode, lines[-1][:200]))


def cpu_seconds(pid: int) -> float:
    """Return the seconds of CPU that a process has used, with all its threads."""
    try:
        return sum(int((task / 'schedstat').read_text().split()[0])
                   for task in Path('/proc/%d/task' % pid).iterdir()) / 1e9
    except FileNotFoundError:  # a kernel without it
        fields = Path('/proc/%d/stat' % pid).read_text().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
