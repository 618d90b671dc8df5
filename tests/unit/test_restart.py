"""One restart, a pass at a time, with a fake clock and fake processes."""

import math

import pytest
from supervisor import events
from supervisor.states import ProcessStates, SupervisorStates

from supervisor_restarter.daemon.children import reap
from supervisor_restarter.restart.group_restart import SLICE
from supervisor_restarter.restart.pacing import STOP_FIRST, Progress, Staggered
from supervisor_restarter.restart.restarts import Restarts
from supervisor_restarter.restart.settings import Limit, Settings
from tests.support.world import World
from tests.unit.restarting import (
    CANNOT_BE_SPAWNED,
    GONE,
    LATE,
    NOT_PERMITTED,
    QUICK,
    SLOW,
    Restart,
    begin,
    fault,
    rolling,
    takes,
)

# What happens to a process by its state at the call

UP = [('stop', 'a')]
DOWN = [('spawn', 'a')]


@pytest.mark.parametrize('state, first_pass, when_down', [
    (ProcessStates.RUNNING, UP, UP + DOWN),
    (ProcessStates.STARTING, UP, UP + DOWN),
    (ProcessStates.BACKOFF, DOWN, None),
    (ProcessStates.STOPPED, DOWN, None),
    (ProcessStates.EXITED, DOWN, None),
    (ProcessStates.FATAL, DOWN, None),
    (ProcessStates.UNKNOWN, [], None),
    (ProcessStates.STOPPING, [], DOWN),
])
def test_what_happens_to_a_process_by_its_state(state, first_pass, when_down):
    world = World()
    world.add('a', state).delay = world.clock.time() + 10
    restart = Restart(world)
    assert world.history == first_pass
    if when_down is not None:
        restart.down('a').passes(0.31)  # somebody else's stop is given the time to see it down
        assert world.history == when_down
    if state == ProcessStates.UNKNOWN:
        assert restart.outcome == [fault('a', 'BAD_STATE: its state is UNKNOWN', 0x410)]
    else:
        assert restart.passes(1.01).outcome is True


def test_an_empty_group_is_restarted_at_once():
    restart = begin()
    assert (restart.outcome, restart.info()['total']) == (True, 0)


def test_what_is_down_is_started_then_stops_go_by_descending_and_spawns_by_ascending_rank():
    world = World()
    for name, priority in (('b', 2), ('a', 2), ('c', 1), ('d', 3)):
        world.add(name, priority=priority).behaves(stops_after=0.0)
    world.add('e', ProcessStates.STOPPED, priority=2)
    restart = Restart(world)
    assert world.history == [('spawn', 'e'), *(('stop', name) for name in 'dbac')]
    restart.advance()
    assert restart.spawned == ['e', 'c', 'a', 'b', 'd']


# Staggered

@pytest.mark.parametrize('processes, batches, sizes', [
    (10, 3, [4, 3, 3]), (3, 3, [1, 1, 1]), (2, 5, [1, 1, 0, 0, 0]), (7, 1, [7]), (5, 2, [3, 2])])
def test_batches_go_by_the_clock_and_the_first_take_the_remainder(processes, batches, sizes):
    restart = begin('abcdefghij'[:processes], LATE._replace(stagger_factor=batches, delay=0.5))
    for expected in sizes:
        for _ in range(3):  # however often the pass runs
            restart.advance()
        assert len(restart.history) == expected
        restart.history.clear()
        assert restart.after(0.499).history == []
        restart.after(0.001001)


@pytest.mark.parametrize('delay', [0.05, 0.1, 0.2, 0.7])
def test_a_batch_goes_at_the_very_time_at_which_it_is_due(delay):
    # A quotient may be too small: 43 * 0.05 / 0.05 is less than 43.
    pacing = Staggered(100, delay)
    for batch in range(1, 100):
        elapsed = batch * delay
        assert pacing.next_turn(Progress(elapsed, 100, batch, 0, 0, 0)) == STOP_FIRST
        assert not pacing.next_turn(Progress(elapsed, 100, batch + 1, 0, 0, 0))
        assert batch == 99 or pacing.next_in(elapsed) > delay / 2


def test_a_batch_is_not_missed_when_no_pass_ran_at_its_time():
    restart = begin('abcd', LATE._replace(stagger_factor=4, delay=0.5)).after(9)
    assert restart.stopped == ['d', 'c', 'b', 'a']


# Rolling

def test_never_more_than_the_limit_are_down_the_next_goes_in_the_same_pass_and_failed_ones_count():
    restart = begin('abcd', rolling(2))
    assert restart.history == [('stop', 'd'), ('stop', 'c')]
    restart.down('d').after(1.01)
    assert restart.history[2:] == [('spawn', 'd'), ('stop', 'b')]
    assert restart.down('c').down('c').history[4:] == [('spawn', 'c')]  # b is still stopping


@pytest.mark.parametrize('percentage, expected', [(25, 1), (50, 2), (51, 3), (0.1, 1), (100, 4)])
def test_a_percentage_is_rounded_up_and_at_least_one(percentage, expected):
    settings = LATE._replace(max_unavailable=Limit(percentage, True))
    assert len(begin('abcd', settings).history) == expected


def test_a_broken_release_uses_the_window_up_and_the_rest_is_left():
    restart = begin('abcdefghij', rolling(2))
    old = {name: restart[name].pid for name in 'abcdefgh'}
    restart.down('j', 'i').down('j', 'i')  # the new ones exit at once
    assert restart.finished
    assert restart.outcome == [fault('i', QUICK), fault('j', QUICK), fault(
        '', 'STOPPED_EARLY: 2 failed, 8 of 10 processes left as they were', 0x450)]
    assert {name: restart[name].pid for name in 'abcdefgh'} == old


def test_one_that_is_not_running_yet_counts_against_the_window():
    world = World(*'abc')
    world.add('d', ProcessStates.STARTING)
    restart = Restart(world, rolling(1, delay=50.0))
    assert world.history == []
    assert restart.due() == pytest.approx(1.0, abs=0.01)
    assert restart.passes(1.01).history == [('stop', 'd')]


@pytest.mark.parametrize('state', [ProcessStates.FATAL, ProcessStates.BACKOFF])
def test_one_that_was_broken_before_and_fails_again_uses_no_window_up(state):
    world = World(*'ab')
    world.add('broken', state).spawn_error = 'no such program'
    restart = Restart(world, rolling(1)).down('b').passes(1.1).down('a').passes(1.1)
    assert restart.outcome == [fault('broken', 'SPAWN_ERROR: no such program', 50)]
    assert restart.stopped == ['b', 'a']


@pytest.mark.parametrize('status', [0, 3])  # one that is expected, too
def test_a_restarted_one_that_leaves_again_counts_and_is_a_fault(status):
    restart = begin('abcd', rolling(1)).down('d').after(1.01)
    restart.down('d', status=status).down('c').after(1.01)
    assert restart.outcome == [
        fault('d', 'START_FAILED: exited with status %d' % status),
        fault('', 'STOPPED_EARLY: 1 failed, 2 of 4 processes left as they were', 0x450)]


def test_one_that_was_removed_or_left_unnoticed_after_it_was_up_is_no_success():
    world = World(*'abc')
    world['a'].config.startsecs = 3
    restart = Restart(world).down('a', 'b', 'c').after(1.01)
    assert restart.info()['restarted'] == 2
    del world.group.processes['b']
    world['c'].die(exitstatus=3)
    assert restart.after(2.0).outcome == [fault('c', 'START_FAILED: exited with status 3')]
    assert restart.info()['removed'] == 1


def test_a_process_is_looked_at_before_its_turn():
    restart = begin('ab', rolling(1)).down('b')
    restart['a'].die()  # nobody has said so
    restart.clock.forward(1.1)
    restart.let('b', 'transition')
    restart.changed('b', running=True)
    restart.passes(0.0)
    assert restart.stopped == ['b'] and restart.history[-1] == ('spawn', 'a')


def test_none_goes_down_before_all_that_has_changed_is_seen():
    restart = begin('abcd', rolling(1)).down('d').after(1.1).down('c').let('d', 'die')
    restart.changed('d', running=False)
    takes(restart.world, SLICE, restart['c'], 'transition')
    restart.clock.forward(1.1)
    restart.advance()
    assert restart.slots()[2]['phase'] == 'restarted' and restart.stopped == ['d', 'c']
    assert restart.due() == 0


# Time, and other ends

def test_one_that_is_cancelled_stays_so_when_its_time_is_up():
    restart = begin('a', SLOW._replace(timeout=3.0), startsecs=20).down('a').cancel()
    assert restart.passes(4.0).outcome.code == 0x451


@pytest.mark.parametrize('settings, stopwaitsecs, startsecs, seconds', [
    (Settings(), 10, 1, 16),
    (Settings(), 3600, 8, 3613),
    (Settings(stagger_factor=3, delay=2.0), 10, 1, 20),
    (Settings(min_ready_seconds=7.0), 10, 1, 23),
])
def test_without_a_timeout_the_whole_has_the_time_that_a_process_may_take(
        settings, stopwaitsecs, startsecs, seconds):
    world = World(*'ab', startsecs=startsecs)
    world['b'].config.stopwaitsecs = stopwaitsecs
    world['a'].transition = world['b'].transition = lambda: None  # they are not killed
    restart = Restart(world, settings).after(seconds - 0.1)
    assert restart.outcome is None
    assert restart.after(0.2).outcome.text.startswith(
        'TIMEOUT: web: after %d seconds 2 of 2' % seconds)


def test_rolling_the_time_is_that_of_each_new_process_from_its_spawn():
    restart = begin('abc', rolling(1, timeout=2.0))
    for name in 'cb':
        restart.after(9.0).down(name).after(1.01)  # that is the old one's stopwaitsecs
    restart.down('a')
    restart['a'].config.startsecs = 20
    assert restart.after(1.9).outcome is None
    assert restart.after(0.2).texts == [
        'TIMEOUT: web: after 2 seconds 1 of 3 processes pending (1 starting)']


def test_rolling_without_a_timeout_each_process_has_its_own_time_to_leave_and_to_come_up():
    world = World('a')
    world['a'].config.stopwaitsecs, world['a'].transition = 100, lambda: None
    restart = Restart(world, rolling(1, timeout=None)).after(100.0).down('a')
    assert restart.after(5.9).outcome is None  # startsecs, and 5 seconds
    assert restart.after(0.2).outcome.text.startswith('TIMEOUT: web: after 6 seconds 1 of 1')


def test_rolling_the_group_waits_no_longer_for_others_than_a_process_may_take():
    world = World('a')
    world.add('b', ProcessStates.STARTING, startsecs=1000)
    restart = Restart(world, rolling(1, timeout=3.0)).passes(2.9)
    assert restart.outcome is None
    assert restart.passes(0.2).texts == [
        'TIMEOUT: web: after 3 seconds 2 of 2 processes pending (2 waiting)']


def test_a_new_process_counts_when_it_has_been_up_for_min_ready_seconds():
    restart = begin('ab', rolling(1, min_ready_seconds=4.0)).down('b').passes(4.9)
    assert restart.stopped == ['b']
    assert restart.passes(0.2).stopped == ['b', 'a']
    restart.down('a').passes(2.0).down('a', status=3)
    assert restart.outcome == [fault('a', 'START_FAILED: exited with status 3')]


def test_one_that_is_replaced_unseen_has_to_be_up_for_min_ready_seconds_itself():
    restart = begin('a', SLOW._replace(min_ready_seconds=4.0)).down('a').passes(4.0)
    restart['a'].die(1)
    restart.let('a', 'spawn')
    restart.clock.forward(1.1)
    restart.let('a', 'transition')
    restart.advance()
    assert restart.passes(3.0).outcome is None
    assert restart.passes(1.5).outcome is True


def test_at_the_timeout_the_call_ends_and_what_is_down_comes_up():
    restart = begin('abcd', Settings(timeout=1.0, stagger_factor=2, delay=1.0)).after(1.0)
    assert (restart.outcome.code, restart.outcome.text) == (
        0x420, 'TIMEOUT: web: after 1 seconds 4 of 4 processes pending (2 waiting, 2 stopping)')
    assert not restart.finished
    assert restart.down('c', 'd').after(1.01).finished
    assert restart.history == [('stop', 'd'), ('stop', 'c'), ('spawn', 'c'), ('spawn', 'd')]


def test_after_other_faults_the_timeout_is_the_last_in_their_list():
    restart = begin('ab', Settings(timeout=1.0)).down('a').down('a').after(1.0)
    assert [text.split(':')[0] for text in restart.texts] == ['START_FAILED', 'TIMEOUT']
    assert restart.outcome[1]['name'] == ''


def test_a_cancelled_restart_settles_and_answers_when_all_are_up():
    restart = begin('abc', rolling(1)).cancel()
    restart.advance()
    assert (restart.outcome, restart.info()['state']) == (None, 'SETTLING')
    assert restart.down('c').after(1.01).texts == [
        'CANCELLED: web: cancelled, 3 of 3 processes pending (2 waiting, 1 stopping)']
    assert restart.states == dict.fromkeys('abc', 'RUNNING')
    assert restart.history == [('stop', 'c'), ('spawn', 'c')]


STOPPING = 'SHUTDOWN_STATE: web: supervisord is stopping'


@pytest.mark.parametrize('event, text', [
    (lambda supervisord, world: setattr(
        supervisord.options, 'mood', SupervisorStates.SHUTDOWN), STOPPING),
    (lambda supervisord, world: setattr(
        supervisord.options, 'mood', SupervisorStates.RESTARTING), STOPPING),
    (lambda supervisord, world: supervisord.process_groups.pop('web'), GONE),
    (lambda supervisord, world: world.add_group('web'), GONE),
], ids=['stops', 'reloads', 'removed', 'added again'])
def test_the_restart_ends_at_once_and_spawns_nothing(event, text):
    restart = begin('ab')
    event(restart.supervisord, restart.world)
    restart.down('a')
    assert (restart.finished, restart.texts) == (True, [text])
    assert restart.history == [('stop', 'b'), ('stop', 'a')]


@pytest.mark.parametrize('status, restarted', [(0, True), (1, False), (-1, False)])
def test_a_process_that_exits_as_expected_with_startsecs_0_has_restarted(status, restarted):
    restart = begin('a', startsecs=0)
    restart.world.machine.fork_takes = 0.0
    restart.down('a').clock.forward(0.1)
    restart.down('a', status=status)
    assert restart.finished and (restart.outcome is True) == restarted


@pytest.mark.parametrize('delay', [0.2, 20.0])
@pytest.mark.parametrize('jump', [-3600, 3600])
def test_the_system_clock_may_be_set_without_an_early_timeout_or_a_hang(jump, delay):
    restart = begin('a', Settings(timeout=30.0, delay=delay))
    restart['a'].spawn = lambda spawn=restart['a'].spawn: (spawn(), restart.clock.set(jump))
    restart.down('a').passes(2.0)
    assert restart.outcome is True


def test_a_process_that_never_stops_is_killed_on_time_and_started():
    restart = begin('a').passes(10.0 - 0.1)
    assert restart.history == [('stop', 'a')]
    restart.passes(1.2)
    assert restart.history == [('stop', 'a'), ('kill', 'a'), ('spawn', 'a')]
    assert restart.outcome is True


# Faults of one process

@pytest.mark.parametrize('event, text', [
    (lambda restart, process: process.die(), QUICK),
    (lambda restart, process: restart.after(2.0) and process.die(7),
     'START_FAILED: exited with status 7'),
    (lambda restart, process: (process.stop(), process.die()),
     'START_FAILED: stopped by somebody else'),
    (lambda restart, process: process.change_state(ProcessStates.UNKNOWN),
     'START_FAILED: left again before it was RUNNING'),
], ids=['dies', 'dies later', 'is stopped', 'unknown'])
def test_a_process_that_does_not_stay_up_is_a_fault_and_the_others_restart(event, text):
    world = World(*'ab')
    world['b'].config.startsecs = 5
    restart = Restart(world).down('a', 'b')
    event(restart, world['a'])
    assert restart.after(0.0).passes(5.1).outcome == [fault('a', text)]
    assert restart.states['b'] == 'RUNNING'


@pytest.mark.parametrize('trouble, text, code', CANNOT_BE_SPAWNED)
def test_one_that_cannot_be_spawned_is_a_fault_and_the_others_restart(trouble, text, code):
    restart = begin('ab')
    vars(restart['a']).update(trouble)
    assert restart.down('a', 'b').after(1.01).outcome == [fault('a', text, code)]


def test_a_process_whose_end_supervisor_cannot_take_in_does_not_keep_the_others_down():
    restart = begin('ab')
    world, supervisord = restart.world, restart.supervisord
    ends = [lambda: world['a'].change_state(ProcessStates.UNKNOWN) or 1 / 0, world['b'].die]
    supervisord.reap = lambda **how: ends.pop(0)() if ends else None
    reap(supervisord, math.inf, world.clock)
    restart.look()
    assert world.history[2:] == [('spawn', 'b')]
    assert restart.after(1.01).outcome == [
        fault('a', 'STOP_FAILED: its state became UNKNOWN', 0x431)]
    assert 'ZeroDivisionError' in dict(world.lines)['critical']


def test_one_in_backoff_is_taken_out_of_it_before_it_is_spawned():
    world = World()
    world.add('a', ProcessStates.BACKOFF)
    changes = []
    events.subscribe(events.ProcessStateEvent, lambda event: changes.append(
        (event.from_state, type(event))))
    Restart(world)
    assert changes == [(ProcessStates.BACKOFF, events.ProcessStateStoppedEvent),
                       (ProcessStates.STOPPED, events.ProcessStateStartingEvent)]


def test_a_stop_signal_that_cannot_be_sent_is_a_fault():
    world = World('a', 'b')
    world['a'].behaves(broken='no signal')
    assert Restart(world).down('b').after(1.01).outcome == [fault('a', NOT_PERMITTED, 0x431)]


def test_each_fault_is_a_warning_in_the_log_and_begin_and_end_are_lines():
    restart = begin('a')
    restart['a'].spawn_error = 'why'
    assert restart.down('a').world.lines == [
        ('info', 'restarter: web: restarting 1 processes, all at once'),
        ('warn', 'restarter: web: a: SPAWN_ERROR: why'),
        ('info', 'restarter: web: restarted 0 of 1 processes in 0.000 seconds')]


# Somebody else

def test_one_that_somebody_else_stops_while_it_waits_stays_down():
    restart = begin('abc', rolling(1)).let('a', 'stop', 'die')
    restart.down('c').after(1.01).look()
    assert 'a' not in restart.spawned
    assert restart.outcome[0] == fault('a', 'START_FAILED: stopped by somebody else')


def test_what_somebody_else_has_stopped_is_not_waited_for_though_the_clock_is_set_back():
    restart = begin('a').let('a', 'die').after(0.0).let('a', 'stop', 'die')
    restart.clock.set(-3600)
    restart.changed('a', running=False)
    assert restart.passes(1.1).outcome == [
        fault('a', 'START_FAILED: stopped by somebody else')]


def test_one_that_dies_by_itself_while_it_waits_is_started_at_once():
    restart = begin('abc', rolling(1)).after(5).down('a')
    assert restart.history == [('stop', 'c'), ('spawn', 'a')]


def test_one_that_somebody_else_has_started_is_not_spawned_twice():
    restart = begin('a').let('a', 'die', 'spawn')
    restart.advance()
    assert restart.after(1.01).outcome is True
    assert restart.history == [('stop', 'a'), ('spawn', 'a')]


@pytest.mark.parametrize('phase, name', [('waiting', 'a'), ('starting', 'b'), ('restarted', 'b')])
def test_one_that_somebody_else_restarts_is_no_fault(phase, name):
    restart = begin('ab', rolling(1), startsecs=0 if phase == 'restarted' else 5)
    if phase != 'waiting':
        restart.down('b').clock.forward(0.01)
    if phase == 'restarted':
        restart.advance()
    restart[name].stop()
    restart.advance()
    restart[name].die()
    restart.after(0.5)[name].spawn()
    for _ in range(60):
        restart.after(0.2)
        for process in restart.group.processes.values():
            if process.state == ProcessStates.STOPPING:
                process.die()
    assert restart.outcome is True


def test_a_group_that_somebody_stops_and_removes_is_a_bad_group():
    restart = begin('ab', rolling(1)).down('b')
    for name in 'ab':
        restart[name].stop()
        restart[name].die()
    restart.after(0.5)
    del restart.supervisord.process_groups['web']
    assert restart.after(0.0).texts == [GONE]


def test_one_that_was_replaced_while_it_waited_is_not_stopped():
    restart = begin('ab', rolling(1)).after(5).let('a', 'die')
    restart['a'].spawn()  # Supervisor's autorestart
    assert restart.down('b').after(1.01).outcome is True
    assert restart.stopped == ['b']


def test_a_removed_process_is_not_spawned_and_an_added_one_is_left_alone():
    restart = begin('ab').let('a', 'die')
    del restart.group.processes['a']
    restart.world.add('new')
    assert restart.down('b').after(1.01).outcome is True
    assert restart.info()['removed'] == 1
    assert restart.history == [('stop', 'b'), ('stop', 'a'), ('spawn', 'b')]


def test_a_stop_of_somebody_else_has_time_to_see_its_process_down():
    world = World()
    world.add('a', ProcessStates.STOPPING).delay = world.clock.time() + 10
    restart = Restart(world).down('a')
    assert world.history == []
    assert restart.due() <= 0.11  # the main loop turns in between, so that they can look
    assert restart.after(0.11).history == []
    assert restart.after(0.11).history == [('spawn', 'a')]


@pytest.mark.parametrize('seconds, spawned', [(0.0, []), (1.0, ['a'])])
def test_so_has_a_stop_that_has_brought_it_down_just_before_the_call(seconds, spawned):
    world = World()
    world.add('a', ProcessStates.STOPPING).die()
    world.clock.forward(seconds)
    restart = Restart(world)
    assert restart.spawned == spawned
    assert restart.passes(0.31).spawned == ['a']


def test_a_stop_of_somebody_else_has_that_time_though_the_main_loop_is_held_meanwhile():
    world = World()
    world.add('a', ProcessStates.STOPPING)
    restart = Restart(world).down('a').after(5.0)
    assert world.history == []
    assert restart.passes(0.11).spawned == ['a']


def test_a_stop_is_not_taken_for_a_new_one_when_the_system_clock_is_set_back():
    world = World()
    world.add('a', ProcessStates.STOPPING)
    restart = Restart(world).down('a')
    world.clock.set(-3600)
    assert restart.passes(0.3).spawned == ['a']


def test_in_a_pass_in_which_somebody_removes_the_group_nothing_more_is_spawned():
    restart = begin('abc')
    spawn = restart['a'].spawn
    restart['a'].spawn = lambda: (spawn(), restart.group_removed())[0]
    assert restart.down(*'abc').texts == [GONE]
    assert restart.spawned == ['a']
    assert sum('removed during' in line for _, line in restart.world.lines) == 1


@pytest.mark.parametrize('meanwhile, spawned', [
    (lambda restart: restart['b'].spawn(), ['a', 'b']),
    (lambda restart: restart.group.processes.pop('b'), ['a'])], ids=['starts', 'removes'])
def test_what_somebody_does_between_a_look_and_a_spawn_counts(meanwhile, spawned):
    restart = begin('ab')
    spawn = restart['a'].spawn
    restart['a'].spawn = lambda: (spawn(), meanwhile(restart))
    assert restart.down(*'ab').passes(1.1).outcome is True
    assert restart.spawned == spawned
    assert 'already running' not in str(restart.world.machine.lines)


# When the next pass is due

def test_stops_and_spawns_are_cut_into_slices_and_the_next_pass_is_due_at_once():
    world = World(*'abcdef')
    for process in world.group.processes.values():
        for method in ('stop', 'spawn'):
            takes(world, SLICE * 0.4, process, method)
    restart = Restart(world)
    assert (len(restart.stopped), restart.due()) == (3, 0)
    restart.advance()
    assert len(restart.stopped) == 6
    for name in 'abcdef':
        restart.let(name, 'die')
    restart.look()
    assert (len(restart.spawned), restart.due()) == (2, 0)


def test_looks_are_cut_into_slices_too():
    restart = begin('abcdef')
    for process in restart.group.processes.values():
        process.transition = lambda: restart.clock.forward(SLICE * 0.4)
    before = restart.clock.now
    restart.look()
    assert restart.clock.now - before < SLICE * 1.5
    assert restart.due() == 0


def test_what_begins_at_once_is_cut_into_slices_too_and_nothing_is_stopped_before():
    world = World('up')
    for name in 'abcdef':
        takes(world, SLICE / 4, world.add(name, ProcessStates.STOPPED), 'get_state')
    restart = Restart(world)
    assert restart.due() == 0 and 0 < restart.info()['waiting'] < 7
    assert restart.stopped == []
    while not restart.stopped:
        restart.advance()
    assert restart.info()['waiting'] == 0


def test_while_there_is_much_to_spawn_the_others_are_not_looked_at_again_and_again():
    restart = begin('abcdefgh', LATE._replace(delay=SLICE))
    looks = []
    restart['h'].transition = lambda: looks.append(restart.clock.now)
    for name in 'abcdefg':
        restart[name].die()
        takes(restart.world, SLICE, restart[name], 'spawn')
    restart.look()
    while restart.due() == 0 and restart['g'].state != ProcessStates.STARTING:
        restart.advance()
    assert restart.history[-1] == ('spawn', 'g')
    assert len(looks) == 1


@pytest.mark.parametrize('settings, seconds', [
    (LATE, 0.5),  # SIGKILL after stopwaitsecs
    (Settings(timeout=0.3), 0.3),
    (Settings(delay=0.4, timeout=30.0, stagger_factor=2), 0.4),
])
def test_the_next_pass_is_due_when_time_alone_changes_something(settings, seconds):
    world = World(*'ab')
    for name in 'ab':
        world[name].config.stopwaitsecs = 0.5
    assert Restart(world, settings).due() == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize('settings', [SLOW, rolling(1, delay=50.0)])
def test_the_call_ends_when_all_are_running_and_not_before_and_that_pass_is_due(settings):
    restart = begin('a', settings).down('a')
    assert restart.due() == pytest.approx(1.0, abs=0.01)
    assert (restart.passes(0.99).outcome, restart.finished) == (None, False)
    assert (restart.passes(0.02).outcome, restart.finished) == (True, True)


def test_each_is_started_as_soon_as_it_is_down_and_within_a_second_where_nobody_tells_it():
    restart = begin('ab').let('b', 'die').down('a')
    assert restart.history[2:] == [('spawn', 'a')]
    assert 0.9 < restart.due() < 1.0
    assert restart.passes(1.0).spawned == ['a', 'b']


def told(world):
    """Begin a restart that is told of events, as in supervisord, and let all processes end."""
    restarts = Restarts(world.supervisord, world.clock)
    restart = restarts.begin('web', SLOW)
    restart.advance()
    for process in world.group.processes.values():
        process.die()
    restart.advance()
    return restart


def test_where_many_come_up_one_by_one_only_the_last_one_makes_a_pass_due():
    world = World()
    for number, name in enumerate('abc', 1):
        world.add(name, startsecs=number / 4)
    restart = told(world)
    for name, left in (('a', 0.5), ('b', 0.25), ('c', 0.0)):
        world.clock.forward(0.251)
        world[name].transition()
        assert restart.due() == pytest.approx(left, abs=0.01)
    assert restart.due() == 0
    restart.advance()
    assert restart.outcome is True


def test_where_the_last_one_fails_the_pass_is_due_when_the_last_of_the_others_is_up():
    world = World('a', 'b')
    world.add('c', startsecs=10)
    restart = told(world)
    world['c'].die()
    restart.advance()
    assert restart.due() == pytest.approx(1.0, abs=0.01)
    for _ in range(2):
        world.clock.forward(restart.due())
        restart.advance()
    assert restart.finished


def test_where_many_take_long_one_pass_a_second_looks_at_all_of_them():
    names = 'abcdefgh'
    world, passes = World(*names, startsecs=100), 0
    restart = Restart(world, rolling(len(names)))
    for name in names:
        world[name].die()
        restart.changed(name, running=False)
        for _ in range(2):
            restart.advance()
        world.clock.forward(0.1)
    until = world.clock.now + 10
    while world.clock.now < until:
        world.clock.forward(restart.due())
        restart.advance()
        passes += 1
    assert len(restart.spawned) == len(names) and passes <= 11


def test_where_somebody_else_stops_and_starts_them_it_ends_when_the_last_one_is_up():
    world = World('a', 'b', startsecs=0)
    world.machine.fork_takes = 0.0
    restart = told(world)
    for name in 'ab':
        world[name].stop()
    restart.advance()
    for name in 'ab':
        world[name].die()
    world.clock.forward(0.01)
    restart.advance()
    world.clock.forward(0.01)
    assert restart.due() > 0.05
    for name in 'ab':
        world[name].spawn()
        world.clock.forward(0.001)
        world[name].transition()
    assert restart.due() == 0
    restart.advance()
    assert restart.outcome is True
