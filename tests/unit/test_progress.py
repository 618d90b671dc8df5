"""The progress line."""

import io
import threading

import pytest

from supervisor_restarter.commands import progress


def info(**changes):
    base = {'group': 'web', 'state': 'RESTARTING', 'total': 10, 'waiting': 0, 'stopping': 0,
            'starting': 0, 'restarted': 0, 'failed': 0, 'removed': 0, 'elapsed': 1.25, 'faults': []}
    return dict(base, **changes)


@pytest.mark.parametrize('changes, text', [
    ({'waiting': 10}, 'web [....................] 10 waiting, 1.2 s'),
    ({'waiting': 3, 'starting': 2, 'restarted': 5},
     'web [##########..........] 3 waiting, 2 starting, 5 restarted, 1.2 s'),
    ({'restarted': 8, 'failed': 1, 'removed': 1},
     'web [####################] 8 restarted, 1 failed, 1 removed, 1.2 s'),
])
def test_the_line_shows_group_bar_counts_and_seconds(changes, text):
    assert progress.line(info(**changes), 100) == text


@pytest.mark.parametrize('width', [0, 1, 2, 20, 79])
def test_the_line_is_narrower_than_the_terminal(width):
    assert len(progress.line(info(waiting=10), width)) <= max(0, width - 1)


class FakeServer:
    """Answers getRestartInfo, and lets the test know."""

    def __init__(self, answer):
        self.restarter = self
        self.answer = answer
        self.asked = threading.Event()

    def getRestartInfo(self, group):
        self.asked.set()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def shown(server):
    stream = io.StringIO()
    with progress.progress('web', lambda: server, stream):
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
