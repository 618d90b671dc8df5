"""Statistics of samples, and the CSV files that the pictures are made from."""

import csv
import datetime
import math
import os
import platform
import statistics
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence

# Not benchmarks/results, which is in the repository: that has to be asked for.
RESULTS = Path(__file__).parent.parent / 'build' / 'benchmarks'

PACKAGES = ('supervisor', 'supervisor-restarter', 'supervisor-wildcards',
            'supervisor-serialrestart', 'circus', 'pyzmq', 'tornado', 'uvicorn',
            'uvicorn-worker', 'gunicorn', 'ansible-core', 'matplotlib')


class Sample(NamedTuple):
    """One restart: seconds from the call until all were up, and CPU seconds of the daemon."""

    seconds: float
    cpu: float


class Spread(NamedTuple):
    """A median, and what lies around it."""

    median: float
    lowest: float
    highest: float
    deviation: float  # median absolute deviation from the median


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the spread of some values; raises ValueError when there are none."""
    if not values:
        raise ValueError('no values')
    median = statistics.median(values)
    deviation = statistics.median(abs(value - median) for value in values)
    return Spread(median, min(values), max(values), deviation)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def summary(contender: str, size: int, startsecs: int, samples: Sequence[Sample]) -> Dict[str, Any]:
    """Return the row of restarts.csv for the samples of a contender."""
    seconds = spread([sample.seconds for sample in samples])
    cpu = spread([sample.cpu for sample in samples])
    row = {'contender': contender, 'processes': size, 'startsecs': startsecs,
           'repetitions': len(samples)}
    for name, values in (('seconds', seconds), ('cpu', cpu)):
        for field, value in values._asdict().items():
            row['%s_%s' % (name, field)] = '%.6f' % value
    return row


def allowed(floor: float) -> float:
    """Return the seconds that a restart may take where its floor takes `floor` seconds."""
    return 1.05 * floor + 0.010


def write(folder: Path, kind: str, rows: Iterable[Dict[str, Any]]) -> Optional[Path]:
    """Write the rows to KIND.csv in the folder; there is no such file when there are none."""
    rows = list(rows)
    path = folder / ('%s.csv' % kind)
    if not rows:
        if path.exists():
            path.unlink()
        return None
    folder.mkdir(parents=True, exist_ok=True)
    with open(str(path), 'w', newline='') as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(folder: Path, kind: str) -> List[Dict[str, str]]:
    """Return the rows of KIND.csv in the folder; none when there is no such file."""
    path = folder / ('%s.csv' % kind)
    if not path.exists():
        return []
    with open(str(path), newline='') as stream:
        return list(csv.DictReader(stream))


def markdown(rows: Sequence[Dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [list(rows[0]), ['---'] + ['---:'] * (len(rows[0]) - 1)]
    lines += [[str(value) for value in row.values()] for row in rows]
    return '\n'.join('| %s |' % ' | '.join(line) for line in lines)


def machine(pm2: Optional[Path] = None) -> List[Dict[str, str]]:
    """Return what a reader has to know about the machine, as rows of machine.csv."""
    facts = {
        'date': datetime.date.today().isoformat(),
        'cpu': _line_of('/proc/cpuinfo', 'model name') or platform.machine(),
        'cores': str(os.cpu_count()),
        'memory': _line_of('/proc/meminfo', 'MemTotal'),
        'kernel': '%s %s' % (platform.system(), platform.release()),
        'python': platform.python_version(),
    }
    for package in PACKAGES:
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            facts[package] = 'not installed'
    if pm2 is not None:
        facts['pm2'] = _output(str(pm2), '--version')
        facts['node'] = _output('node', '--version')
    return [{'what': what, 'value': value} for what, value in facts.items()]


def _line_of(path: str, name: str) -> str:
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(name):
                return line.split(':', 1)[1].strip()
    except OSError:  # no /proc here
        pass
    return ''


def _output(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          universal_newlines=True)
    lines = done.stdout.split()
    return lines[-1] if lines else 'unknown'
