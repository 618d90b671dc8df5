"""The engine alone: Supervisor's own processes in a simulated world, and no supervisord."""

import gc
import random
import time
from typing import Any, Dict

from supervisor.process import Subprocess
from supervisor.states import ProcessStates

from benchmarks.results import Options, write
from supervisor_restarter.restart.restarts import Restarts
from supervisor_restarter.restart.settings import Limit, Settings
from tests.support.world import World

SIZES = (100, 1000, 10000)
ROW = ('  %(pacing)-11s %(order)-10s N=%(processes)-6d %(passes)6d passes '
       '%(milliseconds_per_pass)8s ms each, %(microseconds_per_process)7s us and '
       '%(looks_per_process)7s looks for each process')
LASTS = 1.0  # simulated seconds over which the processes end, where not together
ORDERS = ('together', 'ascending', 'descending', 'shuffled')
PACINGS = {
    'all at once': {},
    'rolling': {'max_unavailable': Limit(25, True)},
    'surge': {'max_surge': Limit(25, True)},
}


def simulated(size: int, order: str) -> World:
    """Return a world with so many processes; a stop makes one end in its simulated time."""
    places = [0] * size if order == 'together' else list(range(size))
    if order == 'descending':
        places.reverse()
    elif order == 'shuffled':
        random.Random(2013).shuffle(places)
    world = World(*('%06d' % number for number in range(size)))
    world.machine.fork_takes = 0.0
    for process, place in zip(world.group.processes.values(), places):
        process.behaves(stops_after=0.01 + LASTS * place / size)
    return world


def restart(world: World, pacing: str) -> int:
    """Restart the group, and return the number of passes; `pacing` is one of `PACINGS`."""
    machine, passes = world.machine, 0
    restarts = Restarts(world.supervisord, machine)
    begun = restarts.begin('web', Settings(timeout=10.0 ** 6, **PACINGS[pacing]))
    while not begun.finished:
        restarts.advance()
        passes += 1
        if not begun.finished and restarts.due() > 0:
            machine.pass_time(machine.next_event(machine.now + restarts.due()) - machine.now)
    if begun.outcome is not True:
        raise AssertionError('the simulated restart ended with %r' % begun.outcome)
    return passes


def floor(world: World) -> None:
    """Stop and start every process, as supervisord alone would."""
    for process in world.group.processes.values():
        process.stop()
    world.machine.pass_time(0.01 + LASTS)
    for process in world.group.processes.values():
        process.spawn()
    world.machine.pass_time(1.01)
    for process in world.group.processes.values():
        process.transition()
        assert process.state == ProcessStates.RUNNING


def looks(size: int, order: str, pacing: str) -> float:
    """Return how often a restart asks each process for its state."""
    count, get_state = [0], Subprocess.get_state

    def counted(process: Any) -> int:
        count[0] += 1
        return get_state(process)
    world = simulated(size, order)
    Subprocess.get_state = counted
    try:
        restart(world, pacing)
    finally:
        Subprocess.get_state = get_state
        World.leave()
    return count[0] / size


def _restarted(size: int, order: str, pacing: str) -> Dict[str, Any]:
    """Return the row of engine.csv for one simulated restart.

    What Supervisor itself takes to stop and start the same processes is left out.
    """
    seconds, passes = [], 0
    for run in (floor, lambda world: restart(world, pacing)):
        world = simulated(size, order)
        gc.collect()  # what the world before has left
        began = time.process_time()
        passes = run(world) or 0
        seconds.append(time.process_time() - began)
        World.leave()
    alone = seconds[1] - seconds[0]
    return {'pacing': pacing, 'order': order, 'processes': size, 'passes': passes,
            'seconds': '%.6f' % alone, 'microseconds_per_process': '%.2f' % (1e6 * alone / size),
            'milliseconds_per_pass': '%.4f' % (1e3 * alone / passes),
            'looks_per_process': '%.2f' % looks(size, order, pacing)}


def measure(options: Options) -> None:
    """Measure and print every pacing and order, `quick` with few processes; write engine.csv."""
    rows = []
    for pacing in PACINGS:
        for order in ORDERS:
            for size in SIZES[:2] if options.quick else SIZES:
                rows.append(_restarted(size, order, pacing))
                print(ROW % rows[-1], flush=True)
    write(options.results, 'engine', rows)
