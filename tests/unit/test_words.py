"""What a process has written last is known, whatever becomes of it, and nothing of ours stays."""

import errno
import os
import weakref
from types import SimpleNamespace

import pytest
from supervisor import events
from supervisor.dispatchers import PEventListenerDispatcher, POutputDispatcher
from supervisor.loggers import getLogger
from supervisor.states import EventListenerStates

from supervisor_restarter.daemon.words import listen_to
from tests.unit.fakes import FakeLogger

EVENTS = {'stdout': events.ProcessCommunicationStdoutEvent,
          'stderr': events.ProcessCommunicationStderrEvent}


class Process:
    """A process with Supervisor's own dispatchers; `says` is what it writes to its pipes."""

    def __init__(self, kind=POutputDispatcher, log=None, **config):
        options = SimpleNamespace(readfd=lambda fd: os.read(fd, 2 << 16), logger=FakeLogger(),
                                  getLogger=getLogger, loglevel=20, strip_ansi=False)
        self.config = SimpleNamespace(name='web_0', options=options, stdout_events_enabled=False,
                                      stderr_events_enabled=False)
        for channel in EVENTS:
            for option, value in (('logfile', log), ('logfile_maxbytes', 0), ('logfile_backups', 0),
                                  ('syslog', False), ('capture_maxbytes', 0)):
                setattr(self.config, '%s_%s' % (channel, option),
                        config.get('%s_%s' % (channel, option), value))
        self.kind, self.pid, self.dispatchers = kind, 0, {}

    def spawn(self):
        self.pid += 1
        self.pipes = {channel: os.pipe() for channel in EVENTS}
        for dispatcher in self.dispatchers.values():
            os.close(dispatcher.fd)
        self.dispatchers = {
            self.pipes[channel][0]:
            self.kind(self, channel, self.pipes[channel][0])
            if channel == 'stdout' and self.kind is PEventListenerDispatcher
            else POutputDispatcher(self, EVENTS[channel], self.pipes[channel][0])
            for channel in EVENTS}

    def says(self, data, channel='stderr'):
        os.write(self.pipes[channel][1], data)
        self.dispatchers[self.pipes[channel][0]].handle_read_event()

    def dies(self):
        """As supervisor/process.py: finish, which empties the pipes before all else."""
        for reader, writer in self.pipes.values():
            os.close(writer)
            self.dispatchers[reader].handle_read_event()
            os.close(reader)
        self.dispatchers = {}


@pytest.fixture
def process():
    made = Process()
    yield made
    if made.dispatchers:
        made.dies()


TRACEBACK = (b'Traceback (most recent call last):\n'
             b'  File "x.py", line 1, in <module>\n'
             b'    import y\n    ^^^^^^^^\n'
             b"ModuleNotFoundError: No module named 'y'\n")
# In these the line that says why comes first.
RUBY = (b"config.ru:1:in `<main>': broken (RuntimeError)\n"
        + b"\tfrom /usr/lib/ruby/puma/launcher.rb:64:in `run'\n" * 30)
NODE = (b"throw new Error('broken');\n^\n\nError: broken\n    at Object.<anonymous> (/x.js:1:7)\n"
        + b'    at node:internal/main/run_main_module:28:49\n' * 9 + b'\nNode.js v20.20.2\n')
NO_MODULE = (b"  throw err;\n  ^\n\nError: Cannot find module './x'\nRequire stack:\n- /srv/y.js\n"
             b'    at Module.require (node:internal/modules/cjs/loader:1289:19)\n'
             b'    at async Promise.all (index 0) {\n'
             b"  code: 'MODULE_NOT_FOUND',\n  requireStack: [\n    '/srv/y.js'\n  ]\n}\n\n"
             b'Node.js v20.20.2\n')
JSON = b'{\n  "error": "broken"\n}\n'
JAVA = (b'Exception in thread "main" java.lang.RuntimeException: broken\n'
        b'\tat app//x.Y.main(Y.java:5)\n\tat x.Y.z(Unknown Source)\n'
        b'Caused by: java.io.IOException: no disk\n\tat x.Y.f(Native Method)\n\t... 12 more\n')
DOTNET = (b'Unhandled exception. System.InvalidOperationException: broken\n'
          b'   at X.Main(String[] args) in /srv/X.cs:line 5\n   at X.F()\n   at X.G()\n')
GO = (b'panic: broken\n\ngoroutine 1 [running]:\nmain.(*T).run(0x0, {0x4b, 0x2})\n'
      b'\t/srv/main.go:12 +0x1d\nmain.main()\n\t/srv/main.go:5 +0x1c\n')
RUST = (b"thread 'main' panicked at r.rs:1:65:\nbroken\nstack backtrace:\n   0: std::panicking\n"
        b'             at /rustc/panicking.rs:647:5\n   1: r::main\n'
        b'note: Some details are omitted, run with `RUST_BACKTRACE=full`.\n')
LOGFMT = b'level=error ' + b'x' * 1000 + b' err="no disk"\n'
GETOPT = b'flag provided but not defined: -n\nUsage of x:\n -c FILE\n -h help\n -v version\n'
ARGPARSE = (b'usage: x.py [-h] [-c FILE] [-o OUTPUT]\n            [-v VERBOSE] [FILE]\n'
            b'x.py: error: unrecognized arguments: -n\n')
PHP = (b'PHP Fatal error:  Uncaught Exception: broken in /x.php:1\nStack trace:\n'
       b'#0 /y.php(1): y()\n#1 {main}\n  thrown in /x.php on line 1\n')


@pytest.mark.parametrize('said, text', [
    ([], ''),
    ([('stderr', b'one\n')], 'one'),
    ([('stderr', b'on'), ('stderr', b'e\ntwo\nthree\nfo'), ('stderr', b'ur')],
     'two | three | four'),
    ([('stderr', b'one\n \n\n'), ('stderr', b'two \n')], 'one | two'),
    ([('stderr', TRACEBACK)], 'File "x.py", line 1, in <module> | import y | '
                              "ModuleNotFoundError: No module named 'y'"),
    ([('stderr', RUBY)], "config.ru:1:in `<main>': broken (RuntimeError)"),
    ([('stderr', NODE)], "throw new Error('broken'); | Error: broken"),
    ([('stderr', NO_MODULE)], "Error: Cannot find module './x' | Require stack: | - /srv/y.js"),
    ([('stderr', JSON)], '"error": "broken"'),
    ([('stderr', JAVA)], 'Exception in thread "main" java.lang.RuntimeException: broken | '
                         'Caused by: java.io.IOException: no disk'),
    ([('stderr', DOTNET)], 'Unhandled exception. System.InvalidOperationException: broken'),
    ([('stderr', GO)], 'panic: broken'),
    ([('stderr', RUST)], "thread 'main' panicked at r.rs:1:65: | broken"),
    ([('stderr', PHP)], 'PHP Fatal error: Uncaught Exception: broken in /x.php:1 | Stack trace: | '
                        'thrown in /x.php on line 1'),
    ([('stdout', b'a\nb\nc\nd\n')], 'b | c | d'),
    ([('stderr', b'why\n'), ('stdout', b'a\nb\nc\nd\n')], 'why | c | d'),
    ([('stderr', b'1\n2\n3\n'), ('stdout', b'a\n')], '1 | 2 | 3'),
    ([('stderr', b"supervisor: couldn't chdir to /x: ENOENT\n"
                 b'supervisor: child process was not spawned\n')],
     "supervisor: couldn't chdir to /x: ENOENT"),
    ([('stderr', b'\x1b[31mred\x1b[0m\tand \xff\n')], 'red and \ufffd'),
    ([('stderr', b'x' * 30000)] * 2, 'x' * 98 + '...' + 'x' * 98),
    ([('stderr', LOGFMT)], 'level=error ' + 'x' * 86 + '...' + 'x' * 84 + ' err="no disk"'),
    ([('stderr', LOGFMT[at:at + 250]) for at in range(0, len(LOGFMT), 250)],
     'level=error ' + 'x' * 86 + '...' + 'x' * 84 + ' err="no disk"'),
    ([('stderr', 'é'.encode() * 300)], 'é' * 98 + '...' + 'é' * 98),
    ([('stderr', GETOPT)], 'flag provided but not defined: -n | -h help | -v version'),
    ([('stderr', GETOPT[at:at + 5]) for at in range(0, len(GETOPT), 5)],
     'flag provided but not defined: -n | -h help | -v version'),
    ([('stderr', b'starting\n' + GETOPT.replace(b'Usage of x', b' Use'))],
     'flag provided but not defined: -n | -h help | -v version'),
    ([('stderr', b'starting\n' + ARGPARSE)],
     'starting | [-v VERBOSE] [FILE] | x.py: error: unrecognized arguments: -n'),
    ([('stderr', b'error: no -n\n\nUsage: x\n\nTry --help\n')],
     'error: no -n | Usage: x | Try --help'),
    ([('stderr', b'disk usage: 3\nmessage\nusages\n1\n2\n3\n')], '1 | 2 | 3'),
])
def test_the_last_three_lines_are_heard_those_of_stderr_first(process, said, text):
    words = listen_to(process)
    process.spawn()
    for channel, data in said:
        process.says(data, channel)
    assert words.text() == text
    words.close()
    assert words.text() == ''


def test_what_is_in_the_pipe_when_it_dies_is_heard(process):
    words = listen_to(process)
    process.spawn()
    os.write(process.pipes['stderr'][1], b'too late\n')
    process.dies()
    assert words.text() == 'too late'


def test_one_that_is_spawned_again_has_yet_to_say_something(process):
    words = listen_to(process)
    process.spawn()
    process.says(b'first\n')
    process.dies()
    process.spawn()
    assert words.text() == ''
    process.says(b'second\n')
    assert words.text() == 'second'


def test_one_that_runs_already_is_heard_from_then_on(process):
    process.spawn()
    process.says(b'before\n')
    words = listen_to(process)
    process.says(b'after\n')
    assert words.text() == 'after'


@pytest.mark.parametrize('kind', [POutputDispatcher, PEventListenerDispatcher])
def test_nothing_of_ours_stays_and_its_log_has_all(tmp_path, kind):
    process = Process(kind, str(tmp_path / 'log'))
    process.spawn()
    process.says(b'zero\n')
    before = [set(vars(dispatcher)) for dispatcher in process.dispatchers.values()]
    words = listen_to(process)
    process.says(b'one\n')
    words.close()
    assert [set(vars(dispatcher)) for dispatcher in process.dispatchers.values()] == before
    assert 'spawn' not in vars(process)
    process.says(b'two\n')
    process.dies()
    assert (tmp_path / 'log').read_bytes() == b'zero\none\ntwo\n'


def test_a_dispatcher_and_its_log_go_with_the_process_though_somebody_listens(tmp_path):
    process = Process(log=str(tmp_path / 'log'))
    words = listen_to(process)
    process.spawn()
    dispatchers = [weakref.ref(dispatcher) for dispatcher in process.dispatchers.values()]
    process.dies()
    assert [dispatcher() for dispatcher in dispatchers] == [None, None]
    words.close()


def test_what_an_event_listener_says_is_heard_and_its_protocol_goes_on():
    process = Process(PEventListenerDispatcher)
    words = listen_to(process)
    process.spawn()
    process.says(b'READY\nREADY', 'stdout')
    process.says(b'\nis it?\n', 'stdout')
    assert words.text() == 'READY | READY | is it?'
    assert process.listener_state == EventListenerStates.UNKNOWN
    process.dies()
    words.close()


def test_what_a_process_sends_as_an_event_is_not_heard():
    process = Process(stderr_capture_maxbytes=1000)
    words = listen_to(process)
    process.spawn()
    process.says(b'one\n<!--XSUPERVISOR:BEGIN-->data\n<!--XSUPERVISOR:END-->two and more to come\n')
    process.says(b'and more to come\n')
    assert words.text() == 'one | two and more to come | and more to come'
    process.dies()
    words.close()


def test_two_who_want_to_be_told_of_a_spawn_do_not_disturb_each_other(process):
    first, second = listen_to(process), listen_to(process)
    process.spawn()
    process.says(b'one\n')
    assert second.text() == 'one'
    first.close()
    process.dies()
    process.spawn()
    process.says(b'two\n')
    assert (first.text(), second.text()) == ('', 'two')
    second.close()
    assert 'spawn' not in vars(process)


def test_a_trouble_of_ours_does_not_come_up_in_a_spawn_of_supervisords(process):
    words = listen_to(process)

    def trouble():
        raise OSError(errno.EIO, 'oops')
    words._process.spawn.callbacks.insert(0, trouble)
    process.spawn()
    (level, line), = process.config.options.logger.lines
    assert level == 'critical' and 'oops' in line
    process.says(b'all the same\n')
    assert words.text() == 'all the same'
