"""Who serves a web application while it is restarted: each with its own ways to do that."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Set

from benchmarks.contenders import GROUP, LIMIT, SERIALRESTART
from benchmarks.others import Other, Pm2
from tests.support.daemon import SCRIPTS, Daemon
from tests.support.load import Load

HERE = Path(__file__).parent

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

# Servers of their own that reload when they get SIGHUP: their commands.
RELOADED = {
    'gunicorn': 'gunicorn --workers %(size)d --bind unix:%(address)s '
                '--worker-class uvicorn_worker.UvicornWorker --graceful-timeout 5 app:app',
    'uvicorn': 'uvicorn --workers %(size)d --uds %(address)s --no-access-log '
               '--timeout-graceful-shutdown 5 app:app',
}


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
        program = PROGRAM % {'address': self.address, 'python': sys.executable,
                             'folder': self.folder, 'size': self.size}
        self.daemon = Daemon(program, {'timeout': 30}, extra=SERIALRESTART, loglevel='info')
        self.process = self.daemon.start().process
        self.daemon.wait_running(GROUP)

    def end(self) -> None:
        if hasattr(self, 'daemon'):
            self.daemon.stop()

    def ways(self) -> Dict[str, Callable[[], None]]:
        script, ctl = 'supervisorctl_restart_group', 'supervisorctl'
        commands = {
            'plugin, surge, one at a time': [script, '--max-surge', '1', GROUP],
            'plugin, rolling, one at a time': [script, '--max-unavailable', '1', GROUP],
            'plugin, all at once': [script, GROUP],
            'supervisorctl restart': [ctl, 'restart', GROUP + ':*'],
            'serialrestart': [ctl, 'serialrestart', GROUP + ':*'],
        }
        return {name: self._way(*command) for name, command in commands.items()}

    def _way(self, script: str, *arguments: str) -> Callable[[], None]:
        return lambda: _run([str(SCRIPTS / script), '-c', str(self.daemon.configuration),
                             *arguments])


class Reloaded(Server):
    """A server of `RELOADED`, by its name."""

    def __init__(self, size: int, name: str):
        super().__init__(size)
        self.name = name

    def start(self) -> None:
        self.run(*(RELOADED[self.name] % {'size': self.size, 'address': self.address}).split())

    def ways(self) -> Dict[str, Callable[[], None]]:
        return {self.name + ', HUP': lambda: self.process.send_signal(signal.SIGHUP)}


class Pm2Cluster(Server, Pm2):
    """pm2 in cluster mode, with the same application for Node.js."""

    application = HERE / 'app.js'
    broken = 'process.exit(1);\n'

    def description(self) -> Dict[str, Any]:
        return {'name': GROUP, 'script': str(self.folder / self.application.name),
                'cwd': str(self.folder), 'exec_mode': 'cluster', 'instances': self.size,
                'env': {'ADDRESS': self.address}}

    def ways(self) -> Dict[str, Callable[[], None]]:
        return {'pm2 reload': lambda: _run([self.program, 'reload', GROUP, '--silent'],
                                           env=self.env)}


def _run(command: List[str], **popen: Any) -> None:
    # A broken release is a fault here, and no error: what counts is who serves afterwards.
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=LIMIT, **popen)
