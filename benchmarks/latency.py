"""How long other callers of supervisord wait while a group is restarted."""

import threading
import time
from pathlib import Path
from typing import Any, Dict, List

from benchmarks.contenders import Contender, NotRestarted, Supervised
from benchmarks.results import percentile, spread, write

CONTENDERS = ('plugin', 'plugin, rolling', 'plugin, surge', 'algorithm of 2013',
              'supervisorctl restart')
IDLE = 'no restart'
PAUSE = 0.01  # seconds between two calls
MOST = 0.150


def measure(contender: Contender) -> List[float]:
    """Return the seconds that each getState() took while the contender restarts the group once."""
    done = threading.Event()
    waits: List[float] = []
    with contender.daemon.daemon.connection() as rpc:
        rpc.supervisor.getState()

        def call() -> None:
            while not done.is_set():
                began = time.monotonic()
                rpc.supervisor.getState()
                waits.append(time.monotonic() - began)
                done.wait(PAUSE)

        before = contender.daemon.up()
        caller = threading.Thread(target=call)
        caller.start()
        try:
            contender.restart()
        finally:
            done.set()
            caller.join()
    after = contender.daemon.up()
    while len(after) < contender.daemon.size:  # for the next contender
        time.sleep(0.1)
        after = contender.daemon.up()
    if contender.name != IDLE and before & after:
        raise NotRestarted('%d processes are old ones' % len(before & after))
    return waits


def report(size: int, folder: Path, times: int = 3) -> None:
    """Measure and print the latency with groups of `size`, and write latency.csv."""
    rows: List[Dict[str, Any]] = []
    with Supervised(size, 0) as daemon:
        contenders = [c for c in daemon.contenders() if c.name in CONTENDERS]
        contenders.insert(0, Contender(IDLE, daemon, lambda: time.sleep(2)))
        waits: Dict[str, List[float]] = {contender.name: [] for contender in contenders}
        for _ in range(times):
            for contender in contenders:
                try:
                    waits[contender.name] += measure(contender)
                except NotRestarted as why:
                    print('  %s: does not count: %s' % (contender.name, why))
    for name, seconds in waits.items():
        if not seconds:
            continue
        values = spread(seconds)
        rows.append({'contender': name, 'processes': size, 'calls': len(seconds),
                     'median': '%.6f' % values.median,
                     'percentile_99': '%.6f' % percentile(seconds, 99),
                     'worst': '%.6f' % values.highest})
        print('  %-22s N=%d %6d calls: median %7.1f ms, 99 %% within %7.1f ms, worst %7.1f ms' % (
            name, size, len(seconds), 1e3 * values.median, 1e3 * percentile(seconds, 99),
            1e3 * values.highest), flush=True)
        if name == 'plugin':
            print('  allowed %.0f ms: %s' % (1e3 * MOST, 'met' if values.highest <= MOST
                                             else 'MISSED'))
    write(folder, 'latency', rows)
