"""Who serves a web application while it is restarted: each with its own ways to do that."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Set

from benchmarks.contenders import GROUP, LIMIT
from benchmarks.others import SCRIPTS, Other, Pm2
from tests.support.daemon import PLUGIN, Daemon, wait_until
from tests.support.load import Load

HERE = Path(__file__).parent

SERIALRESTART = """
[ctlplugin:serialrestart]
supervisor.ctl_factory = supervisorserialrestart.controllerplugin:make_serialrestart_controllerplugin
"""  # noqa: E501

PROGRAM = """
[fcgi-program:web]
socket = unix://%(address)s
command = %(python)s -m uvicorn --fd 0 --no-access-log --timeout-graceful-shutdown 5 app:app
directory = %(folder)s
environment = RESTARTER_READY="notify"
numprocs = %(size)d
process_name = %%(program_name)s_%%(process_num)d
startsecs = 1
redirect_stderr = true
"""


class Server(Other):
    """Processes that serve a copy of `application`; a context manager."""

    application = HERE.parent / 'examples' / 'rolling' / 'app.py'
    broken = "raise SystemExit('a broken release')\n"

    def __init__(self, size: int, *more: Any):
        super().__init__(size, *more)
        shutil.copy(str(self.application), str(self.folder))
        self.address = str(self.folder / 'web.sock')

    def load(self, **options: float) -> Load:
        """Return clients for it; see Load."""
        return Load(self.address, **options)

    def up(self) -> Set[int]:
        """Return the process ids of those who answer; it asks until all have, or two seconds."""
        with self.load(clients=2 * self.size, per_connection=1, pause=0.001) as load:
            until = time.monotonic() + 2
            while time.monotonic() < until and len(load.counts().bodies) < self.size:
                time.sleep(0.02)
        return {int(body) for body in load.counts().bodies}

    def break_release(self) -> None:
        """Replace the application by one that does not start."""
        (self.folder / self.application.name).write_text(self.broken)

    def ways(self) -> Dict[str, Callable[[], None]]:
        """Return, by name, what restarts it; each returns when that has told its end."""
        raise NotImplementedError


class UnderSupervisor(Server):
    """uvicorn in an [fcgi-program], whose processes say that they are ready."""

    def start(self) -> None:
        """Start supervisord."""
        program = PROGRAM % {'address': self.address, 'python': sys.executable,
                             'folder': self.folder, 'size': self.size}
        self.daemon = Daemon(program, options={'timeout': 30}, plugin=PLUGIN, extra=SERIALRESTART,
                             loglevel='info')
        self.daemon.start()
        self.daemon.wait_running(GROUP)

    def end(self) -> None:
        """End supervisord and its processes."""
        if hasattr(self, 'daemon'):
            self.daemon.stop()

    @property
    def pid(self) -> int:
        """supervisord's process id."""
        return self.daemon.pid

    def ways(self) -> Dict[str, Callable[[], None]]:
        """Return the commands."""
        script, ctl = 'supervisorctl_restart_group', 'supervisorctl'
        commands = {
            'plugin, surge, one at a time': [script, '--max-surge', '1', GROUP],
            'plugin, rolling, one at a time': [script, '--max-unavailable', '1', GROUP],
            'plugin, all at once': [script, GROUP],
            'supervisorctl restart': [ctl, 'restart', GROUP + ':*'],
            'serialrestart': [ctl, 'serialrestart', GROUP + ':*'],
        }
        return {name: self._way(command) for name, command in commands.items()}

    def _way(self, command: List[str]) -> Callable[[], None]:
        return lambda: _run([str(SCRIPTS / command[0]), '-c', str(self.daemon.configuration)]
                            + command[1:])


class Reloaded(Server):
    """A server of its own, that reloads when it gets SIGHUP."""

    process: Optional[subprocess.Popen] = None

    def command(self) -> List[str]:
        """Return what starts it."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it."""
        with open(str(self.folder / 'output'), 'wb') as output:
            self.process = subprocess.Popen(self.command(), cwd=str(self.folder), stdout=output,
                                            stdin=subprocess.DEVNULL, stderr=output)

    def end(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def _hup(self) -> None:
        self.process.send_signal(signal.SIGHUP)


class Gunicorn(Reloaded):
    """gunicorn, with uvicorn's workers."""

    def command(self) -> List[str]:
        """Return what starts it."""
        return [str(SCRIPTS / 'gunicorn'), '--workers', str(self.size), '--bind',
                'unix:' + self.address, '--worker-class', 'uvicorn_worker.UvicornWorker',
                '--graceful-timeout', '5', 'app:app']

    def ways(self) -> Dict[str, Callable[[], None]]:
        """Return its one way."""
        return {'gunicorn, HUP': self._hup}


class Uvicorn(Reloaded):
    """uvicorn's own processes. With one alone it does not reload."""

    def command(self) -> List[str]:
        """Return what starts it."""
        return [str(SCRIPTS / 'uvicorn'), '--workers', str(self.size), '--uds', self.address,
                '--no-access-log', '--timeout-graceful-shutdown', '5', 'app:app']

    def ways(self) -> Dict[str, Callable[[], None]]:
        """Return its one way."""
        return {'uvicorn, HUP': self._hup} if self.size > 1 else {}


class Pm2Cluster(Server, Pm2):
    """pm2 in cluster mode, with the same application for Node.js."""

    application = HERE / 'app.js'
    broken = 'process.exit(1);\n'

    def description(self) -> Dict[str, Any]:
        """Return pm2's description of the application."""
        return {'name': GROUP, 'script': str(self.folder / self.application.name),
                'cwd': str(self.folder), 'exec_mode': 'cluster', 'instances': self.size,
                'env': {'ADDRESS': self.address}}

    def ways(self) -> Dict[str, Callable[[], None]]:
        """Return its one way."""
        return {'pm2 reload': lambda: _run([self.program, 'reload', GROUP, '--silent'],
                                           env=self.env)}


def wait_gone(pids: Set[int]) -> None:
    """Wait until none of these processes is there any more."""
    wait_until(lambda: not any(Path('/proc/%d/cmdline' % pid).exists() and
                               Path('/proc/%d/cmdline' % pid).read_bytes() for pid in pids),
               'the old processes have ended', LIMIT)


def _run(command: List[str], **popen: Any) -> None:
    # A broken release is a fault here, and no error: what counts is who serves afterwards.
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=LIMIT, **popen)
