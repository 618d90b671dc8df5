"""What the page costs a supervisord, and how fast it is.

`python -m benchmarks.page docs` takes the pictures of it that are in docs. Both need Debian's
packages chromium and chromium-driver.
"""

import argparse
import contextlib
import statistics
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Iterator

from benchmarks.contenders import cpu_seconds
from benchmarks.results import Line, Options
from supervisor_restarter.page import page
from tests.support.browser import MISSING, Browser, there_is_one
from tests.support.daemon import MANNERS, Daemon, group, wait_until
from tests.support.faults import Caller
from tests.support.load import connect

SIZES = (30, 5), (1, 2000), (30, 66), (2000, 1)
PICTURES = ('page.png', 1100, 840, False), ('page-narrow.png', 400, 820, True)


def measure(options: Options) -> Iterator[Line]:
    """Yield the lines of the table; `quick` with few processes."""
    yield Line('page with script and style', 'kB', len(page()) / 1000)
    if not there_is_one():
        print('  the rest ' + MISSING)
        return
    with Browser() as browser:
        for groups, size in SIZES[:1] if options.quick else SIZES:
            yield from _at_rest(browser, groups, size)


def _at_rest(browser: Browser, groups: int, size: int) -> Iterator[Line]:
    """Yield what many processes cost that are only looked at, and how long others wait then."""
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
        yield Line('%s: until the page is there' % what, 's', time.monotonic() - began)
        yield Line('%s: more CPU while the page is open' % what, '%',
                   100 * (_share(daemon) - alone))
        opened = '&'.join('group=%s' % name for name in names[:200])
        for kind, query in (('closed', ''), ('all open', opened), ('filtered', 'find=7')):
            with Caller(daemon, pause=0.02) as caller, contextlib.closing(
                    connect(('127.0.0.1', daemon.port), 20)) as asked:
                answers = [_answer(asked, query) for _ in range(40)]
            yield Line('%s: answer, %s' % (what, kind), 'ms', 1e3 * statistics.median(answers))
            yield Line('%s: worst other call, %s' % (what, kind), 'ms', 1e3 * max(caller.waits))


def _share(daemon: Daemon, seconds: float = 20) -> float:
    """Return how much of a core supervisord uses."""
    time.sleep(2)  # What was before is over.
    before = cpu_seconds(daemon.pid)
    time.sleep(seconds)
    return (cpu_seconds(daemon.pid) - before) / seconds


def _answer(asked: HTTPConnection, query: str) -> float:
    """Return the seconds that an answer of the status takes."""
    time.sleep(0.05)
    begin = time.monotonic()
    asked.request('GET', '/restarter/status?' + query)
    asked.getresponse().read()
    return time.monotonic() - begin


def picture(path: Path, width: int, height: int, dark: bool) -> None:
    """Take a picture of the page in the middle of a rolling restart, with a group that failed."""
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


if __name__ == '__main__':
    parser = argparse.ArgumentParser(prog='python -m benchmarks.page', description=__doc__)
    parser.add_argument('folder', type=Path, help='where the pictures go')
    for name, *looks in PICTURES:
        picture(parser.parse_args().folder / name, *looks)
