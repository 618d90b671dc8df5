"""For all unit tests."""

import asyncio
from types import SimpleNamespace

import pytest

from tests.support.world import World


@pytest.fixture(autouse=True)
def every_world_is_left():
    yield
    World.leave()


@pytest.fixture
def asyncio_keeps_out(monkeypatch):
    """From Python 3.12 on asyncio, where it is imported, takes the wakeup descriptor from every
    child (asyncio/events.py: on_fork). supervisord does not import it.
    """
    monkeypatch.setattr(asyncio.events, 'signal', SimpleNamespace(set_wakeup_fd=lambda fd: -1),
                        raising=False)
