"""Measure: `python -m benchmarks --help`."""

import argparse
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, NamedTuple, Optional

from benchmarks import (
    costs,
    engine,
    floor,
    page,
    readiness,
    reliability,
    requests_under_restart,
    restarts,
    timeline,
)
from benchmarks.others import find_pm2
from benchmarks.results import RESULTS, Line, Options, machine, table, write


class Part(NamedTuple):
    """What is measured, how many minutes that takes on two cores, and what does it.

    That returns the lines of its table, or prints and writes by itself.
    """

    what: str
    minutes: int
    measure: Callable[[Options], Optional[Iterator[Line]]]


PARTS: Dict[str, Part] = {
    'restarts': Part('every contender, in groups of 1 to 1000', 32, restarts.measure),
    'floor': Part('a restart beside the least that it can take', 6, floor.measure),
    'requests': Part('a web application that is restarted under load', 11,
                     requests_under_restart.measure),
    'reliability': Part('what is left down after a fault', 7, reliability.measure),
    'readiness': Part('what a declared readiness is worth', 3, readiness.measure),
    'engine': Part('the engine alone, up to 10,000 simulated processes', 3, engine.measure),
    'costs': Part('what the parts of the plugin cost a supervisord', 1, costs.measure),
    'timeline': Part('two restarts as they happen, for the picture', 1, timeline.measure),
    'page': Part('what the page costs, in a real browser', 4, page.measure),
}


def main() -> None:
    """Measure what is asked for."""
    options, began = _options(), time.monotonic()
    options.only = tuple(options.only)  # as startswith wants it
    options.pm2 = find_pm2(install=bool({'restarts', 'requests'} & set(options.parts)))
    write(options.results, 'machine', machine(options.pm2))
    for name, part in PARTS.items():
        if name in options.parts:
            print('\n== %s: %s' % (name, part.what), flush=True)
            lines = part.measure(options)
            if lines is not None:
                table(lines, options.results, name)
    print('\n%d seconds; the results are in %s' % (time.monotonic() - began, options.results))


def _options() -> Options:
    parts = '\n'.join('  %-12s %-52s %2d minutes' % (name, part.what, part.minutes)
                      for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks', description='parts:\n' + parts,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS),
                        metavar='PART', help='what to measure (default: everything)')
    parser.add_argument('--quick', action='store_true', help='few repetitions and small groups')
    parser.add_argument('--results', type=Path, metavar='FOLDER', default=RESULTS,
                        help='where the CSV files go (default: %(default)s)')
    parser.add_argument('--only', nargs='+', metavar='NAME', default=[''],
                        help='only what begins like this: contenders of restarts (see '
                        'restarts.csv), rows of reliability, parts of readiness')
    parser.add_argument('--sizes', nargs='+', type=_count, metavar='N',
                        help='processes in a group of restarts')
    parser.add_argument('--repetitions', type=_count, metavar='N',
                        help='at most so many restarts by each contender, after one to warm up')
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError('%s: must be a whole number, 1 or greater' % text)
    return int(text)


if __name__ == '__main__':
    main()
