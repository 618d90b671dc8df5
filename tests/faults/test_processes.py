"""What happens to one process during a restart is a fault of its own at most."""

import os
import resource
import shutil
import signal
import threading
import time

import pytest

from tests.support.daemon import MANNERS, Daemon, group, wait_until
from tests.support.faults import (
    QUICK,
    Call,
    all_new,
    info,
    no_process_has_two_lives,
    sabotaged,
    wait_finished,
    wait_phase,
)
from tests.support.stress import pairs

pytestmark = pytest.mark.slow

# phase, how processes stop, startsecs, options, the process that stands there first
PHASES = [
    ('waiting', 'at once', 0, {'stagger_factor': 2, 'delay': 1, 'timeout': 30}, 'web_000'),
    ('stopping', 'late', 0, {'timeout': 30}, 'web_000'),
    ('starting', 'at once', 2, {'timeout': 30}, 'web_000'),
    ('restarted', 'at once', 0, {'stagger_factor': 2, 'delay': 3, 'timeout': 30}, 'web_001'),
]


@pytest.mark.parametrize('phase, manner, startsecs, options, name, command', pairs(
    PHASES, ['stop', 'start', 'restart', 'signal USR2']))
def test_somebody_else_is_not_fought(phase, manner, startsecs, options, name, command):
    with Daemon(group('web', 2, MANNERS[manner], startsecs), options) as daemon:
        daemon.wait_running('web')
        call = Call(daemon, 'web')
        wait_phase(daemon, phase)
        theirs = daemon.supervisorctl(*command.split(), 'web:' + name, timeout=30)
        assert 'Traceback' not in theirs.stdout + theirs.stderr
        # On a busy machine their command may come when all is over: then it stays stopped.
        is_late = command == 'stop' and info(daemon)['state'] == 'FINISHED'
        answer = call.result()
        faults = [] if answer is True else [fault['name'] for fault in answer]
        assert faults in ([], [name])
        other = {'web_000': 'web_001', 'web_001': 'web_000'}[name]
        daemon.wait_state('web', other, 'RUNNING')
        if command == 'restart' or not (faults or is_late):
            daemon.wait_state('web', name, 'RUNNING')
        no_process_has_two_lives(daemon)


@pytest.mark.parametrize('phase, manner, startsecs, options, name', PHASES)
def test_a_process_that_dies_by_itself_is_running_at_the_end_or_a_fault_says_why_not(
        phase, manner, startsecs, options, name):
    with Daemon(group('web', 2, MANNERS[manner], startsecs), options) as daemon:
        daemon.wait_running('web')
        call = Call(daemon, 'web')
        wait_phase(daemon, phase)
        os.kill(daemon.pids('web')[name], signal.SIGKILL)
        answer = call.result()
        if answer is True:
            assert set(daemon.states('web').values()) == {'RUNNING'}
        else:
            assert [fault['name'] for fault in answer] == [name]
        daemon.wait_running('web')
        no_process_has_two_lives(daemon)


def faults_of(answer):
    return [(fault['name'], fault['text'].split(':')[0]) for fault in answer]


def test_a_program_whose_file_vanishes_is_a_fault_and_the_others_restart(tmp_path):
    program = tmp_path / 'program'
    shutil.copy('/bin/sleep', str(program))
    programs = '[group:web]\nprograms = good,bad\n' + group('good', 3) + group(
        'bad', 1, '%s 100000' % program)
    with Daemon(programs) as daemon:
        before = daemon.wait_running('web')
        program.unlink()
        assert faults_of(Call(daemon, 'web').result()) == [('bad_000', 'SPAWN_ERROR')]
        after = daemon.pids('web')
        assert all(after[name] not in (0, before[name]) for name in after if name != 'bad_000')
        assert daemon.alive()


def test_a_fork_that_fails_is_a_fault_and_the_others_restart():
    with sabotaged(group('web', 4)) as daemon:
        before = daemon.wait_running('web')
        daemon.rpc.saboteur.failForks(1)
        assert [code for _, code in faults_of(Call(daemon, 'web').result())] == ['SPAWN_ERROR']
        assert all_new(before, daemon.wait_running('web'))  # Supervisor tries again


def test_without_descriptors_for_its_pipes_a_process_is_a_fault_and_the_others_restart():
    with Daemon(group('web', 4)) as daemon:
        before = daemon.wait_running('web')
        with daemon.connection() as rpc:
            rpc.restarter.restartProcessGroup('web', {
                'wait': False, 'stagger_factor': 2, 'delay': 1, 'timeout': 30})
            wait_until(lambda: rpc.restarter.getRestartInfo('web')['restarted'] == 2, 'half')
            used = max(daemon.descriptors())
            hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[1]
            # What one process gives back is enough for the next one, but not for two.
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (used - 2, hard))
            wait_until(lambda: rpc.restarter.getRestartInfo('web')['state'] == 'FINISHED', 'end')
            named = [fault['text'].split(':')[0] for fault in
                     rpc.restarter.getRestartInfo('web')['faults']]
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (hard, hard))
        assert set(named) <= {'SPAWN_ERROR'} and len(named) >= 1
        assert daemon.alive()
        assert all_new(before, daemon.wait_running('web'))  # Supervisor tries again


@pytest.mark.parametrize('phase, manner, startsecs, seconds', pairs(
    [('stopping', 'late', 0), ('starting', 'at once', 2)], [-3600, 3600]))
def test_a_clock_that_is_set_is_no_early_timeout_and_no_hang(phase, manner, startsecs, seconds):
    with sabotaged(group('web', 2, MANNERS[manner], startsecs), {'timeout': 30}) as daemon:
        before = daemon.wait_running('web')
        call = Call(daemon, 'web')
        wait_phase(daemon, phase, 2)
        begin = time.monotonic()
        daemon.rpc.saboteur.setClock(seconds)
        assert call.result() is True
        assert time.monotonic() - begin < 5
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
        assert min(seconds_until_up(daemon) for _ in range(3)) < QUICK


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
        waits, ended = [], threading.Event()

        def ask():
            with daemon.connection() as rpc:
                while not ended.is_set():
                    begin = time.monotonic()
                    rpc.supervisor.getState()
                    waits.append(time.monotonic() - begin)
        thread = threading.Thread(target=ask)
        thread.start()
        try:
            fault = Call(daemon, 'web', {'timeout': 0.5}).result(60)
            wait_until(lambda: info(daemon)['state'] == 'FINISHED', 'all are up', 120)
            assert Call(daemon, 'web', {'timeout': 120}).result(120) is True
        finally:
            ended.set()
            thread.join()
        assert 'of 1000 processes pending' in fault.faultString
        assert all_new(before, daemon.pids('web'))
        assert max(waits) < 3.0  # to start them all takes longer than that
        wait_finished(daemon)
