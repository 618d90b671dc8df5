"""What happens to one process during a restart is a fault of its own at most."""

import os
import resource
import signal

import pytest

from tests.support.daemon import MANNERS, Daemon, group, running, wait_until
from tests.support.faults import (
    QUICK,
    RESTARTED,
    STARTING,
    STOPPING,
    WAITING,
    Call,
    Caller,
    all_new,
    info,
    no_process_has_two_lives,
    sabotaged,
    wait_finished,
    wait_phase,
)
from tests.support.stress import pairs

pytestmark = pytest.mark.slow

# What somebody does to it. KILL: it dies by itself.
DEEDS = ['stop', 'start', 'restart', 'signal USR2', 'KILL']


# The process is that which stands in the phase first.
@pytest.mark.parametrize('name, phase, manner, startsecs, options, deed', pairs(
    [('web_000', *WAITING), ('web_000', *STOPPING), ('web_000', *STARTING),
     ('web_001', *RESTARTED)], DEEDS))
def test_somebody_else_is_not_fought(name, phase, manner, startsecs, options, deed):
    with running(group('web', 2, MANNERS[manner], startsecs), options) as (daemon, _):
        call = Call(daemon, 'web')
        wait_phase(daemon, phase)
        if deed == 'KILL':
            os.kill(daemon.pids('web')[name], signal.SIGKILL)
        else:
            theirs = daemon.supervisorctl(*deed.split(), 'web:' + name, timeout=30)
            assert 'Traceback' not in theirs.stdout + theirs.stderr
        # On a busy machine their command may come when all is over: then it stays stopped.
        is_late = deed == 'stop' and info(daemon)['state'] == 'FINISHED'
        daemon.let_go()
        answer = call.result()
        faults = [] if answer is True else [fault['name'] for fault in answer]
        assert faults in ([], [name])
        other = {'web_000': 'web_001', 'web_001': 'web_000'}[name]
        daemon.wait_state('web', other, 'RUNNING')
        if deed in ('restart', 'KILL') or not (faults or is_late):
            daemon.wait_state('web', name, 'RUNNING')
        no_process_has_two_lives(daemon)


def faults_of(answer):
    return [(fault['name'], fault['text'].split(':')[0]) for fault in answer]


def test_a_fork_that_fails_is_a_fault_and_the_others_restart():
    with running(sabotaged(group('web', 4))) as (daemon, before):
        daemon.rpc.saboteur.failForks(1)
        assert [code for _, code in faults_of(Call(daemon, 'web').result())] == ['SPAWN_ERROR']
        assert all_new(before, daemon.wait_running('web'))  # Supervisor tries again


def test_without_descriptors_for_its_pipes_a_process_is_a_fault_and_the_others_restart():
    with running(group('web', 4, MANNERS['held back'])) as (daemon, before):
        with daemon.connection() as rpc:
            rpc.restarter.restartProcessGroup('web', {'wait': False, 'timeout': 30})
            used = max(daemon.descriptors())
            hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[1]
            # What one process gives back is not enough for the next one, nor what all give back
            # for all: each needs six for a moment.
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (used - 2, hard))
            daemon.let_go()
            wait_until(lambda: rpc.restarter.getRestartInfo('web')['state'] == 'FINISHED', 'end')
            named = [fault['text'].split(':')[0] for fault in
                     rpc.restarter.getRestartInfo('web')['faults']]
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (hard, hard))
        assert set(named) == {'SPAWN_ERROR'} and 1 <= len(named)
        assert daemon.alive()
        assert all_new(before, daemon.wait_running('web'))  # Supervisor tries again


@pytest.mark.parametrize('phase, manner, startsecs, options, seconds', pairs(
    [STOPPING, STARTING], [-3600, 3600]))
def test_a_clock_that_is_set_is_no_early_timeout_and_no_hang(
        phase, manner, startsecs, options, seconds):
    programs = group('web', 2, MANNERS[manner], startsecs)
    with running(sabotaged(programs, options)) as (daemon, before):
        call = Call(daemon, 'web')
        wait_phase(daemon, phase, 2)
        daemon.rpc.saboteur.setClock(seconds)
        daemon.let_go()
        assert call.result(20) is True  # and not in an hour
        assert all_new(before, daemon.pids('web'))


def test_a_process_whose_child_keeps_its_output_open_is_noticed_at_once():
    # It stops a while after it is told to, so that only its SIGCHLD can turn the loop.
    command = ("/bin/sh -c 'setsid /bin/sleep 3 & trap \"sleep 0.2; exit 0\" TERM; "
               "while :; do sleep 0.02; done'")

    def seconds_until_up(daemon):
        daemon.wait_running('web')
        assert daemon.rpc.restarter.restartProcessGroup('web') is True
        return daemon.rpc.restarter.getRestartInfo('web')['elapsed']
    with Daemon(group('web', 2, command)) as daemon:
        assert any(seconds_until_up(daemon) < QUICK for _ in range(10))


@pytest.mark.parametrize('options', [{}, {'max_unavailable': 1}])
def test_a_wrapper_that_ends_before_its_child_is_started_when_the_lock_is_free(options):
    daemon = Daemon(group('web', 2, 'flock -n %(here)s/%(process_num)d sh %(here)s/child', 1,
                          stopasgroup='true'))
    (daemon.folder / 'child').write_text(
        'trap "sleep 0.3; exit 0" TERM\nwhile :; do sleep 0.05; done\n')
    with daemon:
        before = daemon.wait_running('web')
        assert daemon.rpc.restarter.restartProcessGroup('web', options) is True
        assert all_new(before, daemon.pids('web'))
        assert not daemon.rpc.restarter.getRestartInfo('web')['warnings']


@pytest.mark.stress
def test_a_thousand_processes_restart_and_other_calls_are_answered():
    with Daemon(group('web', 1000), minfds=8192, loglevel='info') as daemon:
        before = daemon.wait_running('web', 120)
        fault = Call(daemon, 'web', {'timeout': 0.5}).result(60)
        wait_until(lambda: info(daemon)['state'] == 'FINISHED', 'all are up', 120)
        with Caller(daemon) as caller:
            assert Call(daemon, 'web', {'timeout': 120}).result(120) is True
        assert 'of 1000 processes pending' in fault.faultString
        assert all_new(before, daemon.pids('web'))
        assert caller.held < 0.5
        wait_finished(daemon)
