"""The tables of the documents, from the CSV files: `python -m benchmarks.tables`."""

import argparse
import sys
from pathlib import Path
from typing import Dict, List, Optional

from benchmarks.results import RESULTS, markdown, read

# The rows of the README's table, by the names in restarts.csv.
FAST = {
    'plugin, command': '`supervisorctl_restart_group`',
    'plugin': 'the same restart by XML-RPC, without starting a command',
    'floor': "Supervisor's own stop and start, without its waits",
    'supervisorctl restart': '`supervisorctl restart`',
    'circus restart': '`circusctl restart --waiting`',
    'pm2 restart': '`pm2 restart`',
}

# The other results that are shown, as they are.
SHOWN = ('floor', 'surge', 'latency', 'requests', 'broken-release', 'update', 'costs')


def fast(rows: List[Dict[str, str]]) -> List[Dict[str, str]]:
    """Return the table of seconds by the number of processes, with `startsecs=0`."""
    seconds = {(row['contender'], int(row['processes'])): float(row['seconds_median'])
               for row in rows if row['startsecs'] == '0'}
    sizes = sorted({size for _, size in seconds})
    return [dict({'processes': title}, **{str(size): _shown(seconds.get((name, size)))
                                          for size in sizes})
            for name, title in FAST.items()]


def _shown(seconds: Optional[float]) -> str:
    if seconds is None:
        return ''
    return '%.3f' % seconds if seconds < 0.01 else '%.2f' % seconds


def main() -> int:
    """Print the tables that there are results for."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.tables', description=__doc__)
    parser.add_argument('--results', type=Path, metavar='FOLDER', default=RESULTS,
                        help='where the CSV files are')
    folder = parser.parse_args().results
    tables: Dict[str, List[Dict[str, str]]] = {'restarts': fast(read(folder, 'restarts'))}
    tables.update((kind, read(folder, kind)) for kind in SHOWN)
    for name, rows in tables.items():
        if rows:
            print('%s\n\n%s\n' % (name, markdown(rows)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
