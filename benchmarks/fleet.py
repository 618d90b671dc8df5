"""Measure what one host costs in a deployment with Ansible: `python -m benchmarks.fleet`.

All hosts are supervisords on this machine, and Ansible runs its commands without SSH. CPU seconds
hold both Ansible's part and what a host does for it. Needs ansible-core.
"""

import argparse
import math
import resource
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

from benchmarks.results import RESULTS, markdown, spread, write
from tests.support.fleet import GROUP, Fleet

PROCESSES = 4
REPETITIONS = 3
MANY = 60  # names of hosts that are all the same supervisord: a check may visit it often

OPTIONS = ['-e', 'supervisor_group=' + GROUP, '-e', 'max_unavailable=1']
CONTROLLERS = ((5, 2), (50, 2), (50, 16), (500, 64))  # forks, cores
ALL_AT_ONCE = '{"at_a_time": "100%"}'


def main() -> int:
    """Measure, print the table, write fleet.csv, and return the exit status."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.fleet', description=__doc__)
    parser.add_argument('--results', type=Path, metavar='FOLDER', default=RESULTS,
                        help='where fleet.csv goes (default: %(default)s)')
    results = parser.parse_args().results
    rows = []
    with Fleet(6, PROCESSES) as fleet:
        first = fleet.hosts['host1']
        rows.append(measure('the script alone', 1, lambda: first.restart_group(
            '--max-unavailable', '1', GROUP).returncode))
        for hosts in (1, 6):
            rows.append(measure('the playbook', hosts, lambda: fleet.playbook(
                *OPTIONS, '-e', ALL_AT_ONCE, '--forks', '6', '--limit',
                ','.join(list(fleet.hosts)[:hosts])).status))  # noqa: B023
        for name in list(fleet.hosts)[1:]:
            fleet.hosts.pop(name).stop()
        for hosts in (1, MANY):
            fleet.hosts = {'host%d' % number: first for number in range(1, hosts + 1)}
            for forks in (5, 20):
                rows.append(measure('a check, %d forks' % forks, hosts, lambda: fleet.playbook(
                    *OPTIONS, '-e', ALL_AT_ONCE, '--check', '--forks', str(forks)).status))  # noqa: B023
        fleet.hosts = {'host1': first}
    print(markdown(rows))
    write(results, 'fleet', rows)
    one, six = rows[1:3]
    wait = float(one['seconds'])
    cpu = (float(six['CPU seconds']) - float(one['CPU seconds'])) / 5
    print('\nComputed, with %.2f seconds and %.2f CPU seconds for a host:\n' % (wait, cpu))
    computed = []
    for hosts in (10, 100, 1000, 10000):
        row: Dict[str, Any] = {'hosts': hosts, 'batches': len(batches(hosts))}
        for forks, cores in CONTROLLERS:
            row['forks %d, cores %d' % (forks, cores)] = _readable(
                deployment(hosts, forks, cores, wait, cpu))
        computed.append(row)
    print(markdown(computed))
    return 0


def batches(hosts: int) -> List[int]:
    """Return the sizes of the batches of `serial: [1, '10%']`."""
    size, sizes = max(1, hosts // 10), [1]
    while sum(sizes) < hosts:
        sizes.append(min(size, hosts - sum(sizes)))
    return sizes


def deployment(hosts: int, forks: int, cores: int, wait: float, cpu: float) -> float:
    """Return the seconds of a deployment on so many hosts.

    A host takes `wait` seconds, `forks` hosts are served at a time, and each costs Ansible `cpu`
    seconds of one of its `cores`. Each batch takes the longer of the two.
    """
    return sum(max(math.ceil(size / forks) * wait, size * cpu / cores) for size in batches(hosts))


def measure(what: str, hosts: int, run: Callable[[], int]) -> Dict[str, Any]:
    """Return a row: medians of the seconds, and of the CPU seconds, that `run` took.

    Raises AssertionError when `run` does not return 0.
    """
    seconds: List[float] = []
    cpu: List[float] = []
    for _ in range(REPETITIONS):
        began, used = time.monotonic(), _cpu()
        status = run()
        seconds.append(time.monotonic() - began)
        cpu.append(_cpu() - used)
        if status:
            raise AssertionError('%s: exit status %d' % (what, status))
    return {'what': what, 'hosts': hosts, 'seconds': '%.2f' % spread(seconds).median,
            'CPU seconds': '%.2f' % spread(cpu).median}


def _readable(seconds: float) -> str:
    if seconds < 120:
        return '%d s' % seconds
    return '%d min' % (seconds / 60) if seconds < 7200 else '%.1f h' % (seconds / 3600)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == '__main__':
    sys.exit(main())
