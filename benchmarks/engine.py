"""The engine alone: simulated processes, a fake clock, and no supervisord."""

import heapq
import random
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List, Tuple

from supervisor.options import ProcessConfig
from supervisor.states import ProcessStates, SupervisorStates

from benchmarks.results import write
from supervisor_restarter.restart.group_restart import GroupRestart
from supervisor_restarter.restart.settings import Limit, Settings

SIZES = (100, 1000, 10000, 100000)
LASTS = 1.0  # simulated seconds over which the processes end, where not together
ORDERS = ('together', 'ascending', 'descending', 'shuffled')
PACINGS = {
    'all at once': {},
    'rolling': {'max_unavailable': Limit(25, True)},
    'surge': {'max_surge': Limit(25, True)},
}


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


class Config:
    """As much of Supervisor's `ProcessConfig` as a restart uses; it makes processes like one."""

    priority, startsecs, stopwaitsecs, exitcodes = 999, 1, 10, [0]
    options = SimpleNamespace()

    def __init__(self, process: 'Process'):
        self.name = '%06d' % process.number
        self.process = process
        for name in ProcessConfig.req_param_names + ProcessConfig.optional_param_names:
            self.__dict__.setdefault(name, getattr(type(self), name, None))

    def make_process(self, group: Any) -> 'Process':
        """Return a process that is down."""
        old = self.process
        made = Process(old.number, old.simulation, old.ends_after)
        made.config, made.state, made.pid = self, ProcessStates.STOPPED, 0
        return made


class Process:
    """As much of Supervisor's `Subprocess` as a restart uses; it counts how often it is looked at.

    A stop makes it end `ends_after` simulated seconds later.
    """

    def __init__(self, number: int, simulation: 'Simulation', ends_after: float):
        self.number = number
        self.config = Config(self)
        self.dispatchers: Dict[int, Any] = {}
        self.simulation = simulation
        self.ends_after = ends_after
        self.state = ProcessStates.RUNNING
        self.pid = number + 1
        self.laststart = self.laststop = self.delay = 0.0
        self.administrative_stop = False
        self.spawnerr = self.exitstatus = None
        self.looks = 0
        simulation.every.append(self)

    def get_state(self) -> int:
        self.looks += 1
        return self.state

    def stop(self) -> None:
        self.administrative_stop = True
        self.state = ProcessStates.STOPPING
        self.delay = self.simulation.clock.now + self.config.stopwaitsecs
        self.simulation.will_end(self)

    def spawn(self) -> None:
        self.administrative_stop = False
        self.state = ProcessStates.STARTING
        self.pid += self.number + 1 + 10 ** 6
        self.laststart = self.simulation.clock.now

    def transition(self) -> None:
        if (self.state == ProcessStates.STARTING
                and self.simulation.clock.now - self.laststart > self.config.startsecs):
            self.state = ProcessStates.RUNNING
            self.simulation.restart.changed(self.config.name, True)


class Simulation:
    """A group of simulated processes, and the restart of it."""

    def __init__(self, size: int, order: str, settings: Settings):
        self.clock = Clock()
        self.every: List[Process] = []
        self._ends: List[Tuple[float, int, Process]] = []
        places = list(range(size))
        if order == 'descending':
            places.reverse()
        elif order == 'shuffled':
            random.Random(2013).shuffle(places)
        self.processes = {}
        for number, place in enumerate(places):
            after = 0.01 if order == 'together' else 0.01 + LASTS * place / size
            process = Process(number, self, after)
            self.processes[process.config.name] = process
        group = SimpleNamespace(config=SimpleNamespace(name='web'), processes=self.processes)
        logger = SimpleNamespace(**dict.fromkeys(('info', 'warn', 'critical'), lambda text: None))
        supervisord = SimpleNamespace(
            options=SimpleNamespace(mood=SupervisorStates.RUNNING, pidhistory={}, logger=logger),
            process_groups={'web': group}, reap=self.reap)
        self.restart = GroupRestart(supervisord, group, settings, self.clock)

    def will_end(self, process: Process) -> None:
        """Let a process end in its time."""
        heapq.heappush(self._ends, (self.clock.now + process.ends_after, process.pid, process))

    def reap(self) -> None:
        """End those whose time has come."""
        while self._ends and self._ends[0][0] <= self.clock.now:
            process = heapq.heappop(self._ends)[2]
            process.state, process.pid = ProcessStates.STOPPED, 0
            process.laststop = self.clock.now
            self.restart.changed(process.config.name, False)

    def run(self) -> int:
        """Carry the restart to its outcome, and return the number of passes."""
        passes = 0
        while not self.restart.finished:
            self.reap()
            self.restart.advance(False)
            passes += 1
            if not self.restart.finished:
                wait = max(0.0, self.restart.due())
                if self._ends:
                    wait = min(wait, max(0.0, self._ends[0][0] - self.clock.now))
                self.clock.now += wait
        if self.restart.outcome is not True:
            raise AssertionError('the simulated restart ended with %r' % self.restart.outcome)
        return passes


def measure(size: int, order: str, pacing: str) -> Dict[str, Any]:
    """Return the row of engine.csv for one simulated restart; `pacing` is one of `PACINGS`."""
    settings = Settings(timeout=10.0 ** 6, **PACINGS[pacing])
    simulation = Simulation(size, order, settings)
    for process in simulation.every:
        process.looks = 0
    began = time.perf_counter()
    passes = simulation.run()
    seconds = time.perf_counter() - began
    looks = sum(process.looks for process in simulation.every)
    return {'pacing': pacing, 'order': order, 'processes': size,
            'passes': passes, 'seconds': '%.6f' % seconds,
            'microseconds_per_process': '%.2f' % (1e6 * seconds / size),
            'milliseconds_per_pass': '%.4f' % (1e3 * seconds / passes),
            'looks_per_process': '%.2f' % (looks / size)}


def report(sizes: Tuple[int, ...], folder: Path) -> None:
    """Measure and print every pacing and order with these sizes, and write engine.csv.

    A look is a question for the state of a process.
    """
    rows = []
    for pacing in PACINGS:
        for order in ORDERS:
            for size in sizes:
                row = measure(size, order, pacing)
                rows.append(row)
                print('  %-11s %-10s N=%-6d %6d passes %8s ms each, %7s us and %7s looks '
                      'for each process' % (
                          row['pacing'], order, size, row['passes'], row['milliseconds_per_pass'],
                          row['microseconds_per_process'], row['looks_per_process']), flush=True)
    write(folder, 'engine', rows)
