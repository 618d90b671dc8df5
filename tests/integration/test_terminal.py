"""What a person sees: the script in a pseudo-terminal, read by a terminal emulator."""

import os
import pty
import select
import signal
import time

import pyte
import pytest

from tests.support.daemon import (
    COMMANDS,
    MANNERS,
    SCRIPTS,
    Daemon,
    free_port,
    group,
    heed_ctrl_c,
    running,
)
from tests.support.faults import all_new, wait_finished, wait_phase

SCRIPT = str(SCRIPTS / 'supervisorctl_restart_group')


class Terminal:
    """A script in a pseudo-terminal of 100 columns; `screens` are all that a person could see."""

    def __init__(self, *command):
        self.screen = pyte.Screen(100, 10)
        self.stream = pyte.ByteStream(self.screen)
        self.screens = []
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ.update(COLUMNS='100', LINES='10')
            heed_ctrl_c()
            os.execv(command[0], command)

    def read(self, condition, seconds=20.0):
        """Read until the text on the screen fulfils the condition, or the script ends."""
        deadline = time.monotonic() + seconds
        while not condition(self.text()):
            left = deadline - time.monotonic()
            assert left > 0, 'the screen shows:\n%s' % self.text()
            if select.select([self.master], [], [], left)[0]:
                try:
                    data = os.read(self.master, 65536)
                except OSError:  # Linux: the other end is closed
                    data = b''
                if not data:
                    return
                self.stream.feed(data)
                self.screens.append(self.text())

    def text(self):
        return '\n'.join(line.rstrip() for line in self.screen.display).strip()

    def end(self):
        self.read(lambda text: False)
        os.close(self.master)
        return os.waitpid(self.pid, 0)[1] >> 8

    def type(self, keys):
        os.write(self.master, keys)


@pytest.fixture
def daemon():
    with Daemon(group('web', 2, MANNERS['held back'])) as running:
        running.wait_running('web')
        yield running


def test_a_progress_line_is_redrawn_in_place_and_gone_at_the_end():
    # Each count stands there for two seconds, so that it is seen on a busy machine too.
    with running(group('web', 3, startsecs=2)) as (daemon, _):
        terminal = Terminal(SCRIPT, '-c', str(daemon.configuration), '--max-unavailable', '1',
                            '--timeout', '20', 'web')
        assert terminal.end() == 0
    shown = [screen for screen in terminal.screens if 'web [' in screen]
    assert all(len(screen.splitlines()) == 1 for screen in shown)
    for restarted in range(1, 3):
        assert any('%d restarted' % restarted in screen for screen in shown)
    assert any('1 starting' in screen for screen in shown)
    assert terminal.text() == 'web: restarted'


def test_the_progress_line_says_who_has_two_processes_and_what_is_awaited():
    url = 'tcp://127.0.0.1:%d' % free_port()
    with running(group('web', 4, environment='RESTARTER_READY="%s"' % url)) as (daemon, _):
        terminal = Terminal(SCRIPT, '-c', str(daemon.configuration), '--max-surge', '2',
                            '--timeout', '3', 'web')
        assert terminal.end() != 0
        shown = [screen for screen in terminal.screens if 'surging' in screen]
        assert all(len(screen.splitlines()) == 1 for screen in shown)
        assert any('2 surging' in screen and
                   'awaiting web_003 and 1 more: nobody listens on 127.' in screen
                   for screen in shown)
        assert 'NOT_READY' in terminal.text() and 'surging' not in terminal.text()


def test_there_is_no_progress_line_with_quiet(daemon):
    daemon.let_go()
    terminal = Terminal(SCRIPT, '-c', str(daemon.configuration), '--quiet', 'web')
    assert terminal.end() == 0
    assert not any('[' in screen for screen in terminal.screens)


def test_ctrl_c_at_the_terminal_says_how_to_cancel_and_the_restart_goes_on(daemon):
    before = daemon.pids('web')
    terminal = Terminal(SCRIPT, '-c', str(daemon.configuration), 'web')
    terminal.read(lambda text: 'web [' in text)
    terminal.type(b'\x03')
    assert terminal.end() == 130
    assert 'web: interrupted; the restart goes on in supervisord.' in terminal.text()
    assert terminal.text().replace('\n', '').endswith(' --cancel web')
    assert 'web [' not in terminal.text()
    daemon.let_go()
    wait_finished(daemon)
    assert all_new(before, daemon.wait_running('web'))


def test_with_i_the_login_is_asked_for_at_the_terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with running(group('web', 1), username='user', password='123') as (daemon, _):
        terminal = Terminal(SCRIPT, '-i', '-s', daemon.url, 'web')
        terminal.read(lambda text: 'Username:' in text)
        terminal.type(b'user\n')
        terminal.read(lambda text: 'Password:' in text)
        terminal.type(b'123\n')
        assert terminal.end() == 0
        assert terminal.text().endswith('web: restarted')
        assert '123' not in terminal.text()


def test_supervisorctl_shows_the_progress_too():
    with running(group('web', 2, startsecs=1), extra=COMMANDS) as (daemon, _):
        terminal = Terminal(str(SCRIPTS / 'supervisorctl'), '-c', str(daemon.configuration),
                            'restartgroup', '--max-unavailable', '1', 'web')
        assert terminal.end() == 0
        assert any('web [' in screen for screen in terminal.screens)
        assert terminal.text() == 'web: restarted'


@pytest.fixture(scope='module')
def one():
    with Daemon(group('web', 1), extra=COMMANDS) as running:
        running.wait_running('web')
        yield running


@pytest.mark.parametrize('typed, completed', [
    (b'restartgroup we\t', 'restartgroup web '),
    (b'updategroup web:\t', 'updategroup web:web_000 '),
    (b'restartinfo web al\t', 'restartinfo web all '),
    (b'restartgroup --max-s\t', 'restartgroup --max-surge '),
    (b'cancelr\t', 'cancelrestart '),
    (b'restart web:\t', 'restart web:'),  # supervisorctl's own: web:* and web:web_000
])
def test_names_and_options_are_completed_in_the_shell(one, typed, completed):
    terminal = Terminal(str(SCRIPTS / 'supervisorctl'), '-c', str(one.configuration))
    terminal.read(lambda text: text.endswith('supervisor>'))
    terminal.type(typed + b'X')
    terminal.read(lambda text: text.endswith('X'))
    assert terminal.text().endswith('supervisor> ' + completed + 'X')
    terminal.type(b'\x15quit\n')
    terminal.end()


def test_ctrl_c_leaves_the_queue_and_nothing_else(daemon):
    before = daemon.pids('web')
    assert daemon.rpc.restarter.restartProcessGroup('web', {'wait': False}) is True
    terminal = Terminal(SCRIPT, '-c', str(daemon.configuration), '--queue', 'web')
    terminal.read(lambda text: 'web waits for its turn: [' in text)
    terminal.type(b'\x03')
    assert terminal.end() == 130
    assert terminal.text() == 'web: interrupted; not begun'
    daemon.let_go()
    wait_finished(daemon)
    assert all_new(before, daemon.wait_running('web'))
    assert daemon.log().count('restarter: web: restarting') == 1


def test_a_hangup_of_the_terminal_leaves_the_restart_to_supervisord(daemon):
    before = daemon.pids('web')
    terminal = Terminal(SCRIPT, '-c', str(daemon.configuration), 'web')
    wait_phase(daemon, 'stopping')
    os.kill(terminal.pid, signal.SIGHUP)
    terminal.end()
    daemon.let_go()
    wait_finished(daemon)
    assert all_new(before, daemon.wait_running('web'))
