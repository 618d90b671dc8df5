"""The progress line: when it is drawn, and that it is gone."""

import io
import threading

import pytest

from supervisor_restarter.commands import progress
from supervisor_restarter.commands.errands import Errand
from supervisor_restarter.commands.names import Target
from supervisor_restarter.commands.options import RESTART, Asked
from supervisor_restarter.commands.reports import Report
from supervisor_restarter.commands.standing import progress_line
from tests.unit.test_standing import info

ASKED = Asked(RESTART, ['web'], {}, frozenset())


class FakeServer:
    """Answers getRestartInfo, and lets the test know."""

    def __init__(self, answer):
        self.restarter = self
        self.answer = answer
        self.asked = threading.Event()

    def getRestartInfo(self, group):
        assert group == 'web'  # the first that has not ended
        self.asked.set()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def shown(server, queued=False, others=0):
    stream = io.StringIO()
    errands = [Errand(Target(name), ASKED) for name in ['done', 'web', *'abc'[:others]]]
    errands[0].report = Report('done', 'restarted')
    errands[1].queued = queued
    with progress.progress(errands, lambda: server, stream):
        assert server.asked.wait(10)
    return stream.getvalue()


def test_the_line_is_gone_when_the_restart_ends(monkeypatch):
    monkeypatch.setattr(progress, 'PERIOD', 0.001)
    assert shown(FakeServer(info(waiting=10))).endswith('\r\x1b[K')


@pytest.mark.parametrize('answer', [
    info(state='IDLE'), info(state='FINISHED'), ConnectionRefusedError()])
def test_nothing_is_shown_of_what_is_not_running(monkeypatch, answer):
    monkeypatch.setattr(progress, 'PERIOD', 0.001)
    assert shown(FakeServer(answer)) == '\r\x1b[K'


@pytest.mark.parametrize('queued, others, line', [
    (False, 0, 'web [....................] 10 waiting, 1.2 s'),
    (True, 0, 'web waits for its turn: [....................] 10 waiting, 1.2 s'),
    (False, 1, 'web [....................] 10 waiting, 1.2 s, and 1 more group'),
    (False, 3, 'web [....................] 10 waiting, 1.2 s, and 3 more groups'),
])
def test_it_tells_whose_end_is_waited_for_and_how_many_are_left(queued, others, line):
    assert progress_line(info(waiting=10), 120, others, queued) == line
    assert shown(FakeServer(info(waiting=10)), queued, others).endswith('\r\x1b[K')
