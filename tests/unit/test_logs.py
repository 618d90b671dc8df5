"""Two processes of a slot write to one log file, and no line is lost or torn."""

import math
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from supervisor import loggers

from supervisor_restarter.daemon.logs import LONGEST_LINE, PATIENCE, SharedLogs
from tests.support.world import Clock


class Process:
    """What logs see of a process: loggers with handlers of their own, as Supervisor makes them."""

    def __init__(self, path, name='normallog', maxbytes=0, backups=0):
        self.config = SimpleNamespace(name='web_0.new')
        self.log = str(path), '%(message)s', bool(maxbytes), maxbytes, backups
        self.name = name
        self.spawn()

    def spawn(self):
        self.logger = loggers.getLogger()
        loggers.handle_file(self.logger, *self.log)
        dispatcher = SimpleNamespace(channel='stdout', **{self.name: self.logger})
        self.dispatchers = {5: dispatcher, 7: SimpleNamespace(channel='stdin')}

    def writes(self, data):
        self.logger.info(data)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'web_0.log'


def join(*processes, channels=('stdout', 'stderr'), changed=lambda: None, clock=None):
    logs = SharedLogs('web_0', channels, changed, clock or Clock())
    logs.join(*processes)
    return logs


def logs_open(path):
    """The descriptors that are open for a file, or for one that it was rotated to."""
    names = (os.readlink(entry) for entry in Path('/proc/self/fd').iterdir() if entry.is_symlink())
    return [name for name in names if name.startswith(str(path))]


def whole_text(path):
    """All that was written to a file and those that it was rotated to."""
    return b''.join(file.read_bytes() for file in sorted(path.parent.iterdir(), reverse=True))


@pytest.mark.parametrize('name', ['normallog', 'mainlog', 'childlog'])
def test_both_write_to_the_file_that_the_last_one_has_opened(path, name):
    old, new = Process(path, name), Process(path, name)
    theirs, own = old.logger.handlers, new.logger.handlers
    logs = join(old, new)
    old.writes(b'one\n')
    new.writes(b'two\n')
    logs.part()
    new.writes(b'three\n')
    assert path.read_bytes() == b'one\ntwo\nthree\n'
    assert new.logger.handlers == old.logger.handlers == own
    assert theirs[0].closed and not own[0].closed
    assert 'spawn' not in {**vars(old), **vars(new)}


@pytest.mark.parametrize('gone', [os.unlink, lambda path: path.rename(path.parent / 'moved')])
def test_the_file_that_has_the_name_is_the_one_that_both_write_to(path, gone):
    old = Process(path)
    old.writes(b'before\n')
    gone(path)
    new = Process(path)
    join(old, new)
    old.writes(b'old\n')
    new.writes(b'new\n')
    assert path.read_bytes() == b'old\nnew\n'


def test_a_log_that_is_not_the_same_for_both_is_left_to_each(path, tmp_path):
    old, new = Process(path), Process(tmp_path / 'other.log')
    handlers = [old.logger.handlers, new.logger.handlers]
    logs = join(old, new, channels=['stderr'])
    logs.part()
    assert [old.logger.handlers, new.logger.handlers] == handlers
    new.writes(b'line\n')
    assert (path.read_bytes(), (tmp_path / 'other.log').read_bytes()) == (b'', b'line\n')


def test_a_program_without_a_log_has_none(path):
    silent = SimpleNamespace(spawn=None, dispatchers={5: SimpleNamespace(
        channel='stdout', normallog=None, childlog='that of a capture')})
    logs = join(silent, silent)
    logs.part()
    assert silent.dispatchers[5].normallog is None


def test_what_one_appended_is_not_written_over_after_a_rotation(path):
    old = Process(path, maxbytes=20, backups=5)
    old.writes(b'to fill the file up\n')
    old.writes(b'old 1\n')  # its handler now has a file that it does not append to
    new = Process(path, maxbytes=20, backups=5)
    logs = join(old, new)
    for line in (b'new 1\n', b'new 2\n', b'new 3\n'):
        new.writes(line)
        old.writes(b'old' + line[3:])
    logs.part()
    assert whole_text(path) == (
        b'to fill the file up\n' b'old 1\n' b'new 1\n' b'old 1\n' b'new 2\n' b'old 2\n' b'new 3\n'
        b'old 3\n')


def test_lines_are_whole_whatever_pieces_they_come_in(path):
    old, new = Process(path), Process(path)
    logs = join(old, new)
    for process, data in ((old, b'o'), (new, b'new 1\nn'), (old, b'ld 1\nold'), (new, b'ew 2\n')):
        process.writes(data)
    assert path.read_bytes() == b'new 1\nold 1\nnew 2\n'
    logs.part()
    assert path.read_bytes() == b'new 1\nold 1\nnew 2\nold'


def test_a_line_that_was_begun_before_is_ended_before_another_begins(path):
    old = Process(path)
    old.writes(b'a line that')
    new = Process(path)
    logs = join(old, new)
    new.writes(b'new\n')
    assert path.read_bytes() == b'a line that'
    old.writes(b' ends\nold')
    assert path.read_bytes() == b'a line that ends\nnew\n'
    logs.part()
    assert path.read_bytes() == b'a line that ends\nnew\nold'


@pytest.mark.parametrize('first', ['old', 'new'])
def test_when_they_part_who_has_begun_a_line_ends_it_first(path, first):
    both = {'old': Process(path), 'new': Process(path)}
    logs = join(both['old'], both['new'])
    begun, other = both.pop(first), both.popitem()[1]
    begun.writes(b'x' * (LONGEST_LINE + 1))
    other.writes(b'other')
    begun.writes(b' ends')
    logs.part()
    assert path.read_bytes().endswith(b'x endsother')


def test_a_line_without_an_end_is_not_held_back_for_ever(path):
    old, new = Process(path), Process(path)
    join(old, new)
    old.writes(b'x' * LONGEST_LINE)
    assert path.read_bytes() == b''
    old.writes(b'x')
    assert path.read_bytes() == b'x' * (LONGEST_LINE + 1)
    new.writes(b'new\n' * (LONGEST_LINE // 4 + 1))
    assert path.read_bytes().endswith(b'xnew\n' + b'new\n' * (LONGEST_LINE // 4))



def test_each_handler_of_a_log_gets_the_lines(path):
    old, new = Process(path), Process(path)
    seen = []

    class Syslog(loggers.SyslogHandler):
        fmt = 'web_0 %(message)s'

        def _syslog(self, message):
            seen.append(message)
    new.logger.addHandler(Syslog())
    join(old, new)
    new.writes(b'one\ntw')
    new.writes(b'o\n')
    assert seen == ['web_0 one', 'web_0 two']
    assert path.read_bytes() == b'one\ntwo\n'


@pytest.mark.parametrize('request_of', ['old', 'new'])
def test_a_file_that_was_moved_away_is_opened_anew_for_both(path, request_of):
    both = {'old': Process(path), 'new': Process(path)}
    join(both['old'], both['new'])
    path.rename(path.parent / 'moved')
    for handler in both[request_of].logger.handlers:  # as dispatchers.py: reopenlogs
        handler.reopen()
    both['old'].writes(b'old\n')
    both['new'].writes(b'new\n')
    assert path.read_bytes() == b'old\nnew\n'


def test_a_file_that_is_cleared_is_cleared_for_both(path):
    old = Process(path)
    old.writes(b'a line')
    new = Process(path)
    join(old, new)
    for handler in new.logger.handlers:  # as dispatchers.py: removelogs
        handler.remove()
        handler.reopen()
    new.writes(b'new\n')
    assert path.read_bytes() == b'new\n'



@pytest.mark.parametrize('channels', [['stdout'], []])
def test_lines_for_syslog_begin_with_the_name_of_the_slot(path, channels):
    old, new = Process(path), Process(path)
    syslog = loggers.SyslogHandler()
    syslog.setFormat('web_0.new %(message)s')
    new.logger.addHandler(syslog)
    join(old, new, channels=channels)
    assert syslog.fmt == 'web_0 %(message)s'


# One that dies meanwhile, and is spawned again by supervisord's autorestart

@pytest.mark.parametrize('which', ['old', 'new'])
def test_from_its_first_line_one_that_is_spawned_again_writes_to_the_same_file(path, which):
    both = {name: Process(path, maxbytes=20, backups=9) for name in ('old', 'new')}
    logs = join(both['old'], both['new'])
    again, other = both.pop(which), both.popitem()[1]
    other.writes(b'to fill the file up\n')  # whose file is now one that it does not append to
    again.writes(b'dies')
    again.spawn()
    for _ in range(3):
        again.writes(b'again\n')
        other.writes(b'other\n')
    logs.part()
    assert whole_text(path) == b'to fill the file up\ndies' + b'again\nother\n' * 3
    assert len(logs_open(path)) == 1
    again.spawn()
    assert len(again.logger.handlers) == 1 and again.logger.handlers != other.logger.handlers


def test_what_one_that_dies_again_and_again_has_had_is_not_kept(path):
    old, new = Process(path), Process(path)
    logs = join(old, new)
    for _ in range(10):
        old.writes(b'dies')
        old.spawn()
    assert len(logs._files['stdout'].writers) == 2
    assert len(logs_open(path)) == 1


# How long something is held back

def test_the_end_of_a_line_is_waited_for_for_a_second_and_no_longer(path):
    clock, told = Clock(), []
    old = Process(path)
    old.writes(b'a line that does not end')
    new = Process(path)
    logs = join(old, new, changed=lambda: told.append(clock.now), clock=clock)
    assert logs.due() == math.inf
    new.writes(b'new\n')
    assert (told, logs.due()) == ([clock.now], PATIENCE)
    clock.forward(PATIENCE / 2)
    new.writes(b'another\n')
    logs.look()
    assert path.read_bytes() == b'a line that does not end'
    clock.forward(logs.due())
    logs.look()
    assert path.read_bytes() == b'a line that does not endnew\nanother\n'
    assert (len(told), logs.due()) == (1, math.inf)


def test_a_piece_of_a_line_is_not_held_back_longer_either(path):
    clock = Clock()
    old, new = Process(path), Process(path)
    logs = join(old, new, clock=clock)
    old.writes(b'done\nLoading ...')
    clock.forward(logs.due())
    logs.look()
    assert path.read_bytes() == b'done\nLoading ...'
    new.writes(b'new\n')  # waits its second
    old.writes(b' loaded\n')
    assert path.read_bytes() == b'done\nLoading ... loaded\nnew\n'
