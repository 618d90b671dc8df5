"""What the page costs a supervisord, and how fast it is: `python -m benchmarks.page`.

`python -m benchmarks.page --picture docs/page.png` takes the picture of the README. Both need
Debian's packages chromium and chromium-driver.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

from benchmarks.contenders import cpu_seconds
from benchmarks.results import RESULTS, write
from tests.support.browser import MISSING, Browser, there_is_one
from tests.support.daemon import MANNERS, Daemon, group, wait_until

PAGE = Path(__file__).parent.parent / 'supervisor_restarter' / 'page.html'

WATCHED = 100
WAYS = (('all at once', 0, {}), ('rolling, 10 at a time', 1, {'max_unavailable': 10}))

# Looks at the bars each time that the page draws them.
OBSERVER = """
window.moves = [];
window.observer ||= new MutationObserver(() => { moves.push(performance.now()); });
observer.observe(document.querySelector(arguments[0]),
                 {attributes: true, attributeFilter: ['viewBox']});
"""


def cpu(browser: Browser, times: int) -> List[Dict[str, Any]]:
    """Return the ratio of supervisord's CPU for a restart that the page watches to one alone."""
    rows = []
    for name, startsecs, options in WAYS:
        settings = dict(options, page='true', timeout=60)
        with Daemon(group('web', WATCHED, startsecs=startsecs), settings, inet=True,
                    loglevel='info') as daemon:
            daemon.wait_running('web')
            alone, watched = [], []
            for _ in range(times):
                alone.append(_restart(daemon, lambda: daemon.rpc.restarter.restartProcessGroup(
                    'web', {'wait': False})))
                browser.open(daemon.inet_url + '/restarter/')
                wait_until(lambda: _drawn(browser) == WATCHED, 'the page is drawn')
                watched.append(_restart(daemon, lambda: browser.click('.restart')))
                browser.open('about:blank')
        for what, values in (('alone', alone), ('watched', watched)):
            rows.append(_row('CPU of a restart of %d, %s, %s' % (WATCHED, name, what),
                             statistics.median(values), 's'))
        rows.append(_row('ratio, %s' % name,
                         statistics.median(watched) / statistics.median(alone), 'times'))
    return rows


def _restart(daemon: Daemon, begin: Any) -> float:
    """Return the CPU seconds that supervisord uses from before a restart until it is at rest."""
    ended = daemon.log().count('restarter: web: restarted ')
    time.sleep(1)  # What was before is over.
    before = cpu_seconds(daemon.pid)
    begin()
    # The log is read: a call would be a cost of its own.
    wait_until(lambda: daemon.log().count('restarter: web: restarted ') > ended, 'it has ended', 60)
    time.sleep(1)  # The page has seen the end.
    return cpu_seconds(daemon.pid) - before


def fleet(browser: Browser, groups: int = 10, size: int = 100) -> List[Dict[str, Any]]:
    """Return how soon the page shows many processes, and how often their bars move."""
    names = ['g%d' % number for number in range(groups)]
    with Daemon(''.join(group(name, size, startsecs=1) for name in names),
                {'page': 'true', 'timeout': 60, 'max_unavailable': 10}, inet=True, minfds=16384,
                loglevel='info') as daemon:
        for name in names:
            daemon.wait_running(name, 60)
        opened = []
        for _ in range(5):
            browser.open('about:blank')
            began = time.monotonic()
            browser.open(daemon.inet_url + '/restarter/')
            wait_until(lambda: _drawn(browser) == groups * size, 'the page is drawn')
            opened.append(time.monotonic() - began)
        rows = [_row('until the page shows %d processes' % (groups * size),
                     statistics.median(opened), 's')]
        for what, restarted in (('one group', names[:1]), ('all groups', names)):
            browser.run(OBSERVER, '[aria-label="Group %s"] .bar' % names[0])
            for name in restarted:
                browser.run('document.querySelector(arguments[0]).click()',
                            '[aria-label="Restart %s"]' % name)
            wait_until(lambda: len(browser.run('return moves')) > 1, 'its bars move')
            wait_until(lambda: browser.run('return [...drawn.values()].every(it => !it.runs)'),
                       'the restart has ended', 120)
            moves = browser.run('return moves')
            gaps = [later - earlier for earlier, later in zip(moves, moves[1:])]
            rows.append(_row('bars move, %s of %d restarts' % (what, size),
                             1e3 / statistics.median(gaps), 'times a second'))
            rows.append(_row('longest time without, %s' % what, max(gaps) / 1e3, 's'))
    return rows


def picture(path: Path, width: int, height: int, dark: bool) -> None:
    """Take a picture of the page in the middle of a rolling restart."""
    programs = (group('app', 12, MANNERS['late'], startsecs=1)
                + group('mail', 2, MANNERS['exits 1'], startsecs=1, startretries=0)
                + group('web', 3))
    with Browser() as browser, Daemon(programs, {'page': 'true', 'timeout': 30,
                                                 'app.max_unavailable': 3}, inet=True) as daemon:
        browser.resize(width, height, dark)
        daemon.wait_running('app')
        wait_until(lambda: set(daemon.states('mail').values()) == {'FATAL'}, 'mail has failed')
        browser.open(daemon.inet_url + '/restarter/')
        wait_until(lambda: _drawn(browser) == 17, 'the page is drawn')
        browser.click('[aria-label="Restart mail"]')
        browser.wait_text('#message', 'mail: restarted 0 of 2')
        browser.click('[aria-label="Restart app"]')
        browser.wait_text('[aria-label="Group app"] .progress', '6 restarted')
        path.write_bytes(browser.picture())


def _drawn(browser: Browser) -> int:
    return browser.run("return document.querySelectorAll('.rows li').length")


def _row(what: str, value: float, unit: str) -> Dict[str, Any]:
    print('  %-58s %8.3f %s' % (what, value, unit), flush=True)
    return {'what': what, 'value': '%.3f' % value, 'unit': unit}


def main() -> int:
    """Measure the page."""
    parser = argparse.ArgumentParser(prog='python -m benchmarks.page', description=__doc__)
    parser.add_argument('--results', type=Path, metavar='FOLDER', default=RESULTS,
                        help='where page.csv goes')
    parser.add_argument('--times', type=int, default=5, metavar='N', help='restarts of each kind')
    parser.add_argument('--picture', type=Path, metavar='FILE', help='only take a picture')
    parser.add_argument('--size', type=int, nargs=2, default=(870, 850), metavar='N',
                        help='width and height of the picture')
    parser.add_argument('--dark', action='store_true', help='take it in dark mode')
    options = parser.parse_args()
    if not there_is_one():
        print(MISSING, file=sys.stderr)
        return 1
    if options.picture:
        picture(options.picture, *options.size, options.dark)
        return 0
    rows = [_row('page with script and style', PAGE.stat().st_size / 1000, 'kB')]
    with Browser() as browser:
        rows += cpu(browser, options.times) + fleet(browser)
    write(options.results, 'page', rows)
    return 0


if __name__ == '__main__':
    sys.exit(main())
