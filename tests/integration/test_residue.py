"""What the plugin adds to supervisord while a restart runs is gone when it ends."""

import signal
import time
from pathlib import Path

import pytest

from tests.support.daemon import MANNERS, group, running, wait_until
from tests.support.faults import all_new, info, wait_finished
from tests.support.residue import assert_nothing_is_left, catches_alarm


def gone(pid):
    """Whether a process is gone, or only waits for init to collect it."""
    try:
        return Path('/proc/%d/stat' % pid).read_text().rsplit(')', 1)[1].split()[0] == 'Z'
    except OSError:
        return True


@pytest.mark.parametrize('how', ['all are up', 'timeout', 'cancel'])
def test_a_handler_and_a_socket_pair_are_there_only_while_a_restart_runs(how):
    with running(group('web', 2, MANNERS['held back'], startsecs=1)) as (daemon, _):
        descriptors = daemon.descriptors_at_rest()
        assert not catches_alarm(daemon)
        daemon.rpc.restarter.restartProcessGroup('web', {
            'timeout': 0.1 if how == 'timeout' else 30, 'wait': False})
        assert catches_alarm(daemon)
        if how == 'timeout':
            wait_until(lambda: info(daemon)['state'] == 'SETTLING', 'the time is up')
        elif how == 'cancel':
            daemon.rpc.restarter.cancelRestart('web')
        daemon.let_go()
        wait_finished(daemon)
        assert_nothing_is_left(daemon, descriptors)


@pytest.mark.stress
@pytest.mark.parametrize('options', [{}, {'max_surge': 1}])
def test_200_restarts_back_to_back_leave_no_descriptor_no_memory_and_no_name(options):
    with running(group('web', 10, stdout_logfile='AUTO', stderr_logfile='AUTO'),
                 {'timeout': 60}, loglevel='info') as (daemon, _):
        names, longest = list(daemon.states('web')), 0.0
        with daemon.connection() as rpc:
            for number in range(230):
                if number == 30:  # caches are warm
                    descriptors, memory = len(daemon.descriptors()), daemon.memory()
                begin = time.monotonic()
                assert rpc.restarter.restartProcessGroup('web', options) is True
                longest = max(longest, time.monotonic() - begin)
            # A stop signal that is lost costs stopwaitsecs, ten seconds.
            assert longest < 5
            assert len(daemon.descriptors()) == descriptors
            # Python takes memory by the MiB (an arena), so one more than none is no growth.
            assert daemon.memory() - memory < 3 << 19
        assert list(daemon.states('web')) == names


def test_a_daemonized_supervisord_restarts_and_ends_with_all_that_it_has_started():
    with running(group('web', 3), daemonize=True) as (daemon, before):
        pid = daemon.pid
        daemon.signal(signal.SIGUSR2)  # supervisord's own handlers are there after daemonizing
        wait_until(lambda: 'supervisord logreopen' in daemon.log(), 'the log is opened anew')
        assert daemon.rpc.restarter.restartProcessGroup('web') is True
        after = daemon.pids('web')
        assert all_new(before, after)
        daemon.signal(signal.SIGTERM)
        daemon.wait_ended()
        for process in [pid, *after.values()]:
            wait_until(lambda process=process: gone(process), '%d is gone' % process)
