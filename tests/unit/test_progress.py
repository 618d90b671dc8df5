"""The progress line: when it is drawn, and that it is gone."""

import io
import threading

import pytest

from supervisor_restarter.commands import progress
from tests.unit.test_standing import info


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
