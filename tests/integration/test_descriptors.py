"""A process that a restart has spawned has the descriptors that Supervisor's own spawn gives it.

Without a fork it does not inherit what lies at or above `minfds`.
"""

import getpass
import os

import pytest

from supervisor_restarter.daemon.spawn import WITHOUT_FORK
from tests.programs.opener import ABOVE, BEFORE_ANYTHING, BETWEEN, DURING, MINFDS
from tests.support.daemon import descriptors, group, plugged, running, wait_until
from tests.support.faults import all_new

USER = 'nobody' if os.getuid() == 0 else getpass.getuser()


CASES = {
    'all at once': (group('web', 3), {}),
    'rolling': (group('web', 3), {'max_unavailable': 1}),
    'new before old': (group('web', 3), {'max_surge': 1}),
    'errors go to the output': (group('web', 3, redirect_stderr='true'), {}),
    'a user': (group('web', 3, user=USER), {}),
    'an fcgi-program': (
        group('web', 3, kind='fcgi-program', socket='unix://%(here)s/web.sock'), {}),
    'event listeners': (group('web', 3, kind='eventlistener', events='TICK_3600'), {}),
}


def opener(programs):
    """A supervisord with the careless plugin in it."""
    return plugged('opener', programs, minfds=MINFDS)


def inherits(programs):
    """What a process that a restart has spawned has beside its three."""
    return set() if WITHOUT_FORK and 'user =' not in programs else {ABOVE}


def wait_for_descriptors(pids, beside):
    """Wait until processes have those that they are to have, and no more.

    While a program is loaded, it has its libraries open for a moment.
    """
    for pid in pids:
        wait_until(lambda pid=pid: set(descriptors(pid)) == {0, 1, 2} | beside,
                   '%d has 0, 1, 2 and %s' % (pid, beside))


def kinds(opened):
    """The kinds of things, by number; and whether 1 and 2 are the same one."""
    return ({number: what.split(':')[0] for number, what in opened.items() if number != ABOVE},
            opened[1] == opened[2])


@pytest.mark.parametrize('programs, options', CASES.values(), ids=CASES)
def test_it_has_its_three(programs, options):
    with running(opener(programs)) as (daemon, before):
        wait_for_descriptors(before.values(), {ABOVE})
        by_supervisor, = {str(kinds(descriptors(pid))) for pid in before.values()}
        daemon.rpc.opener.open()
        for _ in range(2):
            assert daemon.rpc.restarter.restartProcessGroup('web', options) is True
            after = daemon.wait_running('web')
            assert all_new(before, after)
            wait_for_descriptors(after.values(), inherits(programs))
            for pid in after.values():
                assert str(kinds(descriptors(pid))) == by_supervisor
            before = after


def test_supervisord_keeps_its_own():
    with opener(group('web', 3)) as daemon:
        daemon.wait_running('web')
        daemon.rpc.opener.open()
        assert daemon.rpc.restarter.restartProcessGroup('web') is True
        daemon.wait_running('web')
        assert {BEFORE_ANYTHING, BETWEEN, DURING, ABOVE} <= set(daemon.descriptors())
        # Its next spawn by itself is what its first one was.
        daemon.rpc.supervisor.stopProcessGroup('web')
        daemon.rpc.supervisor.startProcessGroup('web')
        wait_for_descriptors(daemon.wait_running('web').values(), {ABOVE})
