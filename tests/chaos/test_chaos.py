"""A short run of the chaos, always the same."""

import pytest

from tests.chaos.__main__ import run


@pytest.mark.stress
def test_a_supervisord_in_chaos_ends_with_everything_running():
    assert run(6.0, 1) == 0
