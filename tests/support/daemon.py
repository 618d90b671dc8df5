"""A real supervisord for tests, benchmarks and the demo."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import xmlrpc.client
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, TypeVar, Union

from supervisor.xmlrpc import SupervisorTransport

# What a program of a test does when it is told to stop. Each is a value for `command=`.
MANNERS = {
    'at once': '/bin/sleep 100000',
    'late': "/bin/sh -c 'trap \"sleep 0.5; exit 0\" TERM; while :; do sleep 0.05; done'",
    # As soon as it may: `Daemon.let_go`.
    'held back': "/bin/sh -c 'trap \"until [ -e go ]; do sleep 0.05; done; exit 0\" TERM; "
                 "while :; do sleep 0.05; done'",
    'never': "/bin/sh -c 'trap \"\" TERM; while :; do sleep 0.05; done'",
    'exits 0': '/bin/sh -c "exit 0"',
    'exits 1': '/bin/sh -c "exit 1"',
    'no such program': '/no/such/program',
}

PLUGIN = """
[rpcinterface:restarter]
supervisor.rpcinterface_factory = supervisor_restarter:make_rpcinterface
"""

COMMANDS = """
[ctlplugin:restarter]
supervisor.ctl_factory = supervisor_restarter.controllerplugin:make_controllerplugin
"""
TAKEN_OVER = COMMANDS + 'restart = true\nupdate = true\n'

# Commands of Supervisor's own that take a second for each process where nobody turns the main loop.
SLOW = {'start', 'stop', 'restart', 'update', 'add', 'remove'}

CAPTURED = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE,
            'universal_newlines': True}

SCRIPTS = Path(sys.executable).parent

Found = TypeVar('Found')


def wait_until(condition: Callable[[], Found], what: str = 'the condition',
               seconds: float = 20.0) -> Found:
    """Wait until `condition` is true and return its value; at most `seconds`."""
    begin = time.monotonic()
    deadline = begin + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError('%s: not within %s seconds' % (what, seconds))
        # A question costs whoever answers it time too; what comes late need not be seen at once.
        time.sleep(min(0.05, max(0.005, (time.monotonic() - begin) / 10)))


def connect(url: str, username: Optional[str] = None,
            password: Optional[str] = None) -> xmlrpc.client.ServerProxy:
    """Return a proxy for the supervisord at `url` (`unix://…` or `http://…`)."""
    transport = SupervisorTransport(username, password, url)
    return xmlrpc.client.ServerProxy('http://127.0.0.1', transport=transport, allow_none=True)


def free_ports(count: int) -> List[int]:
    """Return ports of the loopback interface, one after the other, that nobody listens on.

    They lie below those that Linux gives to whoever connects (ip_local_port_range): one of those
    may be taken while a server that has it restarts. No other process that draws here, while this
    one lives, gets one of them.
    """
    while True:
        if len(_ports) < count:
            _ports[:] = _block_of_ports()
        ports, _ports[:count] = _ports[:count], []
        with contextlib.ExitStack() as stack:
            try:
                for port in ports:
                    stack.enter_context(socket.socket()).bind(('127.0.0.1', port))
            except OSError:
                continue
            return ports


BLOCK = 50
_ports: List[int] = []
_locks: List[socket.socket] = []  # of the blocks that this process has


def _block_of_ports() -> List[int]:
    # An abstract address (unix(7)) is a lock that goes with the process, however it ends.
    while True:
        begin = random.SystemRandom().randrange(10000, 32750, BLOCK)
        lock = socket.socket(socket.AF_UNIX)
        try:
            if sys.platform == 'linux':
                lock.bind('\0supervisor-restarter-ports-%d' % begin)
        except OSError:
            lock.close()
            continue
        _locks.append(lock)
        return list(range(begin, begin + BLOCK))


def free_port() -> int:
    """Return one such port."""
    return free_ports(1)[0]


class Daemon:
    """A supervisord with its folder; ended, with all that it started, on exit.

        with Daemon('''
            [program:web]
            command = /bin/sleep 100000
            numprocs = 3
            process_name = %(program_name)s_%(process_num)d
        ''') as daemon:
            daemon.wait_running('web')
            assert daemon.rpc.restarter.restartProcessGroup('web') is True

    `options` go into [rpcinterface:restarter]; `extra_plugins` is appended as it is. With
    `username` and `password`, all servers ask for them and `rpc` gives them.
    """

    def __init__(self, programs: str, options: Optional[Dict[str, Any]] = None, unix: bool = True,
                 inet: bool = False, username: str = '', password: str = '', plugin: str = PLUGIN,
                 extra: str = '', daemonize: bool = False, minfds: int = 1024,
                 loglevel: str = 'debug', prefix: Optional[List[str]] = None,
                 env: Optional[Dict[str, str]] = None, scripts: Path = SCRIPTS):
        self.folder = Path(tempfile.mkdtemp(prefix='restarter-', dir='/tmp'))
        self.username, self.password = username, password
        self.unix_url = 'unix://%s' % (self.folder / 's.sock') if unix else None
        self.port = free_port() if inet else None
        self.inet_url = 'http://127.0.0.1:%d' % self.port if self.port else None
        self.url = self.unix_url or self.inet_url
        self.configuration = self.folder / 'supervisord.conf'
        self.logfile = self.folder / 'supervisord.log'
        self.pidfile = self.folder / 'supervisord.pid'
        self.daemonize = daemonize
        self.prefix = prefix or []
        self.env = env
        self.scripts = scripts
        self.process: Optional[subprocess.Popen] = None
        self._minfds, self._loglevel = minfds, loglevel
        self._plugin = plugin + ''.join('%s = %s\n' % pair for pair in (options or {}).items())
        self._extra = textwrap.dedent(extra)
        self.write_configuration(programs)

    def write_configuration(self, programs: str) -> None:
        """Write the configuration file anew, with other `programs`."""
        login = ''
        if self.username:
            login = 'username = %s\npassword = %s\n' % (self.username, self.password)
        parts = ['[supervisord]', 'logfile = %s' % self.logfile, 'pidfile = %s' % self.pidfile,
                 'childlogdir = %s' % self.folder, 'loglevel = %s' % self._loglevel,
                 'minfds = %d' % self._minfds, 'directory = %s' % self.folder,
                 'nodaemon = %s' % ('false' if self.daemonize else 'true'), '']
        if self.unix_url:
            parts += ['[unix_http_server]', 'file = %s' % self.unix_url[len('unix://'):], login]
        if self.port:
            parts += ['[inet_http_server]', 'port = 127.0.0.1:%d' % self.port, login]
        parts += ['[rpcinterface:supervisor]', 'supervisor.rpcinterface_factory = '
                  'supervisor.rpcinterface:make_main_rpcinterface', '', self._plugin,
                  '[supervisorctl]', 'serverurl = %s' % self.url, login,
                  self._extra, textwrap.dedent(programs)]
        self.configuration.write_text('\n'.join(parts) + '\n')

    # life and death

    def start(self) -> 'Daemon':
        """Start supervisord and wait until it answers."""
        with open(str(self.folder / 'output'), 'ab') as output:
            self.process = subprocess.Popen(
                self.prefix + [str(self.scripts / 'supervisord'), '-c', str(self.configuration)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=str(self.folder),
                env=self.env)
        wait_until(self._answers, 'supervisord answers')
        return self

    def _answers(self) -> bool:
        if self.process.poll() is not None and not (self.daemonize and not self.process.poll()):
            raise AssertionError('supervisord did not start:\n%s' % self.output())
        try:
            with self.connection() as rpc:
                return rpc.supervisor.getState()['statename'] == 'RUNNING'
        except OSError:
            return False

    @property
    def pid(self) -> int:
        """supervisord's process id."""
        return int(self.pidfile.read_text()) if self.daemonize else self.process.pid

    def signal(self, signum: int) -> None:
        """Send supervisord a signal."""
        os.kill(self.pid, signum)

    def alive(self) -> bool:
        """Whether supervisord is running."""
        if not self.daemonize:
            return self.process.poll() is None
        try:
            os.kill(self.pid, 0)
        except (OSError, ValueError):
            return False
        return True

    def wait_ended(self, seconds: float = 20.0) -> None:
        """Wait until supervisord is gone."""
        wait_until(lambda: not self.alive(), 'supervisord ends', seconds)

    def stop(self) -> None:
        """End supervisord with all its processes, and remove its folder."""
        try:
            if self.process is not None and self.alive():
                mine = self.pid
                try:
                    wait_until(lambda: self._ends_with_all(mine), 'supervisord ends', 5)
                except AssertionError:
                    for pid in [mine] + descendants(mine):
                        _kill(pid, signal.SIGKILL)
            if self.process is not None:
                self.process.wait(5)
        finally:
            shutil.rmtree(str(self.folder), ignore_errors=True)

    def _ends_with_all(self, mine: int) -> bool:
        # Again and again: one that comes in the midst of a reload is lost.
        for pid, signum in [(mine, signal.SIGTERM)] + [
                (pid, signal.SIGKILL) for pid in descendants(mine)]:
            _kill(pid, signum)
        self.turn()
        return not self.alive()

    def turn(self) -> None:
        """Turn the main loop, which heeds a signal within a second else
        (supervisor/supervisord.py: runforever).
        """
        unix = bool(self.unix_url)
        address = self.unix_url[len('unix://'):] if unix else ('127.0.0.1', self.port)
        with contextlib.suppress(OSError), socket.socket(
                socket.AF_UNIX if unix else socket.AF_INET) as client:
            client.settimeout(1)
            client.connect(address)

    @contextlib.contextmanager
    def turning(self) -> Iterator[None]:
        """Turn the main loop again and again while a block is executed: Supervisor's own methods
        that start or stop something only look at it when the loop turns.
        """
        done = threading.Event()

        def turn() -> None:
            while not done.wait(0.01):
                self.turn()
        thread = threading.Thread(target=turn, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def __enter__(self) -> 'Daemon':
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, kind: Any, why: Any, trace: Any) -> None:
        if kind is not None:
            sys.stderr.write('--- supervisord.log ---\n%s\n' % self.log()[-6000:])
        self.stop()

    # questions

    def connection(self, url: Optional[str] = None) -> xmlrpc.client.ServerProxy:
        """Return a new connection; a context manager that closes it."""
        return connect(url or self.url, self.username or None, self.password or None)

    @property
    def rpc(self) -> xmlrpc.client.ServerProxy:
        """A new connection for one call, as in `daemon.rpc.supervisor.getState()`."""
        return self.connection()

    def processes(self, group: str) -> Dict[str, Dict[str, Any]]:
        """Return Supervisor's process info of a group, by process name."""
        with self.connection() as rpc:
            return {info['name']: info for info in rpc.supervisor.getAllProcessInfo()
                    if info['group'] == group}

    def pids(self, group: str) -> Dict[str, int]:
        """Return the process ids of a group, by process name; 0 for what is down."""
        return {name: info['pid'] for name, info in self.processes(group).items()}

    def states(self, group: str) -> Dict[str, str]:
        """Return the state names of a group, by process name."""
        return {name: info['statename'] for name, info in self.processes(group).items()}

    def wait_running(self, group: str, seconds: float = 20.0) -> Dict[str, int]:
        """Wait until all of a group are RUNNING, their traps set; return their process ids."""
        def up() -> bool:
            return (set(self.states(group).values()) == {'RUNNING'}
                    and all(self._is_itself(pid) for pid in self.pids(group).values()))
        wait_until(up, '%s is RUNNING' % group, seconds)
        return self.pids(group)

    def _is_itself(self, pid: int) -> bool:
        # With startsecs = 0 supervisord says RUNNING at the fork, and a stop signal that comes
        # before the exec of a process that supervisord itself has started is lost. One that comes
        # before a shell has set its trap ends it at once.
        process = Path('/proc/%d' % pid)
        try:
            command = (process / 'cmdline').read_bytes()
            if not command or command == Path('/proc/%d/cmdline' % self.pid).read_bytes():
                return False  # empty: in the midst of the exec
            status = (process / 'status').read_text()
        except (FileNotFoundError, ProcessLookupError):  # gone again
            return True
        handled = [int(line.split()[1], 16) for line in status.splitlines()
                   if line.startswith(('SigIgn:', 'SigCgt:'))]
        return b'trap ' not in command or any(
            mask >> (signal.SIGTERM - 1) & 1 for mask in handled)

    def wait_state(self, group: str, name: str, *states: str) -> None:
        """Wait until one process is in one of the states."""
        wait_until(lambda: self.states(group).get(name) in states,
                   '%s:%s is %s' % (group, name, ' or '.join(states)))

    def let_go(self) -> None:
        """Let processes stop that are held back."""
        if self.folder.exists():
            (self.folder / 'go').touch()

    def log(self) -> str:
        """What supervisord has logged."""
        return self.logfile.read_text(errors='replace') if self.logfile.exists() else ''

    def output(self) -> str:
        """What supervisord wrote to its terminal, and its log."""
        return (self.folder / 'output').read_text(errors='replace') + self.log()

    def cpu(self) -> float:
        """Seconds of CPU that supervisord itself has used."""
        fields = self._stat().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def memory(self) -> int:
        """Resident memory of supervisord, in bytes."""
        return int(self._stat().rsplit(')', 1)[1].split()[21]) * os.sysconf('SC_PAGE_SIZE')

    def descriptors(self) -> Dict[int, str]:
        """What supervisord's open descriptors point to, by their numbers."""
        return descriptors(self.pid)

    def descriptors_at_rest(self, sockets: int = 0) -> int:
        """How many descriptors supervisord has open, once no client is connected any more.

        `sockets` are how many it has for its programs.
        """
        servers = len([url for url in (self.unix_url, self.inet_url) if url]) + sockets
        wait_until(lambda: sum(what.startswith('socket:') for what in self.descriptors().values())
                   == servers,
                   'all connections are closed')
        return len(self.descriptors())

    def _stat(self) -> str:
        return Path('/proc/%d/stat' % self.pid).read_text()

    def descendants(self) -> List[int]:
        """Process ids of supervisord's children and theirs."""
        return descendants(self.pid)

    # commands, as a user types them

    def begin(self, name: str, *arguments: str, **popen: Any) -> subprocess.Popen:
        """Begin to run an installed script with this configuration."""
        return subprocess.Popen(self._words(name, arguments), **dict(CAPTURED, **popen))

    def command(self, name: str, *arguments: str, **run: Any) -> subprocess.CompletedProcess:
        """Run an installed script with this configuration."""
        return subprocess.run(self._words(name, arguments),
                              **dict(CAPTURED, **dict({'timeout': 120}, **run)))

    def _words(self, name: str, arguments: Sequence[str]) -> List[str]:
        return [str(self.scripts / name), '-c', str(self.configuration), *arguments]

    def supervisorctl(self, *arguments: str, **popen: Any) -> subprocess.CompletedProcess:
        """Run supervisorctl."""
        with self.turning() if arguments[:1] and arguments[0] in SLOW else contextlib.nullcontext():
            return self.command('supervisorctl', *arguments, **popen)

    def restart_group(self, *arguments: str, **popen: Any) -> subprocess.CompletedProcess:
        """Run the console script."""
        return self.command('supervisorctl_restart_group', *arguments, **popen)


@contextlib.contextmanager
def running(programs: Union[str, Daemon], *arguments: Any,
            **settings: Any) -> Iterator[Tuple[Daemon, Dict[str, int]]]:
    """A supervisord whose group `web` is RUNNING, and the process ids of that.

    The arguments are those of Daemon, or one that has not been started.
    """
    with (programs if isinstance(programs, Daemon)
          else Daemon(programs, *arguments, **settings)) as daemon:
        yield daemon, daemon.wait_running('web')


def plugged(plugin: str, programs: str, *arguments: Any, extra: str = '',
            **settings: Any) -> Daemon:
    """Return a supervisord with a plugin of tests/programs; `extra` are options of its section."""
    section = ('[rpcinterface:{0}]\nsupervisor.rpcinterface_factory = '
               'tests.programs.{0}:make_rpcinterface\n{1}\n').format(plugin, extra)
    env = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2]))
    return Daemon(programs, *arguments, extra=section, env=env, **settings)


def group(name: str, numprocs: int, command: str = MANNERS['at once'], startsecs: int = 0,
          kind: str = 'program', **settings: Any) -> str:
    """Return the configuration of a group of like processes `name:name_000`, `name_001`, …"""
    lines = ['[%s:%s]' % (kind, name), 'command = %s' % command, 'numprocs = %d' % numprocs,
             'process_name = %(program_name)s_%(process_num)03d',
             'startsecs = %s' % startsecs, 'stdout_logfile = NONE', 'stderr_logfile = NONE']
    if command == MANNERS['held back']:  # on a busy machine, too, it is not killed before
        lines.append('stopwaitsecs = 60')
    lines += ['%s = %s' % pair for pair in settings.items()]
    return '\n'.join(lines) + '\n'


def heed_ctrl_c() -> None:
    """Let SIGINT end this process: as `preexec_fn`, it does so where the tests run in the
    background, and a shell has told them to ignore it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def descriptors(pid: int) -> Dict[int, str]:
    """Return what the open descriptors of a process point to, by their numbers."""
    opened = {}
    for entry in Path('/proc/%d/fd' % pid).iterdir():
        # Closed meanwhile: that of a connection, or the one that the folder is read with.
        with contextlib.suppress(FileNotFoundError):
            opened[int(entry.name)] = os.readlink(str(entry))
    return opened


def descendants(pid: int) -> List[int]:
    """Return the process ids of the children of `pid` and of theirs."""
    children: Dict[int, List[int]] = {}
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                stat = Path('/proc/%s/stat' % entry).read_text()
            except OSError:  # gone in the meantime
                continue
            children.setdefault(int(stat.rsplit(')', 1)[1].split()[1]), []).append(int(entry))
    found, pending = [], [pid]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def _kill(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)
