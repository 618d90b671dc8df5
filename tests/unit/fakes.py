"""A clock, processes, groups and a supervisord that a test moves by hand.

The processes follow supervisor/process.py in what a restart can see of them: states, process ids,
times, events.
"""

import itertools
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


class FakeProcess:
    """A process that does what it is told, and what the test tells it to.

    `world.history` has what happened to it: ('stop', name), ('spawn', name). `stops_at_once`: it is
    down when it is told to stop. `spawn_error`: why it cannot be spawned. `stop_error`: what stop()
    returns. `raises`: what spawn() raises.
    """

    pids = itertools.count(100)

    def __init__(self, world, name, state=ProcessStates.RUNNING, priority=999, startsecs=1):
        self.world = world
        self.config = SimpleNamespace(name=name, priority=priority, startsecs=startsecs,
                                      stopwaitsecs=10, exitcodes=[0])
        self.group = None
        self.state = state
        up = (ProcessStates.RUNNING, ProcessStates.STARTING, ProcessStates.STOPPING)
        self.pid = next(self.pids) if state in up else 0
        self.laststart = world.clock.time() if state == ProcessStates.STARTING else 0
        self.laststop = self.delay = self.backoff = 0
        self.spawnerr = self.exitstatus = None
        self.administrative_stop = False
        self.stops_at_once = False
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
        return lambda message: self.lines.append((level, message))


class World:
    """A supervisord with one group `web`; `supervisord`, `group`, `clock` and `history`."""

    def __init__(self, *names, **settings):
        self.clock = FakeClock()
        self.history = []
        self.logger = FakeLogger()
        self.supervisord = SimpleNamespace(
            options=SimpleNamespace(mood=SupervisorStates.RUNNING, logger=self.logger,
                                    pidhistory={}),
            process_groups={}, reap=lambda: None)
        self.group = self.add_group('web')
        for name in names:
            self.add(name, **settings)

    def add_group(self, name):
        group = SimpleNamespace(config=SimpleNamespace(name=name), processes={})
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
