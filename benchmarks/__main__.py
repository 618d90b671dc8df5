"""Measure: `python -m benchmarks --help`."""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, NamedTuple

from benchmarks import (
    costs,
    engine,
    floor,
    readiness,
    reliability,
    requests_under_restart,
    restarts,
    timeline,
)
from benchmarks.others import find_pm2
from benchmarks.results import RESULTS, machine, write

Options = argparse.Namespace


class Part(NamedTuple):
    """What is measured, how many minutes that takes on two cores, and what does it."""

    what: str
    minutes: int
    measure: Callable[[Options], object]


def _restarts(options: Options) -> None:
    sizes = options.sizes or ([1, 10] if options.quick else restarts.SIZES)
    repetitions = options.repetitions or (3 if options.quick else 12)
    plan = restarts.Plan(tuple(sorted(sizes)), repetitions, 2.0 if options.quick else 9.0,
                         tuple(options.only))
    restarts.report(plan, options.pm2, options.results)


def _page(options: Options) -> None:
    subprocess.run([sys.executable, '-m', 'benchmarks.page', '--results', str(options.results)],
                   check=True)


PARTS: Dict[str, Part] = {
    'restarts': Part('every contender, in groups of 1 to 1000', 32, _restarts),
    'floor': Part('a restart beside the least that it can take', 6, lambda options: floor.report(
        floor.measure(options.quick), options.results)),
    'requests': Part('a web application that is restarted under load', 11, lambda options:
                     requests_under_restart.report(1 if options.quick else 5, options.results)),
    'reliability': Part('what is left down after a fault', 7, lambda options: reliability.report(
        options.only)),
    'readiness': Part('what a declared readiness is worth', 3, lambda options: readiness.report(
        options.only, options.results)),
    'engine': Part('the engine alone, up to 10,000 simulated processes', 3, lambda options:
                   engine.report(engine.SIZES[:options.quick and 2 or None], options.results)),
    'costs': Part('what the parts of the plugin cost a supervisord', 1, lambda options:
                  costs.report(options.results)),
    'timeline': Part('two restarts as they happen, for the picture', 1, lambda options:
                     timeline.report(options.results)),
    'page': Part('what the page costs, in a real browser', 4, _page),
}


def main() -> int:
    """Measure what is asked for."""
    options = _options()
    began = time.monotonic()
    options.pm2 = find_pm2(install=bool({'restarts', 'requests'} & set(options.parts)))
    write(options.results, 'machine', machine(options.pm2))
    for name, part in PARTS.items():
        if name in options.parts:
            print('\n== %s: %s' % (name, part.what), flush=True)
            part.measure(options)
    print('\n%d seconds; the results are in %s' % (time.monotonic() - began, options.results))
    return 0


def _options() -> Options:
    table = '\n'.join('  %-12s %-52s %2d minutes' % (name, part.what, part.minutes)
                      for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks', description='parts:\n' + table,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS),
                        metavar='PART', help='what to measure (default: everything)')
    parser.add_argument('--quick', action='store_true', help='few repetitions and small groups')
    parser.add_argument('--results', type=Path, metavar='FOLDER', default=RESULTS,
                        help='where the CSV files go (default: %(default)s)')
    parser.add_argument('--only', nargs='+', metavar='NAME', default=[],
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
    sys.exit(main())
