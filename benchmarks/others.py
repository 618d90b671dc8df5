"""Other process managers: circus and pm2. Neither has anything like startsecs."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Set

from benchmarks.contenders import (
    COMMAND,
    GROUP,
    LIMIT,
    Contender,
    children_that_run,
    cpu_seconds,
    run,
)
from tests.support.daemon import descendants, wait_until

SCRIPTS = Path(sys.executable).parent
PM2_FOLDER = Path(__file__).parent.parent / 'build' / 'pm2'


class Other:
    """A daemon with a folder of its own and `size` processes; a context manager."""

    def __init__(self, size: int):
        self.size = size
        self.startsecs = 0
        self.folder = Path(tempfile.mkdtemp(prefix='benchmark-'))

    def __enter__(self) -> 'Other':
        try:
            self.start()
            wait_until(lambda: len(self.up()) == self.size, 'all processes are up', LIMIT)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self.end()
        except subprocess.TimeoutExpired:
            for pid in [self.pid] + descendants(self.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        finally:
            shutil.rmtree(str(self.folder), ignore_errors=True)

    def up(self) -> Set[int]:
        """Return the process ids of those that run the command."""
        return children_that_run(self.pid, os.path.basename(COMMAND.split()[0]))

    def cpu(self) -> float:
        """Return the seconds of CPU that the daemon has used."""
        return cpu_seconds(self.pid)


class Circus(Other):
    """circusd, with one watcher."""

    def __init__(self, size: int):
        super().__init__(size)
        self.process: Optional[subprocess.Popen] = None

    @property
    def pid(self) -> int:
        """circusd's process id."""
        return self.process.pid

    def start(self) -> None:
        """Start circusd with a configuration for the group."""
        endpoint = 'ipc://%s' % (self.folder / 'control')
        (self.folder / 'circus.ini').write_text('\n'.join([
            '[circus]', 'endpoint = %s' % endpoint,
            'pubsub_endpoint = ipc://%s' % (self.folder / 'events'),
            '[watcher:%s]' % GROUP, 'cmd = %s' % COMMAND, 'numprocesses = %d' % self.size, '']))
        with open(str(self.folder / 'output'), 'wb') as output:
            self.process = subprocess.Popen(
                [str(SCRIPTS / 'circusd'), '--log-level', 'WARNING',
                 str(self.folder / 'circus.ini')],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self._client = [str(SCRIPTS / 'circusctl'), '--timeout', str(int(LIMIT)),
                        '--endpoint', endpoint]

    def end(self) -> None:
        """End circusd and its processes."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)

    def contenders(self) -> List[Contender]:
        """Return its two ways to restart."""
        return [
            Contender('circus restart', self, lambda: run(
                self._client + ['restart', '--waiting', GROUP])),
            Contender('circus reload', self, lambda: run(
                self._client + ['reload', '--waiting', '--sequential', GROUP])),
        ]


class Pm2(Other):
    """pm2's daemon, with one application of `size` instances."""

    def __init__(self, size: int, program: Path):
        super().__init__(size)
        self.program = str(program)
        self.env = dict(os.environ, PM2_HOME=str(self.folder), PM2_DISCRETE_MODE='true')

    @property
    def pid(self) -> int:
        """The process id of pm2's daemon."""
        return int((self.folder / 'pm2.pid').read_text())

    def description(self) -> Dict[str, Any]:
        """Return pm2's description of the application."""
        program, argument = COMMAND.split()
        return {'name': GROUP, 'script': program, 'args': argument, 'interpreter': 'none',
                'exec_mode': 'fork', 'instances': self.size}

    def start(self) -> None:
        """Start pm2's daemon, and the instances with it."""
        (self.folder / 'web.json').write_text(json.dumps({'apps': [self.description()]}))
        run([self.program, 'start', str(self.folder / 'web.json'), '--silent'], env=self.env)

    def end(self) -> None:
        """End pm2's daemon and its processes."""
        if not (self.folder / 'pm2.pid').exists():
            return
        subprocess.run([self.program, 'kill', '--silent'], env=self.env, timeout=LIMIT,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def contenders(self) -> List[Contender]:
        """Return its two ways to restart."""
        def command(verb: str) -> Contender:
            return Contender('pm2 %s' % verb, self, lambda: run(
                [self.program, verb, GROUP, '--silent'], env=self.env))
        return [command('restart'), command('reload')]


def find_pm2(install: bool = True) -> Optional[Path]:
    """Return the pm2 program, installed with npm under build/ where need be and `install` is true.

    None without Node.js, npm or a registry to install from.
    """
    program = PM2_FOLDER / 'node_modules' / '.bin' / 'pm2'
    if shutil.which('node') is None or shutil.which('npm') is None:
        return None
    if not program.exists() and not install:
        return None
    if not program.exists():
        PM2_FOLDER.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(['npm', 'install', '--prefix', str(PM2_FOLDER), '--ignore-scripts',
                            '--no-audit', '--no-fund', '--silent', 'pm2'],
                           stdin=subprocess.DEVNULL, timeout=300, check=True)
        except subprocess.SubprocessError:
            return None
    return program
