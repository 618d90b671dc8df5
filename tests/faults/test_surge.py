"""What goes wrong while a slot has two processes leaves it with one, under its own name."""

import os
import re
import shutil
import signal
import sys

import pytest

from supervisor_restarter.restart.faults import Faults
from tests.support.daemon import free_port, running, wait_until
from tests.support.faults import (
    Call,
    all_new,
    children,
    no_process_has_two_lives,
    sabotaged,
    wait_finished,
    wait_phase,
    wait_reloaded,
)
from tests.support.readiness import serves, slow_starters, temporary_folder
from tests.support.residue import assert_nothing_is_left
from tests.support.stress import pairs, stress
from tests.support.surge import SURGE, Watch, programs

pytestmark = pytest.mark.slow

# The first process of web_1 stops when it is let go, all others at once.
HELD_BACK = ("/bin/sh -c '[ -e running ] || HELD=web_1; "
             "trap \"test _$HELD != _$SUPERVISOR_PROCESS_NAME || "
             "until [ -e go ]; do sleep 0.05; done; exit 0\" TERM; while :; do sleep 0.05; done'")
# The phase of web_1, and the processes that there are: a successor comes, a predecessor leaves.
COMING, LEAVING = 'starting', 'stopping'
SLOTS, SUCCESSORS = ['web_0', 'web_1'], ['web_0.new', 'web_1.new']
PROCESSES = [(COMING, 'web_0'), (COMING, 'web_1'), (COMING, 'web_1.new'),
             (LEAVING, 'web_1'), (LEAVING, 'web_1.old')]


@pytest.fixture
def daemon():
    with sabotaged(programs('program', 2, HELD_BACK, startsecs=0)) as running:
        running.wait_running('web')
        (running.folder / 'running').touch()
        yield running


def in_phase(daemon, phase, **options):
    """Begin a surge, and wait for the phase of its first slot, which lasts until it is let go."""
    if phase == COMING:
        daemon.let_go()  # what leaves
        daemon.rpc.saboteur.setStartsecs('web', SLOTS, 3600)
    call = Call(daemon, 'web', dict(SURGE, **options))
    wait_phase(daemon, phase)
    daemon.rpc.saboteur.setStartsecs('web', SLOTS, 0)  # of what somebody else starts
    return call


def let_go(daemon):
    daemon.let_go()
    daemon.rpc.saboteur.setStartsecs('web', SUCCESSORS, 0)


def somebody_else(daemon, *words):
    """Run a command of Supervisor's own, which waits for what it starts, and let go meanwhile."""
    since = len(daemon.log())
    with daemon.turning(), daemon.begin('supervisorctl', *words) as command:
        wait_until(lambda: command.poll() is not None or 'stopped: web' in daemon.log()[since:],
                   'it has done something')
        let_go(daemon)
        assert 'Traceback' not in ''.join(command.communicate(timeout=30))


def slots_of(answer):
    """The slots that an answer has a fault of."""
    return {fault['name'] for fault in answer} - {''} if isinstance(answer, list) else set()


def assert_each_slot_has_one_process(daemon):
    wait_finished(daemon)
    assert list(daemon.states('web')) == SLOTS
    no_process_has_two_lives(daemon)


@pytest.mark.parametrize('phase, name, deed', pairs(
    PROCESSES, ['stop', 'restart', 'signal USR2', 'KILL']))
def test_what_somebody_does_to_one_process_ends_and_so_does_the_restart(daemon, phase, name, deed):
    call = in_phase(daemon, phase)
    if deed == 'KILL':
        os.kill(daemon.pids('web')[name], signal.SIGKILL)
    else:
        somebody_else(daemon, *deed.split(), 'web:' + name)
    let_go(daemon)
    slot = name.split('.')[0]
    answer = call.result()
    assert slots_of(answer) <= {slot}, answer
    assert_each_slot_has_one_process(daemon)
    other = {'web_0': 'web_1', 'web_1': 'web_0'}[slot]
    daemon.wait_state('web', other, 'RUNNING')
    if deed != 'stop' or name != slot:
        daemon.wait_state('web', slot, 'RUNNING')
    elif answer is not True:
        assert daemon.states('web')[slot] == 'STOPPED'


@pytest.mark.parametrize('phase, command', pairs([COMING, LEAVING], ['stop', 'start', 'restart']))
def test_somebody_elses_command_for_the_group_ends_and_so_does_the_restart(
        daemon, phase, command):
    call = in_phase(daemon, phase)
    somebody_else(daemon, command, 'web:*')
    answer = call.result()
    assert_each_slot_has_one_process(daemon)
    if command == 'stop':
        states = daemon.states('web')
        assert {name for name in states if states[name] == 'STOPPED'} == slots_of(answer) or (
            set(states.values()) == {'STOPPED'})
    else:
        daemon.wait_running('web')


# The time that is given is that of a new process; how long an old one may take is stopwaitsecs.
@pytest.mark.parametrize('phase, end', [
    (COMING, 'cancel'), (COMING, 'timeout'), (LEAVING, 'cancel')])
def test_when_it_is_cancelled_or_times_out_what_has_begun_is_finished_and_the_rest_taken_back(
        daemon, phase, end):
    before = daemon.pids('web')
    call = in_phase(daemon, phase, timeout=1 if end == 'timeout' else 30)
    if end == 'cancel':
        daemon.rpc.restarter.cancelRestart('web')
    if phase == LEAVING:
        let_go(daemon)
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
    daemon.let_go()
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
    daemon.let_go()
    wait_reloaded(daemon)
    before = daemon.wait_running('web')
    assert list(before) == SLOTS
    no_process_has_two_lives(daemon)
    assert_nothing_is_left(daemon, descriptors)
    assert Call(daemon, 'web', SURGE).result() is True
    assert all_new(before, daemon.pids('web'))


@pytest.mark.parametrize('phase', [COMING, LEAVING])
def test_a_group_that_is_removed_takes_all_of_its_processes_along(daemon, phase):
    descriptors = daemon.descriptors_at_rest()
    call = in_phase(daemon, phase)
    daemon.supervisorctl('stop', 'web:*')
    daemon.let_go()
    wait_until(lambda: children(daemon) == set(), 'all are down')
    daemon.supervisorctl('remove', 'web')
    answer = call.result()
    assert isinstance(answer, list) or answer.faultCode == Faults.BAD_GROUP
    assert children(daemon) == set()
    daemon.rpc.supervisor.addProcessGroup('web')
    daemon.wait_running('web')
    assert list(daemon.states('web')) == SLOTS
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
    with running(programs(kind, size, str(release), folder=tmp_path)) as (daemon, before):
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


def test_a_program_of_which_two_cannot_run_serves_on_and_the_fault_says_why():
    port = free_port()
    command = '%s -m http.server --bind 127.0.0.1 %d' % (sys.executable, port)
    with running(programs('program', 1, command, stderr_logfile='AUTO')) as (daemon, before):
        wait_until(lambda: serves(port), 'it serves')
        answer = Call(daemon, 'web', SURGE).result()
        # On a busy machine it is RUNNING before it fails.
        assert re.fullmatch(
            r'START_FAILED: (Exited too quickly \(process log may have details\)|'
            'exited with status 1 before it was ready); does not listen on 127.0.0.1:%d, where pid '
            r'%d does; it said last: .* \| OSError: \[Errno 98\] Address already in use' % (
                port, before['web_0']), answer[0]['text'])
        assert daemon.pids('web') == before
        assert serves(port)


def vanishes(daemon, program):
    program.unlink()


def cannot_fork(daemon, program):
    daemon.rpc.saboteur.failForks(1)


@pytest.mark.parametrize('happens', [vanishes, cannot_fork])
def test_a_program_that_cannot_be_started_again_goes_on_serving(happens, tmp_path):
    program = tmp_path / 'program'
    shutil.copy('/bin/sleep', str(program))
    with running(sabotaged(programs('program', 2, '%s 100000' % program,
                                    stdout_logfile='AUTO'))) as (daemon, before):
        descriptors = daemon.descriptors_at_rest()
        happens(daemon, program)
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
