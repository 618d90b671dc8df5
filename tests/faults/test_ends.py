"""However a restart ends, supervisord is as quick and as idle as if there had been none."""

import signal
import time

import pytest

from supervisor_restarter.restart.faults import Faults
from tests.integration.test_residue import assert_nothing_is_left
from tests.support.daemon import MANNERS, Daemon, group, wait_until
from tests.support.faults import Call, wait_finished, wait_phase

pytestmark = pytest.mark.slow

# Takes a second to stop; but one that is spawned once the file is there takes stopwaitsecs.
STUBBORN = ("/bin/sh -c 'if [ -e %s ]; then trap \"\" TERM; else trap \"sleep 1; exit 0\" TERM; fi;"
            " while :; do sleep 0.05; done'")


def seconds_to_end(way, restarting, flag):
    """How long supervisord needs to end, or to be there again, in a restart and without one."""
    with Daemon(group('web', 4, STUBBORN % flag, stopwaitsecs=10), {'timeout': 30}) as daemon:
        daemon.wait_running('web')
        daemon.write_configuration('')  # so that nothing is there after a reload
        if restarting:
            call = Call(daemon, 'web')
            wait_phase(daemon, 'stopping', 4)
        flag.touch()
        begin = time.monotonic()
        daemon.signal(way)
        if way == signal.SIGTERM:
            daemon.wait_ended()
        else:
            wait_until(lambda: daemon.log().count('supervisord started with pid') == 2, 'reload')
        seconds = time.monotonic() - begin
        if restarting:
            answer = call.result()
            assert isinstance(answer, OSError) or answer.faultCode == Faults.SHUTDOWN_STATE
        return seconds


@pytest.mark.parametrize('way', [signal.SIGTERM, signal.SIGHUP])
def test_supervisord_ends_or_reloads_no_later_in_a_restart_than_without_one(way, tmp_path):
    alone = seconds_to_end(way, False, tmp_path / 'alone')
    # Its loop turns once a second, so that much is chance.
    assert seconds_to_end(way, True, tmp_path / 'restarting') < alone + 2


def test_nothing_is_left_of_a_restart_that_stopped_early(tmp_path):
    # The new release exits at once: the first two fail, and the old ones go on serving.
    release = tmp_path / 'release'
    release.write_text('#!/bin/sh\nexec /bin/sleep 100000\n')
    release.chmod(0o755)
    with Daemon(group('web', 4, str(release), startsecs=1, startretries=0)) as daemon:
        before = daemon.wait_running('web')
        descriptors = daemon.descriptors_at_rest()
        release.write_text('#!/bin/sh\nexit 1\n')
        answer = Call(daemon, 'web', {'max_unavailable': 2}).result()
        assert [fault['code'] for fault in answer] == [
            Faults.START_FAILED, Faults.START_FAILED, Faults.STOPPED_EARLY]
        after = daemon.pids('web')
        assert after == dict(before, web_002=0, web_003=0)
        wait_finished(daemon)
        # The two that failed have given back one pipe each for input, output and errors.
        assert_nothing_is_left(daemon, descriptors - 2 * 3)


def test_nothing_is_left_of_a_restart_whose_group_was_removed():
    options = {'stagger_factor': 2, 'delay': 60, 'timeout': 300}
    with Daemon(group('web', 2), options) as daemon:
        daemon.wait_running('web')
        descriptors = daemon.descriptors_at_rest()
        call = Call(daemon, 'web')
        wait_phase(daemon, 'restarted')
        daemon.supervisorctl('stop', 'web:*')
        daemon.rpc.supervisor.removeProcessGroup('web')
        assert call.result().faultCode == Faults.BAD_GROUP
        daemon.rpc.supervisor.addProcessGroup('web')
        daemon.wait_running('web')
        assert_nothing_is_left(daemon, descriptors)
        assert Call(daemon, 'web', {'delay': 0.1}).result() is True


@pytest.mark.parametrize('daemonize', [False, True])
def test_nothing_is_left_of_a_restart_after_a_reload(daemonize):
    with Daemon(group('web', 2, MANNERS['late']), {'timeout': 30}, daemonize=daemonize) as daemon:
        daemon.wait_running('web')
        descriptors = daemon.descriptors_at_rest()
        call = Call(daemon, 'web')
        wait_phase(daemon, 'stopping')
        daemon.signal(signal.SIGHUP)
        call.result()
        wait_until(lambda: daemon.log().count('supervisord started with pid') == 2, 'reload')
        wait_until(lambda: daemon.rpc.supervisor.getState()['statename'] == 'RUNNING', 'it runs')
        daemon.wait_running('web')
        assert_nothing_is_left(daemon, descriptors)


def test_nothing_is_left_when_supervisord_reloads_at_once_since_all_is_down():
    with Daemon(group('web', 2, startsecs=3), {'timeout': 30}, daemonize=True) as daemon:
        daemon.wait_running('web')
        descriptors = daemon.descriptors_at_rest()
        call = Call(daemon, 'web')
        wait_phase(daemon, 'starting', 2)
        daemon.rpc.supervisor.stopProcessGroup('web')
        # For a second the restart waits whether they start them again. supervisord has nothing to
        # wait for: there is no other pass before it closes its descriptors.
        daemon.signal(signal.SIGHUP)
        answer = call.result()
        assert isinstance(answer, OSError) or answer.faultCode == Faults.SHUTDOWN_STATE
        wait_until(lambda: daemon.log().count('supervisord started with pid') == 2, 'reload')
        wait_until(lambda: daemon.rpc.supervisor.getState()['statename'] == 'RUNNING', 'it runs')
        daemon.wait_running('web')
        assert_nothing_is_left(daemon, descriptors)
