"""The page as people see it: a real supervisord, and a real browser."""

import contextlib
import functools
import http.server
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.support.browser import MISSING, Browser, there_is_one
from tests.support.daemon import MANNERS, Daemon, group, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not there_is_one(), reason=MISSING)]

AXE = Path(__file__).parents[2] / 'build/npm/node_modules/axe-core/axe.min.js'

ODD = '<b>odd"\'&lt;'
# The processes of `web` and `slow` stop when a test lets them go.
PROGRAMS = (group('web', 4, MANNERS['held back'], stopwaitsecs=60, stdout_logfile='AUTO')
            + group('slow', 2, MANNERS['held back'], stopwaitsecs=60)
            + group('bad', 2, MANNERS['exits 1'], startsecs=1, startretries=0) + group(ODD, 1))
OPTIONS = {'page': 'true', 'timeout': 30, 'web.max_unavailable': 1}


@pytest.fixture(scope='module')
def browser():
    with Browser() as browser:
        yield browser


@contextlib.contextmanager
def supervisord(browser, programs, **settings):
    with Daemon(programs, OPTIONS, inet=True, **settings) as daemon:
        yield daemon
        browser.open('about:blank')


@pytest.fixture
def daemon(browser):
    with supervisord(browser, PROGRAMS) as daemon:
        daemon.wait_running('web')
        daemon.wait_running('slow')
        wait_until(lambda: set(daemon.states('bad').values()) == {'FATAL'}, 'they have failed')
        see(browser, daemon.inet_url)
        yield daemon


def see(browser, url):
    browser.resize(900, 700)
    browser.open(url + '/restarter/')
    browser.wait_text('#groups', 'web')


def part(name, selector):
    return '[aria-label="Group %s"] %s' % (name.replace('"', '\\"'), selector)


def row(name, process, selector=''):
    return part(name, 'tr:has([aria-label="Restart %s:%s"]) %s' % (name, process, selector))


def press(browser, name, button='.restart', answer=None, meanwhile=lambda: None):
    """Press a button of a group, and then one of those that it is asked with."""
    browser.click(part(name, button))
    if answer:
        wait_until(lambda: browser.run('return document.querySelector("dialog").open'), 'it asks')
        meanwhile()
        browser.click('dialog button:nth-child(%d)' % answer)


def shares(browser, name):
    """Return, for each bar of a group, its phases with their shares."""
    return browser.run("""
        return [...document.querySelectorAll(arguments[0])].map(bar => [...bar.children].map(
            part => [part.className, part.style.flexGrow / 1000]))
        """, part(name, '.course .bar'))


def order(browser):
    return browser.run("return [...document.querySelectorAll('section h2')]"
                       '.map(it => it.textContent)')


def asked_at(browser, path='/status'):
    """Return when the page has asked supervisord for something, in milliseconds."""
    return browser.run("return performance.getEntriesByType('resource')"
                       '.filter(entry => entry.name.includes(arguments[0]))'
                       '.map(entry => entry.startTime)', path)


def refused(daemon):
    return daemon.log().count('refused a request to the page')


# What is shown

def test_a_click_restarts_the_bars_move_and_end_and_then_the_page_rests(browser, daemon):
    before = daemon.pids('web')
    press(browser, 'web')
    browser.wait_text(part('web', '.last'), 'restarting: 3 waiting, 1 stopping')
    seen = []

    def moved():
        now = shares(browser, 'web')
        if now and now not in seen:
            seen.append(now)
        return len(seen) >= 3
    wait_until(moved, 'the bars have moved twice')
    daemon.let_go()
    browser.wait_text(part('web', '.last'), 'restarted 4 of 4 in ')
    assert not set(before.values()) & set(daemon.wait_running('web').values())
    for parts in shares(browser, 'web'):
        assert [phase for phase, _ in parts] in (
            ['waiting', 'stopping', 'starting', 'restarted'], ['waiting', 'stopping', 'restarted'])
        assert sum(share for _, share in parts) == pytest.approx(1, abs=0.01)
    assert browser.text(part('web', '.rows td.phase')).startswith('restarted after ')
    before = len(asked_at(browser))
    time.sleep(2)  # in which it would ask three times while something restarts
    assert len(asked_at(browser)) <= before + 1


def test_what_others_do_is_seen_at_rest_within_seconds(browser, daemon):
    daemon.rpc.restarter.restartProcessGroup('slow', {'wait': False})
    browser.wait_text(part('slow', '.last'), 'restarting: 2 stopping')
    daemon.rpc.restarter.cancelRestart('slow')
    browser.wait_text(part('slow', '.last'), 'settling')
    daemon.let_go()
    browser.wait_text(part('slow', '.last'), 'restarted 2 of 2')
    daemon.rpc.supervisor.stopProcess('web:web_002')
    browser.wait_text(part('web', '.states'), '1 STOPPED')
    # On a busy machine it takes longer, so that only this can be held to the figures.
    assert browser.run('return REST <= 4000 && RUN <= 800 && OLD <= 5000')


def test_of_a_process_its_state_pid_and_uptime_are_shown_with_a_link_to_its_log(browser, daemon):
    press(browser, 'web', '.name')
    browser.wait_text(part('web', '.rows'), 'web_003')
    assert browser.text(row('web', 'web_001', '.pid')) == str(daemon.pids('web')['web_001'])
    assert browser.text(row('web', 'web_001', '.up')).endswith(' s')
    assert browser.text(part('bad', '.note')) == 'Exited too quickly (process log may have details)'
    browser.click(row('web', 'web_001', '.logs a'))
    browser.wait_text('title', 'tail of process web:web_001')


def test_those_that_fail_are_open_and_on_top_the_others_closed_until_they_are_opened(browser,
                                                                                     daemon):
    assert order(browser) == ['bad', ODD, 'slow', 'web']
    assert browser.text(part('bad', '.states')) == '2 FATAL'
    browser.wait_text(part('bad', '.rows'), 'bad_001')
    assert browser.run("return document.querySelectorAll('.rows:not([hidden] *)').length") == 1
    browser.wait_text('#numbers', '4 groups, 9 processes')
    assert browser.run('return document.title') == '(1!) Supervisor groups'


def test_a_failure_stays_when_another_group_has_succeeded(browser, daemon):
    press(browser, 'bad', answer=1)
    browser.wait_text(part('bad', '.last'), 'restarted 0 of 2 in ')
    browser.wait_text(part('bad', '.faults'), 'bad_001: START_FAILED: Exited too quickly')
    press(browser, ODD)
    browser.wait_text('#said', ODD + ': restarted 1 of 1 in ')
    assert browser.text(part('bad', '.last')).startswith('restarted 0 of 2 in ')
    assert '1 restart failed' in browser.text('#numbers')


def test_the_filter_shows_groups_processes_and_states(browser, daemon):
    tab = '\ue004'
    browser.click('#filter')
    for text, found in (('B_003', ['web']), ('fatal', ['bad']), ('SLO', ['slow']), ('q', [])):
        browser.run("document.querySelector('#filter').value = ''")
        browser.press(*text)
        wait_until(lambda found=found: order(browser) == found, 'they are found')
    browser.wait_text('#none', 'No group and no process has “q” in its name')
    browser.press('\ue003', tab)  # backspace
    wait_until(lambda: len(order(browser)) == 4, 'all are shown')
    browser.click('#numbers .error')
    wait_until(lambda: order(browser) == ['bad'], 'those that are FATAL are shown')


def test_a_name_is_a_name_whatever_is_in_it(browser, daemon):
    assert browser.run("return document.querySelectorAll('#groups b').length") == 0
    before = daemon.pids(ODD)
    browser.run("document.querySelectorAll('section .restart')[1].click()")
    browser.wait_text('#said', ODD + ': restarted 1 of 1 in ')
    assert not set(before.values()) & set(daemon.pids(ODD).values())


def test_a_slot_without_changes_is_shown(browser, daemon):
    browser.run("""
        clearTimeout(timer);
        shown = looks + 1;  // no answer that is on its way is drawn after it
        draw({now: 1, groups: [{name: 'g', total: 1, states: {STOPPED: 1}, rank: 2, way: '',
            restart: {state: 'RESTARTING', total: 1, waiting: 1, elapsed: 1, faults: 0},
            rows: [['p', 'STOPPED', 0, 0, 0, '', 0, ['waiting', []]]], faults: [], warnings: []}],
          left_out: 0, all: 1, states: {STOPPED: 1}, restarting: 1, failed: 0, identifier: ''});
        """)
    assert browser.text(row('g', 'p', '.phase')) == 'waiting'


# What can be done

def test_the_button_says_what_it_does_and_does_it(browser, daemon):
    daemon.let_go()
    assert browser.text(part('web', '.restart')) == 'Restart, at most 1 down'
    assert browser.text(part(ODD, '.restart')) == 'Restart'
    press(browser, 'web', '.name')
    for way, label, said in (
            ('one', 'Restart one at a time', 'rolling, at most 1 down'),
            ('surge', 'Restart new before old', 'rolling, at most 1 more than the group has')):
        browser.click(part('web', '.way [value=%s]' % way))
        assert browser.text(part('web', '.restart')) == label
        press(browser, 'web')
        wait_until(lambda said=said: 'web: restarting 4 processes, %s\n' % said in daemon.log(),
                   'it is restarted so')
        browser.wait_text(part('web', '.last'), 'restarted 4 of 4')


def test_all_at_once_is_asked_for_first(browser, daemon):
    assert browser.text(part('slow', '.restart')) == 'Restart all at once'
    press(browser, 'slow', answer=3)
    press(browser, 'slow', answer=2)
    wait_until(lambda: 'slow: restarting 2 processes, rolling, at most 1 down\n' in daemon.log(),
               'one at a time instead')
    assert daemon.log().count('slow: restarting') == 1
    press(browser, 'bad', answer=1)
    browser.wait_text(part('bad', '.last'), 'restarted 0 of 2')
    assert browser.text(part('bad', '.resume')) == 'Restart the 2 that are left all at once'
    press(browser, 'bad', '.resume', answer=3)


def test_one_process_is_restarted_alone(browser, daemon):
    daemon.let_go()
    before = daemon.pids('web')
    press(browser, 'web', '.name')
    browser.wait_text(part('web', '.rows'), 'web_003')
    browser.click(row('web', 'web_002', 'button'))
    browser.wait_text(part('web', '.last'), 'restarted 1 of 1')
    after = daemon.wait_running('web')
    assert [name for name in after if after[name] != before[name]] == ['web_002']
    assert browser.text(part('web', '.resume')) == 'Restart the 3 that are left, at most 1 down'


def test_what_is_left_as_it_was_says_so_and_can_be_resumed(browser, daemon):
    before = daemon.pids('web')
    press(browser, 'web')
    browser.wait_text(part('web', '.last'), 'restarting: ')
    press(browser, 'web', '.cancel')
    daemon.let_go()
    browser.wait_text(part('web', '.last'), 'left as they were')
    browser.wait_text(part('web', '.faults'), 'CANCELLED: cancelled, ')
    browser.wait_text(part('web', '.rows'), 'left as it was')
    assert 'waiting' not in browser.text(part('web', '.rows'))
    done = {name for name, pid in daemon.wait_running('web').items() if pid != before[name]}
    press(browser, 'web', '.resume')
    browser.wait_text(part('web', '.last'), 'restarted %d of %d' % (4 - len(done), 4 - len(done)))
    assert not set(before.values()) & set(daemon.wait_running('web').values())


def test_an_update_shows_its_plan_before_it_is_done(browser, daemon):
    daemon.let_go()
    press(browser, 'web', '.name')
    press(browser, 'web', '.update', answer=1)
    browser.wait_text('dialog p', 'There is nothing to do. 4 processes are kept.')
    daemon.write_configuration(PROGRAMS.replace('command = %s' % MANNERS['held back'],
                                                'command = /bin/sleep 100', 1).replace(
                                                    'numprocs = 4', 'numprocs = 3'))
    press(browser, 'web', '.update', answer=2)
    assert browser.text('dialog button') == 'Update, at most 1 down'
    assert 'replace web_000: command' in browser.text('dialog ul')
    assert 'remove web_003' in browser.text('dialog ul')
    assert len(daemon.pids('web')) == 4
    press(browser, 'web', '.update', answer=1)
    wait_until(lambda: len(daemon.pids('web')) == 3, 'it is updated')
    browser.wait_text(part('web', '.last'), 'restarted ')


def test_a_button_that_has_nothing_to_do_does_nothing(browser, daemon):
    press(browser, 'slow', answer=1)
    browser.wait_text(part('slow', '.last'), 'restarting: ')
    press(browser, 'slow')
    press(browser, 'slow', '.cancel')
    browser.wait_text(part('slow', '.last'), 'settling: ')
    press(browser, 'slow', '.cancel')
    press(browser, 'web')
    browser.wait_text(part('web', '.last'), 'restarting: ')
    assert len(asked_at(browser, '/restarter/restart')) == 2
    assert len(asked_at(browser, '/restarter/cancel')) == 1


def test_what_supervisord_refuses_stands_at_its_group(browser, daemon):
    press(browser, 'slow', answer=2, meanwhile=lambda: daemon.rpc.restarter.restartProcessGroup(
        'slow', {'wait': False}))
    browser.wait_text(part('slow', '.refused'), 'RESTART_IN_PROGRESS: slow: is being restarted')
    browser.wait_text(part('slow', '.last'), 'restarting: 2 stopping')


# supervisord comes and goes

@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGSTOP])
def test_when_supervisord_is_gone_nothing_is_shown_as_if_it_were_there(browser, daemon, how):
    pids = daemon.descendants()
    daemon.signal(how)
    # Sooner than an answer is given up.
    browser.wait_text('#lost', 'supervisord does not answer. What is shown is of ', 9)
    assert browser.run("return getComputedStyle(document.querySelector('.state'), '::before')"
                       '.content') == '"was "'
    press(browser, 'web')
    assert asked_at(browser, '/restarter/restart') == []
    if how == signal.SIGSTOP:
        daemon.signal(signal.SIGCONT)
    else:
        daemon.process.wait()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        daemon.start()
    wait_until(lambda: browser.run('return lost') == '', 'it answers again')
    press(browser, 'web')  # with the token of the new one
    browser.wait_text(part('web', '.last'), 'restarting: ')


def test_a_supervisord_that_stops_says_so(browser, daemon):
    press(browser, 'slow', answer=1)
    browser.wait_text(part('slow', '.last'), 'restarting: ')
    daemon.signal(signal.SIGTERM)
    browser.wait_text('#lost', 'SHUTDOWN_STATE: supervisord is stopping. What is shown is of ')


def test_a_page_of_before_supervisord_was_started_anew_says_so_and_then_works(browser, daemon):
    # No answer that is on its way brings the right one back.
    browser.run("clearTimeout(timer); shown = looks + 1; token = 'x'.repeat(43)")
    press(browser, 'web')
    browser.wait_text(part('web', '.refused'), 'its token is not that of this supervisord')
    press(browser, 'web')
    browser.wait_text(part('web', '.last'), 'restarting: ')


def test_a_hidden_tab_asks_for_nothing_until_it_is_seen_again(browser, daemon):
    press(browser, 'slow', answer=1)
    browser.wait_text(part('slow', '.last'), 'restarting: ')
    browser.run("""
        window.times = [];
        document.addEventListener(
            'visibilitychange', () => { times.push(performance.now()); }, {capture: true});
        """)
    with browser.other_tab():
        time.sleep(2)  # in which it would ask three times
    hidden, shown = wait_until(lambda: len(browser.run('return times')) == 2
                               and browser.run('return times'), 'it is seen again')
    wait_until(lambda: max(asked_at(browser)) >= shown, 'it asks again')
    assert not [when for when in asked_at(browser) if hidden < when < shown]


# For everybody, everywhere

def test_it_works_with_credentials_in_its_address(browser):
    with supervisord(browser, PROGRAMS, username='user', password='123') as daemon:
        daemon.wait_running('web')
        see(browser, daemon.inet_url.replace('://', '://user:123@'))
        press(browser, 'web')
        browser.wait_text(part('web', '.last'), 'restarting: ')


def test_all_of_it_can_be_done_with_the_keyboard(browser, daemon):
    tab, enter, space = '\ue004', '\ue007', ' '
    browser.run("document.querySelector('#filter').focus()")
    browser.press(tab, tab)
    focused = 'return document.activeElement.textContent'
    assert browser.run(focused) == 'Restart all at once'
    browser.press(enter)
    wait_until(lambda: browser.run(focused) == 'Not now', 'it asks')
    browser.press(space)
    browser.press(tab)  # how to restart
    browser.press('\ue015')
    assert browser.text(part('bad', '.restart')) == 'Restart one at a time'
    browser.run("document.querySelector('section .restart').focus()")
    browser.press(enter)
    browser.wait_text(part('bad', '.last'), 'restarted 0 of 2 in ')
    assert browser.run('return document.activeElement.className') == 'restart act'


THIRTY = ''.join(group('group-%02d' % number, 4) for number in range(28)) + (
    group('broken', 4, MANNERS['exits 1'], startsecs=1, startretries=0)
    + group('retries', 4, "/bin/sh -c 'while [ -e hold ]; do sleep 0.1; done; exit 1'",
            startsecs=100, startretries=100))


def test_thirty_groups_are_two_screens_and_those_that_fail_stay_on_top(browser):
    with supervisord(browser, THIRTY.replace('group-27', 'web')) as daemon:
        wait_until(lambda: set(daemon.states('broken').values()) == {'FATAL'}, 'they have failed')
        see(browser, daemon.inet_url)
        browser.wait_text(part('broken', '.rows'), 'broken_003')
        browser.wait_text(part('retries', '.rows'), 'retries_003')
        for width, height in ((1100, 1600), (1800, 1100)):
            browser.resize(width, 700)
            assert browser.run('return document.documentElement.scrollHeight') <= height
        hold = daemon.folder / 'hold'
        for change, states in ((lambda: None, '4 BACKOFF'), (hold.touch, '4 STARTING'),
                               (hold.unlink, '4 BACKOFF')):
            change()
            browser.wait_text(part('retries', '.states'), states)
            assert order(browser)[:2] == ['broken', 'retries']


def test_it_fits_into_every_window(browser, daemon):
    press(browser, 'slow', answer=1)
    browser.wait_text(part('slow', '.last'), 'restarting: ')
    press(browser, 'web', '.name')
    browser.wait_text(part('web', '.rows'), 'web_003')
    for width in (320, 400, 1100, 1800):
        browser.resize(width, 700)
        assert browser.run('return document.documentElement.scrollWidth') <= width


@pytest.mark.skipif(not AXE.exists(), reason='needs axe-core: npm install --prefix build/npm')
def test_it_can_be_read_by_everybody(browser, daemon):
    def check(what):
        browser.run(AXE.read_text())
        for dark in (False, True):
            for width in (400, 1100):
                browser.resize(width, 900, dark)
                found = browser.run('return axe.run().then(it => it.violations.map(one => [one.id, '
                                    'one.nodes.map(node => node.html + node.failureSummary)]))')
                assert found == [], (what, dark, width)
    press(browser, 'web', '.name')
    press(browser, 'bad', answer=1)
    press(browser, 'slow', answer=1)
    browser.wait_text(part('slow', '.last'), 'restarting: ')
    check('while it restarts')
    daemon.let_go()
    browser.wait_text(part('slow', '.last'), 'restarted 2 of 2')
    check('at rest')
    browser.click(part('slow', '.restart'))
    check('when it asks')
    browser.click('dialog button:nth-child(3)')
    daemon.signal(signal.SIGKILL)
    browser.wait_text('#lost', 'supervisord does not answer')
    check('when supervisord is gone')


def test_no_script_but_its_own_runs_in_it(browser, daemon):
    browser.run("""
        for (const text of ['window.ran = 1', 'window.ran = 2']) {
            const script = document.createElement('script');
            script.textContent = text;
            document.body.append(script);
        }
        document.body.insertAdjacentHTML('beforeend', '<img src="x" onerror="window.ran = 3">');
        """)
    press(browser, 'web')
    browser.wait_text(part('web', '.last'), 'restarting: ')
    assert browser.run('return window.ran === undefined')


# A page of another site, in the browser of somebody who may restart

FORGED = """<!DOCTYPE html><title>Another site</title>
<iframe name="form"></iframe>
<form method="post" enctype="text/plain" target="form" action="%(url)s/restarter/restart">
<input name='{"group": "web", "x": "' value='"}'></form>
<script>
document.forms[0].submit();
const send = (path, options) => fetch('%(url)s/restarter/' + path, options).catch(() => 0);
const body = JSON.stringify({group: 'web'});
Promise.all([
  send('restart', {method: 'POST', mode: 'no-cors', body}),
  send('restart', {method: 'POST', mode: 'no-cors', body, referrerPolicy: 'no-referrer'}),
  send('restart', {method: 'POST', body, headers: {'X-Restarter-Token': 'x'}}),
  send('update', {method: 'POST', mode: 'no-cors', body}),
  send('restart?group=web', {mode: 'no-cors'}),
  send('status').then(answer => answer && answer.json()).then(told => { window.told = told; }),
]).then(() => { document.title = 'Tried'; });
</script>
<iframe id="framed" src="%(url)s/restarter/"></iframe>
"""


@contextlib.contextmanager
def another_site(folder, html):
    (folder / 'index.html').write_text(html)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass
    with http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), functools.partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield 'http://127.0.0.1:%d/' % server.server_port
        server.shutdown()
        thread.join()


def test_a_page_of_another_site_restarts_nothing_and_learns_nothing(browser, daemon, tmp_path):
    before = daemon.pids('web')
    with another_site(tmp_path, FORGED % {'url': daemon.inet_url}) as url:
        browser.open(url)
        wait_until(lambda: browser.run('return document.title') == 'Tried', 'it has tried')
        wait_until(lambda: refused(daemon) == 4, 'its requests are refused')
        assert not browser.run('return window.told')
        assert browser.in_frame('#framed', 'return document.title') != 'Supervisor groups'
    assert daemon.pids('web') == before
    assert daemon.rpc.restarter.getRestartInfo('web')['state'] == 'IDLE'
