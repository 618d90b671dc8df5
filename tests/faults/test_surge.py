"""What goes wrong while a slot has two processes leaves it with one, under its own name."""

import os
import shutil
import signal
import sys

import pytest

from supervisor_restarter.restart.faults import Faults
from tests.integration.test_residue import assert_nothing_is_left
from tests.support.daemon import MANNERS, Daemon, free_port, wait_until
from tests.support.faults import (
    Call,
    all_new,
    children,
    info,
    no_process_has_two_lives,
    sabotaged,
    wait_finished,
    wait_phase,
)
from tests.support.load import fetch
from tests.support.readiness import slow_starters, temporary_folder
from tests.support.stress import pairs, stress
from tests.support.surge import SURGE, Watch, programs

pytestmark = pytest.mark.slow

# The phase of web_1, and the processes that there are: a successor comes, a predecessor leaves.
LATE = "/bin/sh -c 'trap \"sleep 1; exit 0\" TERM; while :; do sleep 0.05; done'"
COMING, LEAVING = 'starting', 'stopping'
PROCESSES = [(COMING, 'web_0'), (COMING, 'web_1'), (COMING, 'web_1.new'),
             (LEAVING, 'web_1'), (LEAVING, 'web_1.old')]
STARTSECS = 2


@pytest.fixture
def daemon():
    with Daemon(programs('program', 2, LATE, STARTSECS)) as running:
        running.wait_running('web')
        yield running


def in_phase(daemon, phase, **options):
    """Begin a surge, and wait for the phase of its first slot."""
    call = Call(daemon, 'web', dict(SURGE, **options))
    wait_phase(daemon, phase)
    return call


def slots_of(answer):
    """The slots that an answer has a fault of."""
    return {fault['name'] for fault in answer} - {''} if isinstance(answer, list) else set()


def assert_each_slot_has_one_process(daemon, names=('web_0', 'web_1')):
    wait_finished(daemon)
    assert list(daemon.states('web')) == list(names)
    no_process_has_two_lives(daemon)


@pytest.mark.parametrize('phase, name, command', pairs(
    PROCESSES, ['stop', 'restart', 'signal USR2']))
def test_somebody_elses_command_for_one_process_ends_and_so_does_the_restart(
        daemon, phase, name, command):
    call = in_phase(daemon, phase)
    theirs = daemon.supervisorctl(*command.split(), 'web:' + name, timeout=30)
    assert 'Traceback' not in theirs.stdout + theirs.stderr
    slot = name.split('.')[0]
    answer = call.result()
    assert slots_of(answer) <= {slot}, answer
    assert_each_slot_has_one_process(daemon)
    other = {'web_0': 'web_1', 'web_1': 'web_0'}[slot]
    daemon.wait_state('web', other, 'RUNNING')
    if command != 'stop' or name != slot:
        daemon.wait_state('web', slot, 'RUNNING')
    elif answer is not True:
        assert daemon.states('web')[slot] == 'STOPPED'


@pytest.mark.parametrize('phase, command', pairs([COMING, LEAVING], ['stop', 'start', 'restart']))
def test_somebody_elses_command_for_the_group_ends_and_so_does_the_restart(
        daemon, phase, command):
    call = in_phase(daemon, phase)
    theirs = daemon.supervisorctl(command, 'web:*', timeout=30)
    assert 'Traceback' not in theirs.stdout + theirs.stderr
    answer = call.result()
    assert_each_slot_has_one_process(daemon)
    if command == 'stop':
        states = daemon.states('web')
        assert {name for name in states if states[name] == 'STOPPED'} == slots_of(answer) or (
            set(states.values()) == {'STOPPED'})
    else:
        daemon.wait_running('web')


@pytest.mark.parametrize('phase, name', PROCESSES)
def test_one_that_is_killed_leaves_its_slot_with_one_process(daemon, phase, name):
    call = in_phase(daemon, phase)
    os.kill(daemon.pids('web')[name], signal.SIGKILL)
    answer = call.result()
    assert slots_of(answer) <= {name.split('.')[0]}, answer
    daemon.wait_running('web')
    assert_each_slot_has_one_process(daemon)


# The time that is given is that of a new process; how long an old one may take is stopwaitsecs.
@pytest.mark.parametrize('phase, end', [
    (COMING, 'cancel'), (COMING, 'timeout'), (LEAVING, 'cancel')])
def test_when_it_is_cancelled_or_times_out_what_has_begun_is_finished_and_the_rest_taken_back(
        daemon, phase, end):
    before = daemon.pids('web')
    call = in_phase(daemon, phase, timeout=1 if end == 'timeout' else 30)
    if end == 'cancel':
        daemon.rpc.restarter.cancelRestart('web')
    assert call.result().faultCode == {
        'cancel': Faults.CANCELLED, 'timeout': Faults.TIMEOUT}[end]
    assert_each_slot_has_one_process(daemon)
    after = daemon.wait_running('web')
    assert after['web_0'] == before['web_0']
    assert (after['web_1'] == before['web_1']) == (phase == COMING)


@pytest.mark.parametrize('phase', [COMING, LEAVING])
def test_when_supervisord_ends_both_processes_of_a_slot_end(daemon, phase):
    call = in_phase(daemon, phase)
    both = children(daemon)
    assert len(both) == 3
    daemon.signal(signal.SIGTERM)
    daemon.wait_ended()
    answer = call.result()
    assert isinstance(answer, OSError) or answer.faultCode == Faults.SHUTDOWN_STATE
    for pid in both:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize('phase', [COMING, LEAVING])
def test_when_supervisord_reloads_nothing_is_left_of_a_surge(daemon, phase):
    descriptors = daemon.descriptors_at_rest()
    call = in_phase(daemon, phase)
    daemon.signal(signal.SIGHUP)
    call.result()
    wait_until(lambda: daemon.log().count('supervisord started with pid') == 2, 'reload')
    wait_until(lambda: daemon.rpc.supervisor.getState()['statename'] == 'RUNNING', 'it runs')
    before = daemon.wait_running('web')
    assert list(before) == ['web_0', 'web_1']
    no_process_has_two_lives(daemon)
    assert_nothing_is_left(daemon, descriptors)
    assert Call(daemon, 'web', SURGE).result() is True
    assert all_new(before, daemon.pids('web'))


@pytest.mark.parametrize('phase', [COMING, LEAVING])
def test_a_group_that_is_removed_takes_all_of_its_processes_along(daemon, phase):
    descriptors = daemon.descriptors_at_rest()
    call = in_phase(daemon, phase)
    daemon.supervisorctl('stop', 'web:*')
    daemon.supervisorctl('remove', 'web')
    answer = call.result()
    assert isinstance(answer, list) or answer.faultCode == Faults.BAD_GROUP
    assert children(daemon) == set()
    daemon.rpc.supervisor.addProcessGroup('web')
    daemon.wait_running('web')
    assert list(daemon.states('web')) == ['web_0', 'web_1']
    assert_nothing_is_left(daemon, descriptors)


# A release that does not come up

@pytest.mark.parametrize('kind, size, max_surge, failing', [
    ('program', 1, 1, 1), ('program', 10, '25%', 3), ('fcgi-program', 4, 2, 2), *stress(
        ('program', 1, '25%', 1), ('program', 4, 1, 1), ('program', 4, '25%', 1),
        ('program', 10, 1, 1), ('eventlistener', 10, '25%', 3), ('group', 10, '25%', 3))])
def test_a_broken_release_costs_no_process(kind, size, max_surge, failing, tmp_path):
    release = tmp_path / 'release'
    release.write_text('#!/bin/sh\nexec /bin/sleep 100000\n')
    release.chmod(0o755)
    with Daemon(programs(kind, size, str(release), folder=tmp_path)) as daemon:
        before = daemon.wait_running('web')
        release.write_text('#!/bin/sh\nexit 1\n')
        with Watch(daemon, 'web') as watch:
            answer = Call(daemon, 'web', dict(SURGE, max_surge=max_surge)).result()
            wait_finished(daemon)
        assert daemon.pids('web') == before
        assert (watch.fewest_up, watch.most_alive <= size + failing) == (size, True)
        assert [fault['code'] for fault in answer] == (
            [Faults.START_FAILED] * failing + [Faults.STOPPED_EARLY])
        assert len({fault['name'] for fault in answer}) == failing + 1
        assert answer[-1]['text'] == (
            'STOPPED_EARLY: %d failed, %d of %d processes left as they were'
            % (failing, size, size))
        no_process_has_two_lives(daemon)


def serves(port):
    try:
        return fetch(('127.0.0.1', port)).status == 200
    except OSError:
        return False


def test_a_program_of_which_two_cannot_run_serves_on_and_the_fault_says_why():
    port = free_port()
    command = '%s -m http.server --bind 127.0.0.1 %d' % (sys.executable, port)
    with Daemon(programs('program', 1, command, stderr_logfile='AUTO')) as daemon:
        before = daemon.wait_running('web')
        wait_until(lambda: serves(port), 'it serves')
        answer = Call(daemon, 'web', SURGE).result()
        died, in_the_way, words = answer[0]['text'].split('; ')
        # On a busy machine it is RUNNING before it fails.
        assert died in ('START_FAILED: Exited too quickly (process log may have details)',
                        'START_FAILED: exited with status 1 before it was ready')
        assert in_the_way == 'does not listen on 127.0.0.1:%d, where pid %d does' % (
            port, before['web_0'])
        assert words.startswith('it said last: ')
        assert words.endswith(' | OSError: [Errno 98] Address already in use')
        assert daemon.pids('web') == before
        assert serves(port)


def test_a_program_whose_file_vanishes_goes_on_serving(tmp_path):
    program = tmp_path / 'program'
    shutil.copy('/bin/sleep', str(program))
    with Daemon(programs('program', 2, '%s 100000' % program)) as daemon:
        before = daemon.wait_running('web')
        program.unlink()
        answer = Call(daemon, 'web', SURGE).result()
        assert [fault['code'] for fault in answer] == [Faults.SPAWN_ERROR, Faults.STOPPED_EARLY]
        assert daemon.pids('web') == before


def test_a_fork_that_fails_leaves_the_slot_as_it_was(tmp_path):
    with sabotaged(programs('program', 2, stdout_logfile='AUTO')) as daemon:
        before = daemon.wait_running('web')
        descriptors = daemon.descriptors_at_rest()
        daemon.rpc.saboteur.failForks(1)
        answer = Call(daemon, 'web', SURGE).result()
        assert [fault['code'] for fault in answer] == [Faults.SPAWN_ERROR, Faults.STOPPED_EARLY]
        assert daemon.pids('web') == before
        assert_nothing_is_left(daemon, descriptors)


@pytest.mark.stress
def test_60_surges_of_which_each_tenth_spawn_fails_leave_nothing():
    notifying, _ = slow_starters(0, 'notify', 2, stdout_logfile='AUTO', stderr_logfile='AUTO')
    daemon = sabotaged(notifying)
    folder = temporary_folder(daemon)
    with daemon:
        daemon.wait_running('web')

        def left():
            assert Call(daemon, 'web', SURGE).result() is True
            no_process_has_two_lives(daemon)
            return (daemon.descriptors_at_rest(sockets=2), len(list(folder.rglob('*'))),
                    list(daemon.states('web')), len(daemon.descendants()))
        before = left()
        daemon.rpc.saboteur.failSpawns(10)
        failed = [answer for answer in (Call(daemon, 'web', SURGE).result() for _ in range(60))
                  if answer is not True]
        daemon.rpc.saboteur.failSpawns(0)
        why = ' '.join(fault['text'] for answer in failed for fault in answer)
        for words in ('too many open files', 'Too many processes in process table', 'ENOMEM'):
            assert words in why
        assert left() == before


def test_one_that_needs_longer_than_timeout_to_come_up_goes_and_the_old_one_serves():
    with Daemon(programs('program', 1, startsecs=60)) as daemon:
        wait_until(lambda: daemon.states('web') == {'web_0': 'STARTING'}, 'it starts')
        before = daemon.pids('web')
        answer = Call(daemon, 'web', dict(SURGE, timeout=0.5)).result()
        assert answer.faultCode == Faults.TIMEOUT
        wait_finished(daemon)
        assert daemon.pids('web') == before


def test_a_name_that_is_taken_is_a_fault_and_nothing_is_touched():
    taken = '[group:web]\nprograms = a,a.new\n' + ''.join(
        '[program:%s]\ncommand = %s\n' % (name, MANNERS['at once']) for name in ('a', 'a.new'))
    with Daemon(taken) as daemon:
        before = daemon.wait_running('web')
        answer = Call(daemon, 'web', SURGE).result()
        assert answer.faultCode == Faults.INCORRECT_PARAMETERS
        assert 'web:a.new: with max_surge a second process of a would' in answer.faultString
        assert daemon.pids('web') == before
        assert info(daemon)['state'] == 'IDLE'
        assert Call(daemon, 'web').result() is True
