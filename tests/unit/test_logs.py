"""Two processes of a slot write to one log file, and no line is lost or torn."""

import math
import os
from types import SimpleNamespace

import pytest
from supervisor import loggers

from supervisor_restarter.daemon.logs import LONGEST_LINE, PATIENCE, SharedLogs
from tests.support.daemon import descriptors
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

    def writes(self, *lines):
        for line in lines:
            self.logger.info(line)


class Shared:
    """Two processes of a slot, `old` and `new`, whose log is shared; the old one has written some
    lines `before` the new one came.
    """

    def __init__(self, path, before=(), join=True, **log):
        self.path, self.clock, self.told = path, Clock(), []
        self.old = Process(path, **log)
        self.old.writes(*before)
        self.new = Process(path, **log)
        if join:
            self.join()

    def join(self, channels=('stdout', 'stderr')):
        logs = self.logs = SharedLogs('web_0', channels, lambda: self.told.append(self.clock.now),
                                      self.clock)
        self.part, self.due = logs.part, logs.due
        logs.join(self.old, self.new)

    def other(self, which):
        return self.new if which == 'old' else self.old

    def writes(self, *lines):
        """Write lines in turn, those in upper case by the old process."""
        for line in lines:
            (self.old if line.isupper() else self.new).writes(line)

    def look_when_due(self):
        self.clock.forward(self.due())
        self.logs.look()

    @property
    def text(self):
        return self.path.read_bytes()

    @property
    def whole_text(self):
        """All that was written to the file, and to those that it was rotated to."""
        return b''.join(file.read_bytes() for file in sorted(self.path.parent.iterdir(),
                                                             reverse=True))

    @property
    def descriptors(self):
        """How many are open for the file, or for one that it was rotated to."""
        return sum(each.startswith(str(self.path)) for each in descriptors(os.getpid()).values())


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'web_0.log'


@pytest.fixture
def both(path):
    return Shared(path)


BOTH = pytest.mark.parametrize('which', ['old', 'new'])


@pytest.mark.parametrize('name', ['normallog', 'mainlog', 'childlog'])
def test_both_write_to_the_file_that_the_last_one_has_opened(path, name):
    both = Shared(path, join=False, name=name)
    old, new = both.old, both.new
    theirs, own = old.logger.handlers, new.logger.handlers
    both.join()
    both.writes(b'ONE\n', b'two\n')
    both.part()
    both.writes(b'three\n')
    assert both.text == b'ONE\ntwo\nthree\n'
    assert new.logger.handlers == old.logger.handlers == own
    assert theirs[0].closed and not own[0].closed
    assert 'spawn' not in {**vars(old), **vars(new)}


@pytest.mark.parametrize('gone', [os.unlink, lambda path: path.rename(path.parent / 'moved')])
def test_the_file_that_has_the_name_is_the_one_that_both_write_to(path, gone):
    both = Shared(path, [b'before\n'], join=False)
    gone(path)
    both.new = Process(path)
    both.join()
    both.writes(b'OLD\n', b'new\n')
    assert both.text == b'OLD\nnew\n'


def test_a_log_that_is_not_the_same_for_both_is_left_to_each(path, tmp_path):
    both = Shared(path, join=False)
    both.new = Process(tmp_path / 'other.log')
    handlers = [both.old.logger.handlers, both.new.logger.handlers]
    both.join(channels=['stderr'])
    both.part()
    assert [both.old.logger.handlers, both.new.logger.handlers] == handlers
    both.writes(b'line\n')
    assert (both.text, (tmp_path / 'other.log').read_bytes()) == (b'', b'line\n')


def test_a_program_without_a_log_has_none():
    silent = SimpleNamespace(spawn=None, dispatchers={5: SimpleNamespace(
        channel='stdout', normallog=None, childlog='that of a capture')})
    logs = SharedLogs('web_0', ('stdout', 'stderr'), lambda: None, Clock())
    logs.join(silent, silent)
    logs.part()
    assert silent.dispatchers[5].normallog is None


def test_what_one_appended_is_not_written_over_after_a_rotation(path):
    # By then the handler of the old one has a file that it does not append to.
    both = Shared(path, [b'to fill the file up\n', b'OLD 0\n'], maxbytes=20, backups=5)
    lines = [b'new 1\n', b'OLD 1\n', b'new 2\n', b'OLD 2\n', b'new 3\n', b'OLD 3\n']
    both.writes(*lines)
    both.part()
    assert both.whole_text == b''.join([b'to fill the file up\n', b'OLD 0\n', *lines])


# Lines

def test_lines_are_whole_whatever_pieces_they_come_in(both):
    both.writes(b'O', b'new 1\nn', b'LD 1\nOLD', b'ew 2\n')
    assert both.text == b'new 1\nOLD 1\nnew 2\n'
    both.part()
    assert both.text == b'new 1\nOLD 1\nnew 2\nOLD'


def test_a_line_that_was_begun_before_is_ended_before_another_begins(path):
    both = Shared(path, [b'A LINE THAT'])
    both.writes(b'new\n')
    assert both.text == b'A LINE THAT'
    both.writes(b' ENDS\nOLD')
    assert both.text == b'A LINE THAT ENDS\nnew\n'
    both.part()
    assert both.text == b'A LINE THAT ENDS\nnew\nOLD'


@BOTH
def test_when_they_part_who_has_begun_a_line_ends_it_first(both, which):
    begun, other = getattr(both, which), both.other(which)
    begun.writes(b'x' * (LONGEST_LINE + 1))
    other.writes(b'other')
    begun.writes(b' ends')
    both.part()
    assert both.text.endswith(b'x endsother')


def test_a_line_without_an_end_is_not_held_back_for_ever(both):
    both.old.writes(b'x' * LONGEST_LINE)
    assert both.text == b''
    both.old.writes(b'x')
    assert both.text == b'x' * (LONGEST_LINE + 1)
    both.new.writes(b'new\n' * (LONGEST_LINE // 4 + 1))
    assert both.text.endswith(b'xnew\n' + b'new\n' * (LONGEST_LINE // 4))


def test_the_end_of_a_line_is_waited_for_for_a_second_and_no_longer(path):
    both = Shared(path, [b'A LINE THAT DOES NOT END'])
    assert both.due() == math.inf
    both.writes(b'new\n')
    assert (both.told, both.due()) == ([both.clock.now], PATIENCE)
    both.clock.forward(PATIENCE / 2)
    both.writes(b'another\n')
    both.logs.look()
    assert both.text == b'A LINE THAT DOES NOT END'
    both.look_when_due()
    assert both.text == b'A LINE THAT DOES NOT ENDnew\nanother\n'
    assert (len(both.told), both.due()) == (1, math.inf)


def test_a_piece_of_a_line_is_not_held_back_longer_either(both):
    both.writes(b'DONE\nLOADING ...')
    both.look_when_due()
    assert both.text == b'DONE\nLOADING ...'
    both.writes(b'new\n', b' LOADED\n')  # the first waits its second
    assert both.text == b'DONE\nLOADING ... LOADED\nnew\n'


# Other handlers, and what is done to a file

@pytest.mark.parametrize('channels', [['stdout'], []])
def test_each_handler_of_a_log_gets_the_lines_those_for_syslog_with_the_name_of_the_slot(
        path, channels):
    both, seen = Shared(path, join=False), []
    syslog = loggers.SyslogHandler()
    syslog._syslog = seen.append
    syslog.setFormat('web_0.new %(message)s')
    both.new.logger.addHandler(syslog)
    both.join(channels)
    both.writes(b'one\ntw', b'o\n')
    assert both.text == b'one\ntwo\n'
    assert seen == (['web_0 one', 'web_0 two'] if channels else
                    ['web_0 one', 'web_0 tw', 'web_0 o'])


@BOTH
def test_a_file_that_was_moved_away_is_opened_anew_for_both(both, which):
    both.path.rename(both.path.parent / 'moved')
    for handler in getattr(both, which).logger.handlers:  # as dispatchers.py: reopenlogs
        handler.reopen()
    both.writes(b'OLD\n', b'new\n')
    assert both.text == b'OLD\nnew\n'


def test_a_file_that_is_cleared_is_cleared_for_both(path):
    both = Shared(path, [b'a line'])
    for handler in both.new.logger.handlers:  # as dispatchers.py: removelogs
        handler.remove()
        handler.reopen()
    both.writes(b'new\n')
    assert both.text == b'new\n'


# One that dies meanwhile, and is spawned again by supervisord's autorestart

@BOTH
def test_from_its_first_line_one_that_is_spawned_again_writes_to_the_same_file(path, which):
    both = Shared(path, maxbytes=20, backups=9)
    again, other = getattr(both, which), both.other(which)
    other.writes(b'to fill the file up\n')  # whose file is now one that it does not append to
    again.writes(b'dies')
    again.spawn()
    for _ in range(3):
        again.writes(b'again\n')
        other.writes(b'other\n')
    both.part()
    assert both.whole_text == b'to fill the file up\ndies' + b'again\nother\n' * 3
    assert both.descriptors == 1
    again.spawn()
    assert len(again.logger.handlers) == 1 and again.logger.handlers != other.logger.handlers


def test_what_one_that_dies_again_and_again_has_had_is_not_kept(both):
    for _ in range(10):
        both.old.writes(b'dies')
        both.old.spawn()
    assert len(both.logs._files['stdout'].writers) == 2
    assert both.descriptors == 1
