"""For all unit tests."""

import pytest

from tests.support.world import World


@pytest.fixture(autouse=True)
def every_world_is_left():
    yield
    World.leave()
