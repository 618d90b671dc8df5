"""The pollers of other systems: a restart is driven as it is by Linux's."""

import time

import pytest

from tests.support.daemon import group, plugged

# Gone a moment after it is told to, when the loop sleeps; and no pipe of it tells supervisord so.
MOMENT = ("/bin/sh -c 'exec >/dev/null 2>&1; trap \"sleep 0.05; exit 0\" TERM; "
          "while :; do sleep 0.02; done'")


@pytest.mark.parametrize('poller', ['select', 'kqueue'])
@pytest.mark.parametrize('options', [{'max_unavailable': 1}, {'max_surge': 1}])
def test_a_restart_does_not_wait_for_the_loop_and_leaves_nothing(poller, options):
    # Where the loop is not woken, each of the ten steps takes a second.
    with plugged('pollers', group('web', 10, MOMENT), extra='poller = ' + poller) as daemon:
        before, open_before = daemon.wait_running('web'), daemon.descriptors_at_rest()
        with daemon.connection() as rpc:
            began = time.monotonic()
            assert rpc.restarter.restartProcessGroup('web', dict(options, timeout=30)) is True
            assert time.monotonic() - began < 6
        assert not set(before.values()) & set(daemon.wait_running('web').values())
        assert daemon.descriptors_at_rest() == open_before
