"""Statistics of samples, and the CSV files that the pictures are made from."""

import argparse
import csv
import datetime
import math
import os
import platform
import re
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

Options = argparse.Namespace  # what `python -m benchmarks --help` says; and `pm2`, its program


class Sample(NamedTuple):
    """One restart: seconds from the call until all were up, and CPU seconds of the daemon."""

    seconds: float
    cpu: float


def summary(contender: str, size: int, startsecs: int, samples: Sequence[Sample]) -> Dict[str, Any]:
    """Return the row of restarts.csv for the samples of a contender.

    The deviation is the median absolute deviation from the median.
    """
    row = {'contender': contender, 'processes': size, 'startsecs': startsecs,
           'repetitions': len(samples)}
    for name, values in zip(Sample._fields, zip(*samples)):
        median = statistics.median(values)
        deviation = statistics.median(abs(value - median) for value in values)
        for field, value in (('median', median), ('lowest', min(values)),
                             ('highest', max(values)), ('deviation', deviation)):
            row['%s_%s' % (name, field)] = '%.6f' % value
    return row


class Line(NamedTuple):
    """One line of a table of figures. `seen` may be at most `most`, which may be infinite."""

    what: str
    unit: str
    seen: float
    most: float = math.inf


def table(lines: Iterable[Line], folder: Path, kind: str) -> None:
    """Print lines as they come, what is allowed beside what was seen, and write KIND.csv."""
    rows: List[Dict[str, Any]] = []
    print('  %-70s %9s %9s' % ('what', 'allowed', 'seen'))
    for line in lines:
        limited, verdict = line.most < math.inf, 'met' if line.seen <= line.most else 'missed'
        rows.append({'what': line.what, 'unit': line.unit,
                     'allowed': '%.4g' % line.most if limited else '',
                     'seen': '%.4g' % line.seen, 'verdict': verdict if limited else ''})
        print('  %(what)-70s %(allowed)9s %(seen)9s  %(unit)-3s %(verdict)s' % rows[-1], flush=True)
    write(folder, kind, rows)


def write(folder: Path, kind: str, rows: Sequence[Dict[str, Any]]) -> None:
    """Write the rows to KIND.csv in the folder; there is no such file when there are none."""
    path = folder / ('%s.csv' % kind)
    if not rows:
        if path.exists():
            path.unlink()
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(str(path), 'w', newline='') as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


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
    found = re.search(r'^%s\s*: *(.*)$' % name, Path(path).read_text(), re.MULTILINE)
    return found.group(1) if found else ''


def _output(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          universal_newlines=True)
    words = done.stdout.split()
    return words[-1] if words else 'unknown'
