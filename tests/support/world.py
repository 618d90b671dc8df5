"""A supervisord on a machine of its own: Supervisor's code, the test's clock, signals and children.

Supervisor's own `Supervisor`, `ProcessGroup` and `Subprocess` run here. What is not real is what
they ask of the system: time passes only when it is told to, and children do what their manners
say. `let_time_pass` lets supervisord's main loop turn, and `MainLoop` with it. In a `World` there
is no main loop, and the test moves everything by hand.
"""

import collections
import contextlib
import errno
import heapq
import os
import signal
import socket
from types import SimpleNamespace
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple
from unittest import mock

from supervisor import events
from supervisor.datatypes import Automatic, RestartUnconditionally, RestartWhenExitUnexpected
from supervisor.options import NotFound, ProcessConfig, ProcessException
from supervisor.poller import PollPoller
from supervisor.process import ProcessGroup, Subprocess
from supervisor.states import ProcessStates, SupervisorStates, getProcessStateDescription
from supervisor.supervisord import Supervisor

from supervisor_restarter.daemon.listeners import Address
from tests.support.network import CHILD, Attempt, Network, Readiness

NEVER = float('inf')

# Beside the wait statuses of children, what else may happen to one: it is up; its own child ends.
UP, LEFT_ALONE = -1, -2

# What one that is up says, where it is to notify.
SAYS = [b'READY=1', b'STATUS=up\nREADY=1\n', b'RELOADING=1', b'READY=1\nMAINPID=1']

# The system's timers, and a transition that asks for more than startsecs.
PROMPT = 0.005
AUTORESTART = {'always': RestartUnconditionally, 'unexpected': RestartWhenExitUnexpected,
               'no': None}


class Manners(NamedTuple):
    """What the children of a process do, and what happens when there is to be one.

    Seconds; `exits_after` a start, with the exit status `status`; `ready_after` it: then it listens
    `at` its own port and others next to it, which it may share, and answers, or not; and says that
    it is ready, where it is to, and `again` each time that so many seconds have passed. With
    `follows` it is a wrapper, whose child listens, and goes on for so long when it has ended.
    `broken`: 'no file', 'no fork', 'no descriptors' or 'no signal', an error of the system.
    """

    stops_after: float = 0.0
    exits_after: float = NEVER
    status: int = 0
    broken: str = ''
    ready_after: float = 0.0
    at: Tuple[int, ...] = (0,)
    shares: bool = True
    answers: bool = True
    follows: float = 0.0
    again: float = NEVER


# With these, whoever waits for something gets it.
BEHAVED = Manners(at=(0, 1))


class Clock:
    """Monotonic and wall-clock time; both stand still until they are moved."""

    def __init__(self):
        self.now, self.wall = 1000.0, 1700000000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.wall

    def set(self, seconds: float) -> None:
        """Set the system clock forward or, with a negative number, back."""
        self.wall += seconds

    def forward(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds


class Program:
    """What the processes of a slot run, on a port of its own if that is not 0."""

    def __init__(self, port: int):
        self.manners = Manners()
        self.port = port


class Config:
    """The configuration of a process, as far as Supervisor asks for it; copies have its program.

    It `declares` its readiness, where %(port)d is the port.
    """

    command = '/bin/program'
    stopsignal = signal.SIGTERM
    stopasgroup = killasgroup = False
    stopwaitsecs = 10
    startretries = 2
    exitcodes = [0]
    autostart = False
    uid = environment = None
    stdout_logfile = stdout_logfile_maxbytes = stdout_logfile_backups = stdout_syslog = None
    stderr_logfile = stderr_logfile_maxbytes = stderr_logfile_backups = stderr_syslog = None

    def __init__(self, machine: 'Machine', name: str, priority: int = 999, startsecs: int = 1,
                 autorestart: str = 'unexpected', declares: str = '', port: int = 0):
        self.program = Program(port)
        self.declares = declares
        if declares:
            self.environment = {'RESTARTER_READY': declares % {'port': port}}
        self.options, self.name = machine, name
        self.priority, self.startsecs = priority, startsecs
        self.autorestart = AUTORESTART[autorestart]

    def make_process(self, group: Any) -> 'Recorded':
        process = Recorded(self)
        process.group = group
        self.options.made(process)
        return process

    def create_autochildlogs(self) -> None:
        pass

    def make_dispatchers(self, process: 'Recorded') -> Tuple[Dict, Dict]:
        if Automatic in (self.stdout_logfile, self.stderr_logfile):  # supervisor/loggers.py: open()
            raise TypeError('expected str, bytes or os.PathLike object, not type')
        if process.manners.broken == 'no descriptors':
            raise OSError(errno.EMFILE, 'Too many open files')
        return self.options.dispatchers(process), {}


for missing in ProcessConfig.req_param_names + ProcessConfig.optional_param_names:
    if not hasattr(Config, missing):
        setattr(Config, missing, None)


class Recorded(Subprocess):
    """A process with manners; the machine's history has who stopped and spawned it.

    `spawn_error`: why it cannot be spawned. `raises`: what spawn() raises. With `forgets_its_pid`
    it has none when it could not be signalled, as in Supervisor 4.1. `command` is the one that it
    was spawned with.
    """

    last_pid = 0
    told_at = -NEVER  # to stop
    spawn_error = raises = command = None
    forgets_its_pid = False

    @property
    def manners(self) -> Manners:
        return self.config.program.manners

    @manners.setter
    def manners(self, manners: Manners) -> None:
        self.config.program.manners = manners

    def behaves(self, **manners: Any) -> None:
        """Let the process, and those that come after it, have such `Manners`."""
        self.manners = self.config.options.children[self.pid] = Manners(**manners)

    def die(self, exitstatus: int = -1) -> None:
        """End, by a signal or with a status."""
        status = signal.SIGKILL if exitstatus == -1 else exitstatus << 8
        self.config.options.dies(self.pid, status)

    def get_execv_args(self) -> Tuple[str, List[str]]:
        if self.spawn_error:
            raise ProcessException(self.spawn_error)
        if self.manners.broken == 'no file':
            raise NotFound("can't find command '/bin/program'")
        return self.config.command, [self.config.command]

    def spawn(self) -> Optional[int]:
        if self.raises:
            raise self.raises
        machine = self.config.options
        if not self.pid:
            self.command = self.config.command
        if not self.pid or machine.who == 'restart':  # else Supervisor does nothing
            machine.note('spawn', self)
        machine.spawning = self
        return super().spawn()

    def stop(self) -> Optional[str]:
        if self.pid:
            self.told_at = self.config.options.now
            self.config.options.note('stop', self)
        return super().stop()

    def kill(self, signum: int) -> Optional[str]:
        if signum == signal.SIGKILL:
            self.config.options.note('kill', self)
        message = super().kill(signum)
        if message and self.forgets_its_pid:
            self.pid = 0
        return message


class Entry(NamedTuple):
    """Who did what to a process: 'restart', 'supervisord' or 'others'; 'stop', 'spawn', 'kill'."""

    who: str
    what: str
    name: str
    when: float


class Machine(Clock):
    """What supervisord calls its `options`: the system below it. It is also the clock.

    `watch` is called each time before supervisord sleeps, and with PROMPT when it has slept; `made`
    with each process that a configuration makes; `dispatchers` gives those of one that is spawned.
    `wrappers` are the children that have a child, also those that have ended while that goes on;
    `paths` has who has been given a socket to notify, and `said` when they have first; `unheard`
    are those that could not.
    """

    first_pid = 100

    nodaemon = test = True  # a turn of the main loop at a time
    serverurl = None
    identifier = 'supervisor'

    def __init__(self):
        super().__init__()
        self.mood = SupervisorStates.RUNNING
        self.history: List[Entry] = []
        self.network = Network(self)
        self.wrappers: Dict[int, Manners] = {}
        self.followed: Dict[int, float] = {}  # when the last of its group has followed a process
        self.paths: Dict[int, str] = {}
        self.said: Dict[int, float] = {}
        self.unheard: List[int] = []
        self._ports: Dict[int, int] = {}
        self.who = 'others'
        self.spawning: Optional[Recorded] = None
        self.fork_takes = 0.0
        self.lines: List[Tuple[str, str]] = []
        self.logger = SimpleNamespace(**{
            level: self._logs(level)
            for level in ('blather', 'debug', 'info', 'warn', 'error', 'critical')})
        self.pidhistory: Dict[int, Recorded] = {}
        self.httpservers = ()
        self.children: Dict[int, Manners] = {}
        self.zombies: collections.deque = collections.deque()
        self.socket_map: Dict[int, Any] = {}
        self.poller = SleepingPoller(self)
        self.signals = Signals(self)
        self.watch: Callable[..., None] = lambda slack=0.0: None
        self.made: Callable[[Recorded], None] = lambda process: None
        self.dispatchers: Callable[[Recorded], Dict] = lambda process: {}
        self.until = NEVER
        self._happens: List[Tuple[float, int, int]] = []  # when, to which child, which wait status
        self._last_pid = self.first_pid

    def note(self, what: str, process: Recorded) -> None:
        self.history.append(Entry(self.who, what, process.config.name, self.now))

    def _logs(self, level: str) -> Callable[..., None]:
        return lambda message, **data: self.lines.append((level, message))

    # the clock

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with what happens in it."""
        until = self.now + seconds
        while self._happens and self._happens[0][0] <= until:
            when, pid, what = heapq.heappop(self._happens)
            self._move_to(max(when, self.now))
            if what == UP:
                self.comes_up(pid)
            elif what == LEFT_ALONE:
                self._leaves_nobody(pid)
            else:
                self.dies(pid, what)
        self._move_to(until)

    forward = pass_time

    def next_event(self, latest: float) -> float:
        """Return when something happens by itself, or `latest`."""
        times = [self.signals.timer] + [when for when, _, _ in self._happens[:1]]
        return min([when for when in times if when > self.now] + [latest])

    def _move_to(self, now: float) -> None:
        self.wall += now - self.now
        self.now = now
        self.signals.look_at_the_timer()

    # children

    def fork(self) -> int:
        manners = self.spawning.manners
        if manners.broken == 'no fork':
            raise OSError(errno.EAGAIN, 'Resource temporarily unavailable')
        self.pass_time(self.fork_takes)
        self._last_pid += 1
        pid = self.spawning.last_pid = self._last_pid
        self.children[pid] = manners
        self._ports[pid] = self.spawning.config.program.port
        if manners.follows:
            self.wrappers[pid] = manners
        if self.who == 'restart':
            self.readiness.forked(self.spawning, pid)
        if manners.ready_after != NEVER:
            self.happens(manners.ready_after, pid, UP)
        if manners.exits_after != NEVER:
            self._dies_in(pid, manners.exits_after, manners.status << 8)
        return pid

    def kill(self, pid: int, signum: int) -> None:
        manners = self.children.get(pid)
        if manners is None:
            if any(pid == zombie for zombie, _ in self.zombies):
                return
            raise OSError(errno.ESRCH, 'No such process')
        if manners.broken == 'no signal':
            raise OSError(errno.EPERM, 'Operation not permitted')
        if signum == signal.SIGKILL:
            self.dies(pid, signum)
        elif manners.stops_after != NEVER:
            self._dies_in(pid, manners.stops_after, signum)

    def comes_up(self, pid: int) -> None:
        """Let a child listen, and say that it is ready; and what it has left behind, that again."""
        manners = self.children.get(pid) or self.wrappers.get(pid)
        if manners is None:
            return
        if self._ports.get(pid):
            port = self._ports.pop(pid)
            for number in manners.at:
                self.network.listen(pid + CHILD if pid in self.wrappers else pid, Address(
                    '127.0.0.1', port + number), manners.shares, manners.answers)
        if pid in self.paths:
            self._says(pid, SAYS if manners.again != NEVER else SAYS[:1])
            if manners.again != NEVER:
                self.happens(manners.again, pid, UP)

    def _says(self, pid: int, messages: List[bytes]) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                for message in messages:
                    sender.sendto(message, self.paths[pid])
                    self.said.setdefault(pid, self.now)
            except BlockingIOError:  # it has said so much already
                pass
            except OSError:
                if pid in self.children:
                    self.unheard.append(pid)

    def behave(self) -> None:
        """Let every child stop at once when it is told to, and be up, wherever one like it was; no
        other is in its way. Those that were told to stop, stop, and leave nobody behind.
        """
        self.children = dict.fromkeys(self.children, BEHAVED)
        self._happens.clear()
        for pid in list(self.wrappers):
            if pid not in self.children:
                self._leaves_nobody(pid)
        self.network.clear()
        for pid in list(self.children):
            process = self.pidhistory.get(pid)
            if process is not None and process.killing:
                self.dies(pid, signal.SIGTERM)
            elif process is not None:
                self._ports[pid] = process.config.program.port
                self.comes_up(pid)

    def _dies_in(self, pid: int, seconds: float, status: int) -> None:
        if seconds > 0:
            self.happens(seconds, pid, status)
        else:
            self.dies(pid, status)

    def happens(self, seconds: float, pid: int, what: int) -> None:
        """Let a child end with a wait status, or something else happen, in so many seconds."""
        heapq.heappush(self._happens, (self.now + seconds, pid, what))

    def dies(self, pid: int, status: int) -> None:
        """Let a child end. supervisord itself ends when one does that it could not signal, so such
        a child does not (supervisor/process.py: finish, _assertInState).
        """
        process = self.pidhistory.get(pid)
        if process is not None and process.state == ProcessStates.UNKNOWN:
            return
        manners = self.children.pop(pid, None)
        if manners is not None:
            self.zombies.append((pid, status))
            self.network.close(pid)
            if pid in self.wrappers and manners.follows != NEVER:
                self.happens(manners.follows, pid, LEFT_ALONE)
            self.signals.arrives(signal.SIGCHLD)

    def _leaves_nobody(self, pid: int) -> None:
        if self.wrappers.pop(pid, None) is not None:
            self.followed[pid] = self.now
        self.network.close(pid + CHILD)

    def waitpid(self) -> Tuple[Optional[int], Optional[int]]:
        return self.zombies.popleft() if self.zombies else (None, None)

    # what the main loop asks for

    def get_socket_map(self) -> Dict[int, Any]:
        return self.socket_map

    def get_signal(self) -> None:
        return None

    def close_parent_pipes(self, pipes: Dict) -> None:
        pass

    close_child_pipes = close_parent_pipes


class SleepingPoller(PollPoller):
    """Supervisor's own, but time passes on the machine."""

    def poll(self, timeout: float) -> Tuple[List[int], List[int]]:
        machine = self.options
        wake = min(machine.now + timeout, machine.until)
        ready = super().poll(0)
        if not timeout or any(ready):
            return ready
        machine.watch()
        while machine.now < wake and not any(ready):
            machine.pass_time(machine.next_event(wake) - machine.now)
            ready = super().poll(0)
        machine.watch(PROMPT)
        return ready


class Signals:
    """What `MainLoop` uses of the module signal."""

    SIGALRM, SIG_DFL, ITIMER_REAL = signal.SIGALRM, signal.SIG_DFL, signal.ITIMER_REAL

    def __init__(self, machine: Machine):
        self.machine = machine
        self.timer = NEVER
        self.descriptor = -1
        self.handler: Any = signal.SIG_DFL

    def arrives(self, signum: int) -> None:
        if self.descriptor != -1:
            with contextlib.suppress(BlockingIOError):
                os.write(self.descriptor, bytes([signum]))

    def look_at_the_timer(self) -> None:
        if self.timer <= self.machine.now:
            self.timer = NEVER
            assert self.handler != signal.SIG_DFL, 'SIGALRM ends supervisord'
            self.arrives(signal.SIGALRM)

    def getsignal(self, signum: int) -> Any:
        return self.handler

    def signal(self, signum: int, handler: Any) -> None:
        self.handler = handler

    def getitimer(self, which: int) -> Tuple[float, float]:
        return (0.0 if self.timer == NEVER else self.timer - self.machine.now, 0.0)

    def setitimer(self, which: int, seconds: float) -> None:
        # The system counts in microseconds, and never too few.
        self.timer = self.machine.now + max(seconds, 1e-6) if seconds else NEVER

    def set_wakeup_fd(self, descriptor: int, warn_on_full_buffer: bool = True) -> int:
        old, self.descriptor = self.descriptor, descriptor
        return old


class GroupConfig:
    """The configuration of a group."""

    def __init__(self, machine: Machine, name: str, configs: List[Config]):
        self.options, self.name, self.priority = machine, name, 999
        self.process_configs = configs

    def after_setuid(self) -> None:
        pass

    def make_group(self) -> ProcessGroup:
        return ProcessGroup(self)


def make_supervisord(machine: Machine, names: List[str]) -> Supervisor:
    """Return a supervisord with an empty group of each name."""
    supervisord = Supervisor(machine)
    for name in names:
        supervisord.add_process_group(GroupConfig(machine, name, []))
    return supervisord


ENOUGH = 2000


def let_time_pass(supervisord: Supervisor, seconds: float, goes_on: Callable[[], bool],
                  most_turns: Callable[[], int]) -> None:
    """Let the main loop turn for some seconds, as long as `goes_on()`; or so often that it is
    enough: Supervisor starts what exits at once again and again.

    It may turn `most_turns()` times while no time passes. Raises supervisord's ExitNow.
    """
    machine = supervisord.options
    machine.until, machine.who = machine.now + seconds, 'supervisord'
    turns, last, left = 0, machine.now, ENOUGH
    try:
        while machine.now < machine.until and left and goes_on():
            supervisord.runforever()
            left -= 1
            turns, last = turns + 1 if machine.now == last else 0, machine.now
            assert turns <= most_turns(), 'the main loop does not come to rest'
    finally:
        machine.until, machine.who = NEVER, 'others'


def bugs_of_ours(machine: Machine) -> List[str]:
    """Return the tracebacks that the plugin has logged."""
    return [line for level, line in machine.lines
            if level == 'critical' and 'Traceback' in line and 'restarter' in line]


STANDS_FOR: Dict[str, Callable[[Machine], Any]] = {
    **dict.fromkeys(('supervisor.process.time', 'supervisor.supervisord.time',
                     'supervisor_restarter.daemon.mainloop.time'), lambda machine: machine),
    'supervisor_restarter.daemon.mainloop.signal': lambda machine: machine.signals,
    **{'supervisor_restarter.daemon.%s.os' % module: lambda machine: machine.network
       for module in ('process_groups', 'listening')},
    'supervisor_restarter.daemon.listening.accepted': lambda machine: lambda made: made.inode,
    'supervisor_restarter.daemon.probe.Attempt': lambda machine: Attempt,
}


@contextlib.contextmanager
def the_time_of(machine: Machine) -> Iterator[None]:
    """Inside of this, the time, the signals and the network are those of the machine."""
    with contextlib.ExitStack() as stack:
        for where, what in STANDS_FOR.items():
            stack.enter_context(mock.patch(where, what(machine)))
        events.clear()
        machine.readiness = Readiness(machine)
        try:
            yield
        finally:
            machine.readiness.end()
            events.clear()


# A supervisord without a main loop

class ConfigByHand(Config):
    """All that Supervisor compares; processes stop when the test lets them."""

    no_log: Optional[Exception] = None  # why it cannot have a log file
    stdout_logfile = stderr_logfile = '/log'

    def __init__(self, *settings: Any, **others: Any):
        super().__init__(*settings, **others)
        self.program.manners = Manners(stops_after=NEVER)

    def create_autochildlogs(self) -> None:
        if self.no_log:
            raise self.no_log


class World:
    """A supervisord with one group `web`, without a main loop: the test makes the passes.

    `history` has what happened to processes: ('stop', name), ('spawn', name), ('kill', name).
    supervisord reaps a child as soon as it ends. When the test is over, `leave` all worlds.
    """

    opened: List['World'] = []

    def __init__(self, *names: str, **settings: Any):
        self.clock = self.machine = machine = Machine()
        self._time = the_time_of(machine)
        self._time.__enter__()
        self.opened.append(self)
        self.history: List[Tuple[str, str]] = []
        machine.fork_takes = 1e-6  # none dies at the very time at which it was spawned
        self.supervisord = make_supervisord(machine, ['web'])
        self.group = self.supervisord.process_groups['web']
        machine.signals.arrives = lambda signum: Supervisor.reap(self.supervisord)
        machine.note = lambda what, process: self.history.append((what, process.config.name))
        for name in names:
            self.add(name, **settings)

    @classmethod
    def leave(cls) -> None:
        while cls.opened:
            cls.opened.pop()._time.__exit__(None, None, None)

    @property
    def lines(self) -> List[Tuple[str, str]]:
        """What the plugin has logged."""
        return [line for line in self.machine.lines if line[1].startswith('restarter: ')]

    def config(self, name: str, **settings: Any) -> ConfigByHand:
        return ConfigByHand(self.machine, name, **settings)

    def add_group(self, name: str) -> ProcessGroup:
        group = self.supervisord.process_groups[name] = ProcessGroup(
            GroupConfig(self.machine, name, []))
        return group

    def add(self, name: str, state: int = ProcessStates.RUNNING, group: Any = None,
            **settings: Any) -> Recorded:
        """Add a process, in this state, to a group."""
        group = group or self.group
        process = group.processes[name] = self.config(name, **settings).make_process(group)
        if state in (ProcessStates.RUNNING, ProcessStates.STARTING, ProcessStates.STOPPING):
            before = list(self.history)
            process.spawn()
            if state != ProcessStates.STARTING:
                process.state, process.laststart = ProcessStates.RUNNING, 1.0
            if state == ProcessStates.STOPPING:
                process.stop()
            self.history[:] = before
        process.state = state
        return process

    def __getitem__(self, name: str) -> Recorded:
        return self.group.processes[name]

    def states(self) -> Dict[str, str]:
        return {name: getProcessStateDescription(process.state)
                for name, process in self.group.processes.items()}
