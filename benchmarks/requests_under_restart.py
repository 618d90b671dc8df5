"""Restart a web application under load: `python -m benchmarks.requests_under_restart --help`.

It restarts examples/rolling, in turn with the plugin, with supervisorctl and with the plugin
supervisor-serialrestart, while clients ask it for a page all the time.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple

from benchmarks.contenders import LIMIT
from benchmarks.results import RESULTS, spread, write
from tests.load import Counts
from tests.rolling_example import BROKEN, GROUP, RollingExample

SERIALRESTART = """
[ctlplugin:serialrestart]
supervisor.ctl_factory = supervisorserialrestart.controllerplugin:make_serialrestart_controllerplugin
"""  # noqa: E501

COMMANDS = {
    'plugin, one at a time': ['supervisorctl_restart_group', '--max-unavailable', '1', GROUP],
    'plugin, two at a time': ['supervisorctl_restart_group', '--max-unavailable', '2', GROUP],
    'plugin, all at once': ['supervisorctl_restart_group', GROUP],
    'supervisorctl restart': ['supervisorctl', 'restart', GROUP + ':*'],
    'serialrestart': ['supervisorctl', 'serialrestart', GROUP + ':*'],
}

AROUND = 0.5  # seconds of load before and after a restart
GENTLE = 0.02  # seconds between two requests of a client, where the requests are not counted


class Restart(NamedTuple):
    """One restart under load: seconds of the command, and what the clients saw."""

    seconds: float
    counts: Counts


def main() -> int:
    """Measure, print both tables, write them, and return the exit status."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.requests_under_restart',
                                     description='Restart a web application under load.')
    parser.add_argument('--restarts', type=_count, default=5,
                        help='restarts with each command (default: 5)')
    parser.add_argument('--clients', type=_count, default=6,
                        help='clients, with one connection each (default: 6)')
    parser.add_argument('--results', type=Path, default=RESULTS,
                        help='the folder for the CSV files (default: %(default)s)')
    options = parser.parse_args()
    seen: Dict[str, List[Restart]] = {name: [] for name in COMMANDS}
    with RollingExample(extra=SERIALRESTART) as example:
        for _ in range(options.restarts):
            for name, command in COMMANDS.items():
                example.wait_serving()
                seen[name].append(restart(example, command, options.clients))
    rows = [summary(name, restarts) for name, restarts in seen.items()]
    _print(rows)
    write(options.results, 'requests', rows)
    rows = [{'command': name, 'serving afterwards': broken_release(command)}
            for name, command in COMMANDS.items()]
    print('\nA release that does not start:\n')
    _print(rows)
    write(options.results, 'broken-release', rows)
    return 0


def restart(example: RollingExample, command: List[str], clients: int) -> Restart:
    """Restart the group under load; raises AssertionError unless all processes are new."""
    before = example.pids(GROUP)
    with example.load(clients=clients) as load:
        time.sleep(AROUND)
        began = time.monotonic()
        example.command(*command, timeout=LIMIT)
        seconds = time.monotonic() - began
        example.wait_serving()
        time.sleep(AROUND)
    kept = set(before.values()) & set(example.pids(GROUP).values())
    if kept:
        raise AssertionError('%s: %d processes were not restarted' % (' '.join(command), len(kept)))
    return Restart(seconds, load.counts())


def summary(name: str, restarts: List[Restart]) -> Dict[str, Any]:
    """Return one row of the table; counts are sums over the restarts."""
    def total(of: Callable[[Counts], int]) -> int:
        return sum(of(one.counts) for one in restarts)
    return {
        'command': name,
        'restarts': len(restarts),
        'requests': total(lambda counts: counts.requests),
        'failed': total(lambda counts: counts.failed),
        'of them refused': total(lambda counts: counts.refused),
        'retried': total(lambda counts: counts.retried),
        'seconds, median': '%.2f' % spread([one.seconds for one in restarts]).median,
        'slowest request, seconds': '%.3f' % max(one.counts.slowest for one in restarts),
    }


def broken_release(command: List[str]) -> int:
    """Return how many processes serve when a command has restarted them with a broken release."""
    with RollingExample(extra=SERIALRESTART) as example:
        example.wait_serving()
        before = example.pids(GROUP)
        example.release(BROKEN)
        with example.load(pause=GENTLE):
            try:
                example.command(*command, timeout=LIMIT)
            except subprocess.TimeoutExpired:
                print('%s: not done after %d seconds' % (' '.join(command), LIMIT), file=sys.stderr)
        after = example.pids(GROUP)
        return sum(after[name] == pid for name, pid in before.items())


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError('%s is less than 1' % text)
    return number


def _print(rows: List[Dict[str, Any]]) -> None:
    print('| %s |' % ' | '.join(rows[0]))
    print('| %s |' % ' | '.join(['---'] + ['---:'] * (len(rows[0]) - 1)))
    for row in rows:
        print('| %s |' % ' | '.join(str(value) for value in row.values()))


if __name__ == '__main__':
    sys.exit(main())
