"""What the page costs a supervisord, and how fast it is: `python -m benchmarks.page`.

`python -m benchmarks.page --picture docs/page.png` takes the picture of the README. Both need
Debian's packages chromium and chromium-driver.
"""

import argparse
import http.client
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

from benchmarks.contenders import cpu_seconds
from benchmarks.results import RESULTS, write
from supervisor_restarter.page import page
from tests.support.browser import MISSING, Browser, there_is_one
from tests.support.daemon import MANNERS, Daemon, group, wait_until


def at_rest(browser: Browser, groups: int, size: int) -> List[Dict[str, Any]]:
    """Return what many processes cost that are only looked at, and how long others wait then."""
    names = ['g%04d' % number for number in range(groups)]
    what = '%d x %d at rest' % (groups, size)
    with Daemon(''.join(group(name, size, startsecs=1) for name in names), {'page': 'true'},
                inet=True, minfds=16384, loglevel='info') as daemon:
        wait_until(lambda: {info['statename'] for info in daemon.rpc.supervisor.getAllProcessInfo()
                            } == {'RUNNING'}, 'all are RUNNING', 300)
        browser.open('about:blank')
        alone = _share(daemon)
        began = time.monotonic()
        _open(browser, daemon, names[0])
        rows = [_row('%s: until the page is there' % what, time.monotonic() - began, 's')]
        rows.append(_row('%s: more CPU while the page is open' % what,
                         100 * (_share(daemon) - alone), '%'))
        opened = '&'.join('group=%s' % name for name in names[:200])
        for kind, query in (('closed', ''), ('all open', opened), ('filtered', 'find=7')):
            answers, waits = _others(daemon, query)
            rows += [_row('%s: answer, %s' % (what, kind), 1e3 * statistics.median(answers), 'ms'),
                     _row('%s: worst other call, %s' % (what, kind), 1e3 * max(waits), 'ms')]
    return rows


def _share(daemon: Daemon, seconds: float = 20) -> float:
    """Return how much of a core supervisord uses."""
    time.sleep(2)  # What was before is over.
    before = cpu_seconds(daemon.pid)
    time.sleep(seconds)
    return (cpu_seconds(daemon.pid) - before) / seconds


def _others(daemon: Daemon, query: str) -> Tuple[List[float], List[float]]:
    """Return how long answers of the status take, and calls of somebody else meanwhile."""
    answers: List[float] = []

    def ask() -> None:
        asked = http.client.HTTPConnection('127.0.0.1', daemon.port, timeout=20)
        for _ in range(40):
            begin = time.monotonic()
            asked.request('GET', '/restarter/status?' + query)
            asked.getresponse().read()
            answers.append(time.monotonic() - begin)
            time.sleep(0.05)
        asked.close()
    thread = threading.Thread(target=ask)
    thread.start()
    waits = []
    with daemon.connection() as rpc:
        while thread.is_alive():
            begin = time.monotonic()
            rpc.supervisor.getState()
            waits.append(time.monotonic() - begin)
            time.sleep(0.02)
    return answers, waits


def picture(path: Path, width: int, height: int, dark: bool) -> None:
    """Take a picture of the page in the middle of a rolling restart."""
    rest = ('cache', 'cron', 'images', 'metrics', 'orders', 'search')
    programs = (group('app', 10, MANNERS['late'], startsecs=1, stdout_logfile='AUTO')
                + group('mail', 2, MANNERS['exits 1'], startsecs=1, startretries=0)
                + ''.join(group(name, size) for size, name in enumerate(rest, 1)))
    with Browser() as browser, Daemon(programs, {
            'page': 'true', 'timeout': 30, 'app.max_unavailable': 3, 'orders.max_surge': 1,
            'search.stagger_factor': 2}, inet=True) as daemon:
        browser.resize(width, height, dark)
        daemon.wait_running('app')
        wait_until(lambda: set(daemon.states('mail').values()) == {'FATAL'}, 'mail has failed')
        daemon.rpc.restarter.restartProcessGroup('images')
        _open(browser, daemon, 'mail')
        browser.run("press('restart', known.get('mail'))")
        browser.wait_text('[aria-label="Group mail"] .last', 'restarted 0 of 2')
        browser.run("press('restart', known.get('app'))")
        browser.wait_text('[aria-label="Group app"] .last', ', 3 restarted')
        time.sleep(0.3)
        path.write_bytes(browser.picture())


def _open(browser: Browser, daemon: Daemon, name: str) -> None:
    browser.open(daemon.inet_url + '/restarter/')
    browser.wait_text('#groups', name)
    browser.run('known.get(arguments[0]).open = true; look()', name)
    browser.wait_text('.rows', name)


def _row(what: str, value: float, unit: str) -> Dict[str, Any]:
    print('  %-58s %8.3f %s' % (what, value, unit), flush=True)
    return {'what': what, 'value': '%.3f' % value, 'unit': unit}


def main() -> int:
    """Measure the page."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.page', description=__doc__)
    parser.add_argument('--results', type=Path, metavar='FOLDER', default=RESULTS,
                        help='where page.csv goes')
    parser.add_argument('--picture', type=Path, metavar='FILE', help='only take a picture')
    parser.add_argument('--size', type=int, nargs=2, default=(1100, 940), metavar='N',
                        help='width and height of the picture')
    parser.add_argument('--dark', action='store_true', help='take it in dark mode')
    options = parser.parse_args()
    if not there_is_one():
        print(MISSING, file=sys.stderr)
        return 1
    if options.picture:
        picture(options.picture, *options.size, options.dark)
        return 0
    rows = [_row('page with script and style', len(page()) / 1000, 'kB')]
    with Browser() as browser:
        for groups, size in ((30, 5), (1, 2000), (30, 66), (2000, 1)):
            rows += at_rest(browser, groups, size)
    write(options.results, 'page', rows)
    return 0


if __name__ == '__main__':
    sys.exit(main())
