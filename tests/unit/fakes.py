"""A clock, processes, groups and a supervisord that a test moves by hand.

The processes follow supervisor/process.py in what a restart can see of them: states, process ids,
times, events.
"""

import itertools
import math
from types import SimpleNamespace

from supervisor import events
from supervisor.process import Subprocess
from supervisor.states import ProcessStates, SupervisorStates, getProcessStateDescription


class FakeClock:
    """Monotonic and wall-clock time; both stand still until the test moves them."""

    def __init__(self):
        self.now = 1000.0
        self.wall = 1700000000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.wall

    def set(self, seconds):
        """Set the system clock forward or, with a negative number, back."""
        self.wall += seconds

    def forward(self, seconds):
        self.now += seconds
        self.wall += seconds


class FakeConfig:
    """The configuration of a fake process."""

    stopwaitsecs = 10
    autorestart = False
    exitcodes = [0]
    stdout_logfile = stderr_logfile = '/log'
    stdout_logfile_maxbytes = stderr_logfile_maxbytes = 0
    stdout_logfile_backups = stderr_logfile_backups = 0
    stdout_syslog = stderr_syslog = False
    options = SimpleNamespace(identifier='supervisor')
    no_log = None  # why it cannot have a log file

    def __init__(self, world, name, priority=999, startsecs=1, environment=None):
        self.world, self.name, self.priority, self.startsecs = world, name, priority, startsecs
        self.environment = environment

    def create_autochildlogs(self):
        if self.no_log:
            raise self.no_log

    def make_process(self, group):
        made = FakeProcess(self.world, self.name, ProcessStates.STOPPED)
        made.config, made.group = self, group
        self.world.made(made)
        return made


class FakeProcess:
    """A process that does what it is told, and what the test tells it to.

    `world.history` has what happened to it: ('stop', name), ('spawn', name). `stops_at_once`: it is
    down when it is told to stop. `spawn_error`: why it cannot be spawned. `stop_error`: what stop()
    returns; with `forgets_its_pid` it has none then, as in Supervisor 4.1. `raises`: what spawn()
    raises.
    """

    pids = itertools.count(100)

    def __init__(self, world, name, state=ProcessStates.RUNNING, priority=999, startsecs=1):
        self.world = world
        self.config = FakeConfig(world, name, priority, startsecs)
        self.group = None
        self.state = state
        up = (ProcessStates.RUNNING, ProcessStates.STARTING, ProcessStates.STOPPING)
        self.pid = next(self.pids) if state in up else 0
        self.laststart = world.clock.time() if state == ProcessStates.STARTING else 0
        self.laststop = self.delay = self.backoff = 0
        self.spawnerr = self.exitstatus = self.event = None
        self.dispatchers = {}
        self.administrative_stop = False
        self.stops_at_once = self.forgets_its_pid = False
        self.spawn_error = self.stop_error = self.raises = None

    def get_state(self):
        return self.state

    def change_state(self, state):
        old, self.state = self.state, state
        events.notify(Subprocess.event_map[state](self, old))

    def stop(self):
        self.administrative_stop = True
        if self.state == ProcessStates.BACKOFF:
            self.change_state(ProcessStates.STOPPED)
            return None
        self.world.history.append(('stop', self.config.name))
        if self.stop_error:
            self.pid *= not self.forgets_its_pid
            self.change_state(ProcessStates.UNKNOWN)
            return self.stop_error
        self.delay = self.world.clock.time() + self.config.stopwaitsecs
        self.change_state(ProcessStates.STOPPING)
        if self.stops_at_once:
            self.die()
        return None

    def spawn(self):
        if self.state not in (ProcessStates.EXITED, ProcessStates.FATAL, ProcessStates.BACKOFF,
                              ProcessStates.STOPPED):
            raise AssertionError('spawned in %s' % getProcessStateDescription(self.state))
        if self.raises:
            raise self.raises
        self.world.history.append(('spawn', self.config.name))
        self.administrative_stop = False
        self.spawnerr = self.exitstatus = None
        self.laststart = self.world.clock.time()
        self.change_state(ProcessStates.STARTING)
        if self.spawn_error:
            self.spawnerr = self.spawn_error
            self.change_state(ProcessStates.BACKOFF)
            return
        self.pid = next(self.pids)

    def transition(self):
        now = self.world.clock.time()
        if self.state == ProcessStates.STARTING:  # _check_and_adjust_for_system_clock_rollback
            self.laststart = min(self.laststart, now)
        if self.state == ProcessStates.STARTING and now - self.laststart > self.config.startsecs:
            self.change_state(ProcessStates.RUNNING)
        elif self.state == ProcessStates.STOPPING and now >= self.delay:
            self.world.history.append(('kill', self.config.name))
            self.delay = now + self.config.stopwaitsecs
            self.die()

    # what the test does to it

    def die(self, exitstatus=-1):
        """End, as supervisord sees it when it has reaped the process."""
        self.pid = 0
        self.laststop = self.world.clock.time()
        self.exitstatus = exitstatus
        if self.state == ProcessStates.STOPPING:
            self.change_state(ProcessStates.STOPPED)
        elif self.laststop - self.laststart < self.config.startsecs:
            self.exitstatus = None
            self.spawnerr = 'Exited too quickly (process log may have details)'
            self.change_state(ProcessStates.BACKOFF)
        else:
            self.change_state(ProcessStates.EXITED)


class FakeLogger:
    def __init__(self):
        self.lines = []

    def __getattr__(self, level):
        return lambda message, **values: self.lines.append((level, message))


class FakeReadiness:
    """What programs declare, by the names of their processes, and the watches for them.

    `watches` has the last watch of each process; the test sets what they see, what was `noted` of
    a process, and the ids of `orphaned` groups. `trouble`: why there is no watch to be had.
    """

    class Declaration(str):
        @property
        def can_be_asked(self):
            return self != 'notify'

    class Watch:
        extended_until = -math.inf
        seen = 'refused'
        others = ''
        period = 0.1

        def __init__(self, declaration, changed):
            self.awaited, self.changed = declaration, changed
            self.ready = self.closed = False
            self.early = declaration is not None
            self.looks = 0
            self.environment = {'NOTIFY_SOCKET': '/socket'} if declaration == 'notify' else {}

        def look(self):
            self.looks += 1

        def due(self):
            return self.period

        def in_the_way(self):
            return self.others

        def close(self):
            self.closed = True

        def becomes_ready(self):
            self.ready = True
            self.changed()

    def __init__(self, **declared):
        self.by_name = declared
        self.watches = {}
        self.noted = {}
        self.orphaned = set()
        self.trouble = None

    def declared(self, config):
        value = self.by_name.get(config.name)
        if value == 'wrong':
            raise ValueError('RESTARTER_READY = %r: must be right' % value)
        return value and self.Declaration(value)

    def note(self, process, declaration, surge):
        return self.noted.get(process.config.name)

    def group_lives(self, pid):
        return pid in self.orphaned

    def watch(self, process, declaration, delay, changed, noted):
        if self.trouble:
            raise self.trouble
        self.watches[process.config.name] = self.Watch(declaration, changed)
        return self.watches[process.config.name]


class World:
    """A supervisord with one group `web`; `supervisord`, `group`, `clock` and `history`.

    `made` is called with each process that a configuration makes.
    """

    def __init__(self, *names, **settings):
        self.clock = FakeClock()
        self.history = []
        self.made = lambda process: None
        self.logger = FakeLogger()
        self.supervisord = SimpleNamespace(
            options=SimpleNamespace(mood=SupervisorStates.RUNNING, logger=self.logger,
                                    pidhistory={}),
            process_groups={}, reap=lambda: None)
        self.group = self.add_group('web')
        for name in names:
            self.add(name, **settings)

    def add_group(self, name):
        group = SimpleNamespace(config=SimpleNamespace(name=name, priority=999), processes={})
        self.supervisord.process_groups[name] = group
        return group

    def add(self, name, *arguments, **settings):
        process = FakeProcess(self, name, *arguments, **settings)
        process.group = self.group
        self.group.processes[name] = process
        return process

    def __getitem__(self, name):
        return self.group.processes[name]

    def states(self):
        return {name: getProcessStateDescription(process.state)
                for name, process in self.group.processes.items()}


def passes(world, restart, seconds):
    """Let time pass as the main loop does: a pass whenever one is due."""
    until = world.clock.now + seconds
    while not restart.finished and world.clock.now + restart.due() <= until:
        world.clock.forward(restart.due())
        restart.advance(everything=False)
    world.clock.forward(max(0.0, until - world.clock.now))
