"""The page as people see it: a real supervisord, and a real browser."""

import contextlib
import functools
import http.server
import os
import signal
import threading
import time

import pytest

from tests.support.browser import MISSING, Browser, there_is_one
from tests.support.daemon import MANNERS, Daemon, group, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not there_is_one(), reason=MISSING)]

ODD = '<b>odd"\'&lt;'
PROGRAMS = (group('web', 4, MANNERS['late']) + group('never', 2, MANNERS['never'], stopwaitsecs=2)
            + group('bad', 2, MANNERS['exits 1'], startsecs=1, startretries=0) + group(ODD, 1))


@pytest.fixture(scope='module')
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def daemon(browser):
    with Daemon(PROGRAMS, {'page': 'true', 'timeout': 30, 'web.max_unavailable': 1},
                inet=True) as daemon:
        daemon.wait_running('web')
        daemon.wait_running('never')
        see(browser, daemon)
        yield daemon
        browser.open('about:blank')
        if daemon.alive():  # Those that never stop would keep it.
            pids = daemon.descendants()
            daemon.signal(signal.SIGTERM)
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def see(browser, daemon):
    browser.open(daemon.inet_url + '/restarter/')
    browser.wait_text('#groups', 'web_003')


def part(name, selector):
    return '[aria-label="Group %s"] %s' % (name, selector)


def press(browser, what, name):
    browser.click('[aria-label="%s %s"]' % (what, name))


def bars(browser, name):
    """Return, for each bar of a group, its whole length and the phases with their lengths."""
    return browser.run("""
        return [...document.querySelectorAll(arguments[0])].map(bar => [
            bar.viewBox.baseVal.width,
            [...bar.children].map(part => [part.getAttribute('class'), part.width.baseVal.value])])
        """, part(name, '.bar'))


def asked_at(browser, path='/status'):
    """Return when the page has asked supervisord for something, in milliseconds."""
    return browser.run("return performance.getEntriesByType('resource')"
                       '.filter(entry => entry.name.includes(arguments[0]))'
                       '.map(entry => entry.startTime)', path)


def refused(daemon):
    return daemon.log().count('refused a request to the page')


def test_a_click_restarts_the_bars_move_and_end_and_then_the_page_rests(browser, daemon):
    before = daemon.pids('web')
    press(browser, 'Restart', 'web')
    browser.wait_text(part('web', '.progress'), 'restarting: 3 waiting, 1 stopping')
    lengths = []

    def moved():
        length = bars(browser, 'web')[0][0]
        if length not in lengths:
            lengths.append(length)
        return len(lengths) >= 3
    wait_until(moved, 'the bars have moved twice')
    assert lengths == sorted(lengths)
    browser.wait_text('#message', 'web: restarted 4 of 4 in ')
    assert not set(before.values()) & set(daemon.wait_running('web').values())
    for length, parts in bars(browser, 'web'):
        assert [phase for phase, _ in parts] in (
            ['waiting', 'stopping', 'starting', 'restarted'], ['waiting', 'stopping', 'restarted'])
        assert sum(seconds for _, seconds in parts) == pytest.approx(length, abs=0.01)
    assert browser.text(part('web', '.phase')).startswith('restarted at ')
    before = len(asked_at(browser))
    time.sleep(1.5)  # in which it would ask three times
    assert len(asked_at(browser)) == before


def test_a_restart_that_runs_already_is_seen_from_its_beginning(browser, daemon):
    daemon.rpc.restarter.restartProcessGroup('never', {'wait': False})
    see(browser, daemon)
    browser.wait_text(part('never', '.progress'), 'restarting: 2 stopping')
    assert [parts[1][0] for _, parts in bars(browser, 'never')] == ['stopping', 'stopping']


def test_a_restart_that_somebody_else_begins_is_seen_while_another_is_watched(browser, daemon):
    press(browser, 'Restart', 'never')
    browser.wait_text(part('never', '.progress'), 'restarting: 2 stopping')
    wait_until(lambda: asked_at(browser, '/status?group=never'), 'it asks only for that')
    daemon.rpc.restarter.restartProcessGroup('web', {'wait': False})
    browser.wait_text(part('web', '.progress'), 'restarted 4 of 4')


def test_a_fault_is_shown_with_its_text(browser, daemon):
    wait_until(lambda: set(daemon.states('bad').values()) == {'FATAL'}, 'all are FATAL')
    press(browser, 'Restart', 'bad')
    browser.wait_text('#message', 'bad: restarted 0 of 2 in ')
    assert 'bad_001: START_FAILED: Exited too quickly (process log may have details)' in (
        browser.text(part('bad', '.faults')))
    assert browser.text(part('bad', '.phase')).startswith('failed at ')


def test_cancel_cancels(browser, daemon):
    press(browser, 'Restart', 'web')
    browser.wait_text(part('web', '.progress'), 'restarting: ')
    press(browser, 'Cancel', 'web')
    browser.wait_text(part('web', '.faults'), 'CANCELLED: cancelled, ')
    assert 'waiting' in [parts[-1][0] for _, parts in bars(browser, 'web')]
    daemon.wait_running('web')


def test_a_button_that_has_nothing_to_do_does_nothing(browser, daemon):
    press(browser, 'Cancel', 'web')
    press(browser, 'Restart', 'never')  # the next thing that it does
    browser.wait_text(part('never', '.progress'), 'restarting: ')
    assert asked_at(browser, '/cancel') == []
    press(browser, 'Cancel', 'never')
    wait_until(lambda: asked_at(browser, '/cancel'), 'now it has')


def test_what_supervisord_refuses_is_shown_with_its_text(browser, daemon):
    daemon.rpc.restarter.restartProcessGroup('never', {'wait': False})
    press(browser, 'Restart', 'never')  # the page rests, and does not know
    browser.wait_text('#message', 'RESTART_IN_PROGRESS: never: is being restarted already')
    browser.wait_text(part('never', '.progress'), 'restarting: 2 stopping')


@pytest.mark.parametrize('way, said', [
    ('configured', 'web: restarting 4 processes, rolling, at most 1 down'),
    ('one', 'web: restarting 4 processes, rolling, at most 1 down'),
    ('surge', 'web: restarting 4 processes, rolling, at most 1 more than there are')])
def test_a_group_is_restarted_in_the_way_that_is_chosen(browser, daemon, way, said):
    assert browser.text(part('web', '.way')) == 'as configured: rolling, at most 1 down'
    browser.click('[value=%s]' % way)
    press(browser, 'Restart', 'web')
    wait_until(lambda: said + '\n' in daemon.log(), 'it is restarted so')


def test_a_stopped_supervisord_is_told_in_a_sentence_and_comes_back(browser, daemon):
    press(browser, 'Restart', 'never')
    browser.wait_text(part('never', '.progress'), 'restarting: ')
    daemon.signal(signal.SIGTERM)
    browser.wait_text('#message', 'SHUTDOWN_STATE: supervisord is stopping. This page asks again ')
    daemon.wait_ended()
    browser.wait_text('#message', 'supervisord does not answer. This page asks again every 2 ')
    daemon.start()
    browser.wait_text('#message', 'supervisord answers again.')
    press(browser, 'Restart', 'web')  # with the token of the new one
    browser.wait_text(part('web', '.progress'), 'restarting: ')


def test_a_page_of_before_supervisord_was_started_anew_says_so_and_then_works(browser, daemon):
    daemon.signal(signal.SIGTERM)
    daemon.wait_ended()
    daemon.start()
    press(browser, 'Restart', 'web')
    browser.wait_text('#message', 'its token is not that of this supervisord')
    press(browser, 'Restart', 'web')
    browser.wait_text(part('web', '.progress'), 'restarting: ')


def test_a_hidden_tab_asks_for_nothing_until_it_is_seen_again(browser, daemon):
    press(browser, 'Restart', 'never')
    browser.wait_text(part('never', '.progress'), 'restarting: ')
    browser.run("""
        window.times = [];
        document.addEventListener(
            'visibilitychange', () => { times.push(performance.now()); }, {capture: true});
        """)
    with browser.other_tab():
        time.sleep(1.5)  # in which it would ask three times
    hidden, shown = wait_until(lambda: len(browser.run('return times')) == 2
                               and browser.run('return times'), 'it is seen again')
    wait_until(lambda: max(asked_at(browser)) >= shown, 'it asks again')
    assert not [when for when in asked_at(browser) if hidden < when < shown]


def test_a_name_is_a_name_whatever_is_in_it(browser, daemon):
    assert browser.run("return [...document.querySelectorAll('h2')].map(it => it.textContent)") == [
        ODD, 'bad', 'never', 'web']
    assert browser.run("return document.querySelectorAll('#groups b').length") == 0
    before = daemon.pids(ODD)
    browser.run("document.querySelector('section .restart').click()")
    browser.wait_text('#message', ODD + ': restarted 1 of 1 in ')
    assert not set(before.values()) & set(daemon.pids(ODD).values())


def test_all_of_it_can_be_done_with_the_keyboard(browser, daemon):
    tab, enter, space = '\ue004', '\ue007', ' '
    browser.run("document.querySelector('[value=configured]').focus()")
    browser.press('\ue015')  # the arrow down, to the next way
    assert browser.run("return document.querySelector('[name=way]:checked').value") == 'one'
    browser.press(tab, enter)
    browser.wait_text('#message', ODD + ': restarted 1 of 1 in ')
    browser.press(tab, tab, tab, space)
    browser.wait_text('#message', 'bad: restarted 0 of 2 in ')
    assert browser.run('return document.activeElement.getAttribute("aria-label")') == 'Restart bad'


@pytest.mark.parametrize('width', [320, 1600])
def test_it_fits_into_every_window(browser, daemon, width):
    press(browser, 'Restart', 'never')
    browser.wait_text(part('never', '.progress'), 'restarting: ')
    browser.resize(width, 700)
    assert browser.run('return document.documentElement.scrollWidth') <= width


def test_no_script_but_its_own_runs_in_it(browser, daemon):
    browser.run("""
        for (const text of ['window.ran = 1', 'window.ran = 2']) {
            const script = document.createElement('script');
            script.textContent = text;
            document.body.append(script);
        }
        document.body.insertAdjacentHTML('beforeend', '<img src="x" onerror="window.ran = 3">');
        """)
    press(browser, 'Restart', 'web')
    browser.wait_text(part('web', '.progress'), 'restarting: ')
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
        wait_until(lambda: refused(daemon) == 3, 'its requests are refused')
        assert not browser.run('return window.told')
        assert browser.in_frame('#framed', 'return document.title') != 'Supervisor groups'
    assert daemon.pids('web') == before
    assert daemon.rpc.restarter.getRestartInfo('web')['state'] == 'IDLE'
