"""Two processes of a slot write to one log file, and no line is lost or torn."""

from types import SimpleNamespace

import pytest
from supervisor import loggers

from supervisor_restarter.daemon.logs import LONGEST_LINE, SharedLogs, name_in_logs


class Process:
    """What logs see of a process: loggers with handlers of their own, as Supervisor makes them."""

    def __init__(self, path, name='normallog', maxbytes=0, backups=0, **channels):
        self.logger = loggers.getLogger()
        loggers.handle_file(self.logger, str(path), '%(message)s', rotating=bool(maxbytes),
                            maxbytes=maxbytes, backups=backups)
        dispatcher = SimpleNamespace(channel='stdout', **{name: self.logger})
        self.dispatchers = {5: dispatcher, 7: SimpleNamespace(channel='stdin')}

    def writes(self, data):
        self.logger.info(data)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'web_0.log'


@pytest.mark.parametrize('name', ['normallog', 'mainlog', 'childlog'])
def test_both_write_to_the_file_that_the_first_one_has_open(path, name):
    old, new = Process(path, name), Process(path, name)
    theirs, own = old.logger.handlers, new.logger.handlers
    logs = SharedLogs()
    logs.join(old, new)
    old.writes(b'one\n')
    new.writes(b'two\n')
    logs.part()
    new.writes(b'three\n')
    assert path.read_bytes() == b'one\ntwo\nthree\n'
    assert new.logger.handlers == old.logger.handlers == theirs
    assert own[0].closed and not theirs[0].closed


def test_a_log_that_is_not_the_same_for_both_is_left_to_each(path, tmp_path):
    old, new = Process(path), Process(tmp_path / 'other.log')
    handlers = [old.logger.handlers, new.logger.handlers]
    logs = SharedLogs(['stderr'])
    logs.join(old, new)
    logs.part()
    assert [old.logger.handlers, new.logger.handlers] == handlers
    new.writes(b'line\n')
    assert (path.read_bytes(), (tmp_path / 'other.log').read_bytes()) == (b'', b'line\n')


def test_a_program_without_a_log_has_none(path):
    silent = SimpleNamespace(dispatchers={5: SimpleNamespace(channel='stdout', normallog=None,
                                                             childlog='that of a capture')})
    logs = SharedLogs()
    logs.join(silent, silent)
    logs.part()
    assert silent.dispatchers[5].normallog is None


def test_what_one_appended_is_not_written_over_after_a_rotation(path):
    old = Process(path, maxbytes=20, backups=5)
    old.writes(b'to fill the file up\n')
    old.writes(b'old 1\n')  # its handler now has a file that it does not append to
    new = Process(path, maxbytes=20, backups=5)
    logs = SharedLogs()
    logs.join(old, new)
    for line in (b'new 1\n', b'new 2\n', b'new 3\n'):
        new.writes(line)
        old.writes(b'old' + line[3:])
    logs.part()
    text = b''.join(file.read_bytes() for file in sorted(path.parent.iterdir(), reverse=True))
    assert text == (b'to fill the file up\n' b'old 1\n' b'new 1\n' b'old 1\n' b'new 2\n'
                    b'old 2\n' b'new 3\n' b'old 3\n')


def test_lines_are_whole_whatever_pieces_they_come_in(path):
    old, new = Process(path), Process(path)
    logs = SharedLogs()
    logs.join(old, new)
    for process, data in ((old, b'o'), (new, b'new 1\nn'), (old, b'ld 1\nold'), (new, b'ew 2\n')):
        process.writes(data)
    assert path.read_bytes() == b'new 1\nold 1\nnew 2\n'
    logs.part()
    assert path.read_bytes() == b'new 1\nold 1\nnew 2\nold'


def test_a_line_that_was_begun_before_is_ended_before_another_begins(path):
    old = Process(path)
    old.writes(b'a line that')
    new = Process(path)
    logs = SharedLogs()
    logs.join(old, new)
    new.writes(b'new\n')
    assert path.read_bytes() == b'a line that'
    old.writes(b' ends\nold')
    assert path.read_bytes() == b'a line that ends\nnew\n'
    logs.part()
    assert path.read_bytes() == b'a line that ends\nnew\nold'


@pytest.mark.parametrize('first', ['old', 'new'])
def test_when_they_part_who_has_begun_a_line_ends_it_first(path, first):
    both = {'old': Process(path), 'new': Process(path)}
    logs = SharedLogs()
    logs.join(both['old'], both['new'])
    begun, other = both.pop(first), both.popitem()[1]
    begun.writes(b'x' * (LONGEST_LINE + 1))
    other.writes(b'other')
    begun.writes(b' ends')
    logs.part()
    assert path.read_bytes().endswith(b'x endsother')


def test_a_line_without_an_end_is_not_held_back_for_ever(path):
    old, new = Process(path), Process(path)
    logs = SharedLogs()
    logs.join(old, new)
    old.writes(b'x' * LONGEST_LINE)
    assert path.read_bytes() == b''
    old.writes(b'x')
    assert path.read_bytes() == b'x' * (LONGEST_LINE + 1)
    new.writes(b'new\n' * (LONGEST_LINE // 4 + 1))
    assert path.read_bytes().endswith(b'xnew\n' + b'new\n' * (LONGEST_LINE // 4))


def test_one_that_was_spawned_again_writes_to_the_same_file(path):
    old, new = Process(path), Process(path)
    logs = SharedLogs()
    logs.join(old, new)
    old.writes(b'old, and')
    again = Process(path)
    again_own = again.logger.handlers[0]
    logs.join(again, new)
    logs.join(again, new)
    again.writes(b'again\n')
    logs.part()
    assert path.read_bytes() == b'again\nold, and'
    assert again_own.closed and again.logger.handlers == new.logger.handlers


def test_each_handler_of_a_log_gets_the_lines(path):
    old, new = Process(path), Process(path)
    seen = []

    class Syslog(loggers.SyslogHandler):
        fmt = 'web_0 %(message)s'

        def _syslog(self, message):
            seen.append(message)
    old.logger.addHandler(Syslog())
    logs = SharedLogs()
    logs.join(old, new)
    new.writes(b'one\ntw')
    new.writes(b'o\n')
    assert seen == ['web_0 one', 'web_0 two']
    assert path.read_bytes() == b'one\ntwo\n'


@pytest.mark.parametrize('request_of', ['old', 'new'])
def test_a_file_that_was_moved_away_is_opened_anew_for_both(path, request_of):
    both = {'old': Process(path), 'new': Process(path)}
    logs = SharedLogs()
    logs.join(both['old'], both['new'])
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
    logs = SharedLogs()
    logs.join(old, new)
    for handler in new.logger.handlers:  # as dispatchers.py: removelogs
        handler.remove()
        handler.reopen()
    new.writes(b'new\n')
    assert path.read_bytes() == b'new\n'


def test_what_a_process_has_said_last_is_known_until_they_part(path):
    old, new = Process(path), Process(path)
    logs = SharedLogs()
    logs.join(old, new)
    assert logs.last_words(new) == ''
    new.writes(b'Traceback\nOSErr')
    old.writes(b'old\n')
    new.writes(b'or: \xff in use \n \n')
    assert (logs.last_words(new), logs.last_words(old)) == ('OSError: \ufffd in use', 'old')
    logs.part()
    assert logs.last_words(new) == ''


def test_lines_for_syslog_begin_with_the_name_of_the_slot(path):
    process = Process(path)
    process.config = SimpleNamespace(name='web_0.new')
    syslog = loggers.SyslogHandler()
    syslog.setFormat('web_0.new %(message)s')
    process.logger.addHandler(syslog)
    name_in_logs(process, 'web_0')
    assert [handler.fmt for handler in process.logger.handlers] == [
        '%(message)s', 'web_0 %(message)s']
