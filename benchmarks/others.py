"""Other process managers: circus and pm2. Neither has anything like startsecs."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Set

from benchmarks.contenders import COMMAND, GROUP, LIMIT, Contender, cpu_seconds, run
from tests.support.daemon import SCRIPTS, descendants, wait_until

PM2_FOLDER = Path(__file__).parents[1] / 'build' / 'pm2'


class Other:
    """A daemon with its folder and `size` processes, which `start` starts; a context manager."""

    process: Optional[subprocess.Popen] = None

    def __init__(self, size: int):
        self.size = size
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

    def run(self, script: str, *arguments: str) -> None:
        """Start the daemon: one of the scripts beside Python's, in the folder."""
        with open(str(self.folder / 'output'), 'wb') as output:
            self.process = subprocess.Popen([str(SCRIPTS / script), *arguments], stdout=output,
                                            stdin=subprocess.DEVNULL, stderr=output,
                                            cwd=str(self.folder))

    def end(self) -> None:
        """End the daemon and its processes."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self.process.pid

    def up(self) -> Set[int]:
        """Return the process ids of those that run the command."""
        found, program = set(), os.path.basename(COMMAND.split()[0])
        for child in descendants(self.pid):
            with contextlib.suppress(OSError):  # gone in the meantime
                if Path('/proc/%d/comm' % child).read_text().strip() == program:
                    found.add(child)
        return found

    def cpu(self) -> float:
        """Return the seconds of CPU that the daemon has used."""
        return cpu_seconds(self.pid)


class Circus(Other):
    """circusd, with one watcher."""

    def start(self) -> None:
        endpoint = 'ipc://%s' % (self.folder / 'control')
        (self.folder / 'circus.ini').write_text('\n'.join([
            '[circus]', 'endpoint = %s' % endpoint,
            'pubsub_endpoint = ipc://%s' % (self.folder / 'events'),
            '[watcher:%s]' % GROUP, 'cmd = %s' % COMMAND, 'numprocesses = %d' % self.size, '']))
        self.run('circusd', '--log-level', 'WARNING', 'circus.ini')
        self._client = [str(SCRIPTS / 'circusctl'), '--timeout', str(int(LIMIT)),
                        '--endpoint', endpoint]

    def contenders(self) -> List[Contender]:
        return [Contender('circus ' + words[0], self, lambda words=words: run(
            [*self._client, *words, GROUP]))
            for words in (['restart', '--waiting'], ['reload', '--waiting', '--sequential'])]


class Pm2(Other):
    """pm2's daemon, with one application of `size` instances."""

    def __init__(self, size: int, program: Path):
        super().__init__(size)
        self.program = str(program)
        self.env = dict(os.environ, PM2_HOME=str(self.folder), PM2_DISCRETE_MODE='true')

    @property
    def pid(self) -> int:
        return int((self.folder / 'pm2.pid').read_text())

    def description(self) -> Dict[str, Any]:
        """Return pm2's description of the application."""
        program, argument = COMMAND.split()
        return {'name': GROUP, 'script': program, 'args': argument, 'interpreter': 'none',
                'exec_mode': 'fork', 'instances': self.size}

    def start(self) -> None:
        (self.folder / 'web.json').write_text(json.dumps({'apps': [self.description()]}))
        run([self.program, 'start', str(self.folder / 'web.json'), '--silent'], env=self.env)

    def end(self) -> None:
        if (self.folder / 'pm2.pid').exists():
            subprocess.run([self.program, 'kill', '--silent'], env=self.env, timeout=LIMIT,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def contenders(self) -> List[Contender]:
        return [Contender('pm2 ' + verb, self, lambda verb=verb: run(
            [self.program, verb, GROUP, '--silent'], env=self.env))
            for verb in ('restart', 'reload')]


def find_pm2(install: bool = True) -> Optional[Path]:
    """Return the pm2 program, installed with npm under build/ where need be and `install` is true.

    None without Node.js, npm or a registry to install from.
    """
    program = PM2_FOLDER / 'node_modules' / '.bin' / 'pm2'
    if shutil.which('node') is None or shutil.which('npm') is None:
        return None
    if not program.exists() and install:
        PM2_FOLDER.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(subprocess.SubprocessError):
            subprocess.run(['npm', 'install', '--prefix', str(PM2_FOLDER), '--ignore-scripts',
                            '--no-audit', '--no-fund', '--silent', 'pm2'],
                           stdin=subprocess.DEVNULL, timeout=300, check=True)
    return program if program.exists() else None
