"""One restart, a pass at a time, with a fake clock and fake processes."""

import math

import pytest
from supervisor import events
from supervisor.states import ProcessStates, SupervisorStates

from supervisor_restarter.daemon.children import reap
from supervisor_restarter.restart.group_restart import SLICE, GroupRestart
from supervisor_restarter.restart.pacing import STOP_FIRST, Progress, Staggered
from supervisor_restarter.restart.restarts import Restarts
from supervisor_restarter.restart.settings import Limit, Settings
from tests.support.world import World
from tests.unit.fakes import passes

LATE = Settings(timeout=100.0)
NOT_PERMITTED = 'STOP_FAILED: PermissionError: [Errno 1] Operation not permitted'


def begin(world, settings=LATE):
    restart = GroupRestart(world.supervisord, world.group, settings, world.clock)
    restart.advance()
    return restart


def rolling(limit, **others):
    return LATE._replace(max_unavailable=Limit(limit), **others)


def down(world, restart, *names):
    """Let processes end, and make a pass."""
    for name in names:
        world[name].die()
    restart.advance()


def pass_time(world, restart, seconds):
    world.clock.forward(seconds)
    restart.advance()


def stopped(world):
    return [name for what, name in world.history if what == 'stop']


def fault(name, text, code=0x430):
    return {'code': code, 'text': text, 'group': 'web', 'name': name}


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
    process = world.add('a', state)
    process.delay = world.clock.time() + 10
    restart = begin(world)
    assert world.history == first_pass
    if when_down is not None:
        process.die()
        for _ in range(3):  # somebody else's stop is given the time to see it down
            pass_time(world, restart, 0.1)
        assert world.history == when_down
    if state == ProcessStates.UNKNOWN:
        assert restart.outcome == [fault('a', 'BAD_STATE: its state is UNKNOWN', 0x410)]
    else:
        pass_time(world, restart, 1.01)
        assert restart.outcome is True


def test_a_process_is_started_as_soon_as_it_is_down():
    world = World('a', 'b', 'c')
    restart = begin(world)
    down(world, restart, 'b')
    assert world.history[3:] == [('spawn', 'b')]
    down(world, restart, 'a', 'c')
    assert world.history[4:] == [('spawn', 'a'), ('spawn', 'c')]


def test_the_call_ends_when_all_are_running_and_not_before():
    world = World('a', 'b')
    restart = begin(world)
    down(world, restart, 'a', 'b')
    pass_time(world, restart, 0.99)
    assert (restart.outcome, restart.finished) == (None, False)
    pass_time(world, restart, 0.02)
    assert (restart.outcome, restart.finished) == (True, True)


def test_an_empty_group_is_restarted_at_once():
    restart = begin(World())
    assert (restart.outcome, restart.info()['total']) == (True, 0)


def test_stops_go_by_descending_and_spawns_by_ascending_priority_and_name():
    world = World()
    for name, priority in (('b', 2), ('a', 2), ('c', 1), ('d', 3)):
        world.add(name, priority=priority).behaves(stops_after=0.0)
    begin(world).advance()
    assert stopped(world) == ['d', 'b', 'a', 'c']
    assert [name for what, name in world.history if what == 'spawn'] == ['c', 'a', 'b', 'd']


def test_what_is_down_already_is_started_before_anything_is_stopped():
    world = World('a', 'c')
    world.add('b', ProcessStates.STOPPED)
    begin(world)
    assert world.history == [('spawn', 'b'), ('stop', 'c'), ('stop', 'a')]


# Staggered

@pytest.mark.parametrize('processes, batches, sizes', [
    (10, 3, [4, 3, 3]), (3, 3, [1, 1, 1]), (2, 5, [1, 1, 0, 0, 0]), (7, 1, [7]), (5, 2, [3, 2])])
def test_batches_go_by_the_clock_and_the_first_take_the_remainder(processes, batches, sizes):
    world = World(*'abcdefghij'[:processes])
    restart = begin(world, LATE._replace(stagger_factor=batches, delay=0.5))
    for expected in sizes:
        for _ in range(3):  # however often the pass runs
            restart.advance()
        assert len(world.history) == expected
        world.history.clear()
        world.clock.forward(0.499)
        restart.advance()
        assert world.history == []
        pass_time(world, restart, 0.001001)


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
    world = World(*'abcd')
    restart = begin(world, LATE._replace(stagger_factor=4, delay=0.5))
    pass_time(world, restart, 9)
    assert stopped(world) == ['d', 'c', 'b', 'a']


# Rolling

def test_never_more_than_the_limit_are_down_and_the_next_goes_in_the_same_pass():
    world = World(*'abcd')
    restart = begin(world, rolling(2))
    assert world.history == [('stop', 'd'), ('stop', 'c')]
    down(world, restart, 'd')
    pass_time(world, restart, 1.01)
    assert world.history[2:] == [('spawn', 'd'), ('stop', 'b')]


@pytest.mark.parametrize('percentage, expected', [(25, 1), (50, 2), (51, 3), (0.1, 1), (100, 4)])
def test_a_percentage_is_rounded_up_and_at_least_one(percentage, expected):
    world = World(*'abcd')
    begin(world, LATE._replace(max_unavailable=Limit(percentage, True)))
    assert len(world.history) == expected


def test_a_broken_release_uses_the_window_up_and_the_rest_is_left():
    world = World(*'abcdefghij')
    restart = begin(world, rolling(2))
    old = {name: world[name].pid for name in 'abcdefgh'}
    down(world, restart, 'j', 'i')
    down(world, restart, 'j', 'i')  # the new ones exit at once
    assert restart.finished
    assert restart.outcome == [
        fault('i', 'START_FAILED: Exited too quickly (process log may have details)'),
        fault('j', 'START_FAILED: Exited too quickly (process log may have details)'),
        fault('', 'STOPPED_EARLY: 2 failed, 8 of 10 processes left as they were', 0x450)]
    assert {name: world[name].pid for name in 'abcdefgh'} == old


def test_one_that_fails_narrows_the_window():
    world = World(*'abcd')
    restart = begin(world, rolling(2))
    down(world, restart, 'd')
    world['d'].die()
    restart.advance()  # c is still stopping, d has failed
    assert stopped(world) == ['d', 'c']


def test_one_that_is_not_running_yet_counts_against_the_window():
    world = World(*'abc')
    world.add('d', ProcessStates.STARTING)
    restart = begin(world, rolling(1, delay=50.0))
    assert world.history == []
    assert restart.due() == pytest.approx(1.0, abs=0.01)
    world.clock.forward(restart.due())
    restart.advance(everything=False)
    assert world.history == [('stop', 'd')]


def test_rolling_the_time_is_that_of_each_new_process_from_its_spawn():
    world = World(*'abc')
    restart = begin(world, rolling(1, timeout=2.0))
    for name in 'cb':
        pass_time(world, restart, 9.0)  # that is the old one's stopwaitsecs
        down(world, restart, name)
        pass_time(world, restart, 1.01)
    down(world, restart, 'a')
    world['a'].config.startsecs = 20
    pass_time(world, restart, 1.9)
    assert restart.outcome is None
    pass_time(world, restart, 0.2)
    assert restart.outcome.text == (
        'TIMEOUT: web: after 2 seconds 1 of 3 processes pending (1 starting)')


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
    restart = begin(world, settings)
    pass_time(world, restart, seconds - 0.1)
    assert restart.outcome is None
    pass_time(world, restart, 0.2)
    assert restart.outcome.text.startswith('TIMEOUT: web: after %d seconds 2 of 2' % seconds)


def test_rolling_without_a_timeout_each_process_has_its_own_time_to_leave_and_to_come_up():
    world = World('a')
    world['a'].config.stopwaitsecs, world['a'].transition = 100, lambda: None
    restart = begin(world, rolling(1, timeout=None))
    pass_time(world, restart, 100.0)
    down(world, restart, 'a')
    pass_time(world, restart, 5.9)  # startsecs, and 5 seconds
    assert restart.outcome is None
    pass_time(world, restart, 0.2)
    assert restart.outcome.text.startswith('TIMEOUT: web: after 6 seconds 1 of 1')


def test_a_new_process_counts_when_it_has_been_up_for_min_ready_seconds():
    world = World(*'ab')
    restart = begin(world, rolling(1, min_ready_seconds=4.0))
    down(world, restart, 'b')
    passes(world, restart, 4.9)
    assert stopped(world) == ['b']
    passes(world, restart, 0.2)
    assert stopped(world) == ['b', 'a']
    down(world, restart, 'a')
    passes(world, restart, 2.0)
    world['a'].die(3)
    restart.changed('a', running=False)
    passes(world, restart, 0.1)
    assert restart.outcome == [fault('a', 'START_FAILED: exited with status 3')]


@pytest.mark.parametrize('status', [0, 3])  # one that is expected, too
def test_a_restarted_one_that_leaves_again_counts_and_is_a_fault(status):
    world = World(*'abcd')
    restart = begin(world, rolling(1))
    down(world, restart, 'd')
    pass_time(world, restart, 1.01)
    world['d'].die(exitstatus=status)
    restart.changed('d', running=False)
    down(world, restart, 'c')
    pass_time(world, restart, 1.01)
    assert restart.outcome == [
        fault('d', 'START_FAILED: exited with status %d' % status),
        fault('', 'STOPPED_EARLY: 1 failed, 2 of 4 processes left as they were', 0x450)]


def test_one_that_was_removed_or_left_unnoticed_after_it_was_up_is_no_success():
    world = World(*'abc')
    world['a'].config.startsecs = 3
    restart = begin(world)
    down(world, restart, 'a', 'b', 'c')
    pass_time(world, restart, 1.01)
    assert restart.info()['restarted'] == 2
    del world.group.processes['b']
    world['c'].die(exitstatus=3)
    pass_time(world, restart, 2.0)
    assert restart.outcome == [fault('c', 'START_FAILED: exited with status 3')]
    assert restart.info()['removed'] == 1


# Time, and other ends

def test_at_the_timeout_the_call_ends_and_what_is_down_comes_up():
    world = World(*'abcd')
    restart = begin(world, Settings(timeout=1.0, stagger_factor=2, delay=1.0))
    pass_time(world, restart, 1.0)
    assert (restart.outcome.code, restart.outcome.text) == (
        0x420, 'TIMEOUT: web: after 1 seconds 4 of 4 processes pending (2 waiting, 2 stopping)')
    assert not restart.finished
    down(world, restart, 'c', 'd')
    pass_time(world, restart, 1.01)
    assert restart.finished
    assert world.history == [('stop', 'd'), ('stop', 'c'), ('spawn', 'c'), ('spawn', 'd')]


def test_after_other_faults_the_timeout_is_the_last_in_their_list():
    world = World('a', 'b')
    restart = begin(world, Settings(timeout=1.0))
    down(world, restart, 'a')
    world['a'].die()
    pass_time(world, restart, 1.0)
    assert [entry['text'].split(':')[0] for entry in restart.outcome] == ['START_FAILED', 'TIMEOUT']
    assert restart.outcome[1]['name'] == ''


def test_a_cancelled_restart_settles_and_answers_when_all_are_up():
    world = World(*'abc')
    restart = begin(world, rolling(1))
    restart.cancel()
    restart.advance()
    assert (restart.outcome, restart.info()['state']) == (None, 'SETTLING')
    down(world, restart, 'c')
    pass_time(world, restart, 1.01)
    assert restart.outcome.text == (
        'CANCELLED: web: cancelled, 3 of 3 processes pending (2 waiting, 1 stopping)')
    assert world.states() == dict.fromkeys('abc', 'RUNNING')
    assert world.history == [('stop', 'c'), ('spawn', 'c')]


def stopping_supervisord(world):
    world.supervisord.options.mood = SupervisorStates.SHUTDOWN


def reloading_supervisord(world):
    world.supervisord.options.mood = SupervisorStates.RESTARTING


def removed_group(world):
    del world.supervisord.process_groups['web']


def group_that_is_removed_and_added_again(world):
    world.add_group('web')


@pytest.mark.parametrize('event, text', [
    (stopping_supervisord, 'SHUTDOWN_STATE: web: supervisord is stopping'),
    (reloading_supervisord, 'SHUTDOWN_STATE: web: supervisord is stopping'),
    (removed_group, 'BAD_GROUP: web: removed during its restart'),
    (group_that_is_removed_and_added_again, 'BAD_GROUP: web: removed during its restart'),
])
def test_the_restart_ends_at_once_and_spawns_nothing(event, text):
    world = World('a', 'b')
    restart = begin(world)
    event(world)
    down(world, restart, 'a')
    assert restart.finished
    assert restart.outcome.text == text
    assert world.history == [('stop', 'b'), ('stop', 'a')]


@pytest.mark.parametrize('status, restarted', [(0, True), (1, False), (-1, False)])
def test_a_process_that_exits_as_expected_with_startsecs_0_has_restarted(status, restarted):
    world = World('a', startsecs=0)
    world.machine.fork_takes = 0.0
    restart = begin(world)
    down(world, restart, 'a')
    world.clock.forward(0.1)
    world['a'].die(exitstatus=status)
    restart.advance()
    assert restart.finished and (restart.outcome is True) == restarted


# Faults of one process

def unknown(process):
    process.change_state(ProcessStates.UNKNOWN)


def dies(process):
    process.die()


def dies_later(process):
    process.config.options.forward(2)
    process.change_state(ProcessStates.RUNNING)
    process.die(exitstatus=7)


def is_stopped(process):
    process.stop()
    process.die()


@pytest.mark.parametrize('event, text', [
    (dies, 'START_FAILED: Exited too quickly (process log may have details)'),
    (dies_later, 'START_FAILED: exited with status 7'),
    (is_stopped, 'START_FAILED: stopped by somebody else'),
    (unknown, 'START_FAILED: left again before it was RUNNING'),
])
def test_a_process_that_does_not_stay_up_is_a_fault_and_the_others_restart(event, text):
    world = World('a', 'b')
    restart = begin(world)
    down(world, restart, 'a', 'b')
    event(world['a'])
    restart.advance()
    pass_time(world, restart, 1.01)
    assert restart.outcome == [fault('a', text)]
    assert world.states()['b'] == 'RUNNING'


@pytest.mark.parametrize('trouble, text, code', [
    ({'spawn_error': "can't find command"}, "SPAWN_ERROR: can't find command", 50),
    ({'raises': OSError('address in use')}, 'SPAWN_ERROR: address in use', 50),
    ({'raises': RuntimeError('oops')}, 'FAILED: RuntimeError: oops', 30),
])
def test_one_that_cannot_be_spawned_is_a_fault_and_the_others_restart(trouble, text, code):
    world = World('a', 'b')
    vars(world['a']).update(trouble)
    restart = begin(world)
    down(world, restart, 'a', 'b')
    pass_time(world, restart, 1.01)
    assert restart.outcome == [fault('a', text, code)]


def test_a_process_whose_end_supervisor_cannot_take_in_does_not_keep_the_others_down():
    world = World('a', 'b')
    restart = begin(world)
    ends = [lambda: world['a'].change_state(ProcessStates.UNKNOWN) or 1 / 0, world['b'].die]
    world.supervisord.reap = lambda **how: ends.pop(0)() if ends else None
    reap(world.supervisord, math.inf, world.clock)
    restart.advance()
    assert world.history[2:] == [('spawn', 'b')]
    pass_time(world, restart, 1.01)
    assert restart.outcome == [fault('a', 'STOP_FAILED: its state became UNKNOWN', 0x431)]
    assert 'ZeroDivisionError' in dict(world.lines)['critical']


def test_one_in_backoff_is_taken_out_of_it_before_it_is_spawned():
    world = World()
    world.add('a', ProcessStates.BACKOFF)
    changes = []
    events.subscribe(events.ProcessStateEvent, lambda event: changes.append(
        (event.from_state, type(event))))
    begin(world)
    events.clear()
    assert changes == [(ProcessStates.BACKOFF, events.ProcessStateStoppedEvent),
                       (ProcessStates.STOPPED, events.ProcessStateStartingEvent)]


def test_a_stop_signal_that_cannot_be_sent_is_a_fault():
    world = World('a', 'b')
    world['a'].behaves(broken='no signal')
    restart = begin(world)
    down(world, restart, 'b')
    pass_time(world, restart, 1.01)
    assert restart.outcome == [fault('a', NOT_PERMITTED, 0x431)]


def test_each_fault_is_a_warning_in_the_log_and_begin_and_end_are_lines():
    world = World('a')
    world['a'].spawn_error = 'why'
    down(world, begin(world), 'a')
    assert world.lines == [
        ('info', 'restarter: web: restarting 1 processes, all at once'),
        ('warn', 'restarter: web: a: SPAWN_ERROR: why'),
        ('info', 'restarter: web: restarted 0 of 1 processes in 0.000 seconds')]


# Somebody else

def test_one_that_somebody_else_stops_while_it_waits_stays_down():
    world = World(*'abc')
    restart = begin(world, rolling(1))
    world['a'].stop()
    world['a'].die()
    down(world, restart, 'c')
    pass_time(world, restart, 1.01)
    restart.advance()
    assert ('spawn', 'a') not in world.history
    assert restart.outcome[0] == fault('a', 'START_FAILED: stopped by somebody else')


def test_one_that_dies_by_itself_while_it_waits_is_started_at_once():
    world = World(*'abc')
    restart = begin(world, rolling(1))
    world.clock.forward(5)
    down(world, restart, 'a')
    assert world.history == [('stop', 'c'), ('spawn', 'a')]


def test_one_that_somebody_else_has_started_is_not_spawned_twice():
    world = World('a')
    restart = begin(world)
    world['a'].die()
    world['a'].spawn()
    restart.advance()
    pass_time(world, restart, 1.01)
    assert restart.outcome is True
    assert world.history == [('stop', 'a'), ('spawn', 'a')]


@pytest.mark.parametrize('phase', ['waiting', 'starting', 'restarted'])
def test_one_that_somebody_else_restarts_is_no_fault(phase):
    world = World(*'ab', startsecs=0 if phase == 'restarted' else 5)
    restart = begin(world, rolling(1))
    if phase != 'waiting':
        down(world, restart, 'b')
        world.clock.forward(0.01)
    name = 'a' if phase == 'waiting' else 'b'
    if phase == 'restarted':
        restart.advance()
    world[name].stop()
    restart.advance()
    world[name].die()
    pass_time(world, restart, 0.5)
    world[name].spawn()
    for _ in range(60):
        pass_time(world, restart, 0.2)
        for process in world.group.processes.values():
            if process.state == ProcessStates.STOPPING:
                process.die()
    assert restart.outcome is True


def test_a_group_that_somebody_stops_and_removes_is_a_bad_group():
    world = World(*'ab')
    restart = begin(world, rolling(1))
    down(world, restart, 'b')
    for name in 'ab':
        world[name].stop()
        world[name].die()
    pass_time(world, restart, 0.5)
    removed_group(world)
    restart.advance()
    assert restart.outcome.text == 'BAD_GROUP: web: removed during its restart'


def test_one_that_was_replaced_while_it_waited_is_not_stopped():
    world = World(*'ab')
    restart = begin(world, rolling(1))
    world.clock.forward(5)
    world['a'].die()
    world['a'].spawn()  # Supervisor's autorestart
    down(world, restart, 'b')
    pass_time(world, restart, 1.01)
    assert restart.outcome is True
    assert ('stop', 'a') not in world.history


def test_a_removed_process_is_not_spawned_and_an_added_one_is_left_alone():
    world = World('a', 'b')
    restart = begin(world)
    world['a'].die()
    del world.group.processes['a']
    world.add('new')
    down(world, restart, 'b')
    pass_time(world, restart, 1.01)
    assert restart.outcome is True
    assert restart.info()['removed'] == 1
    assert world.history == [('stop', 'b'), ('stop', 'a'), ('spawn', 'b')]


def test_a_stop_of_somebody_else_has_time_to_see_its_process_down():
    world = World()
    world.add('a', ProcessStates.STOPPING).delay = world.clock.time() + 10
    restart = begin(world)
    down(world, restart, 'a')
    assert world.history == []
    assert restart.due() <= 0.11  # the main loop turns in between, so that they can look
    pass_time(world, restart, 0.11)
    assert world.history == []
    pass_time(world, restart, 0.11)
    assert world.history == [('spawn', 'a')]


# When the next pass is due

def test_a_pass_is_cut_into_slices_and_the_next_is_due_at_once():
    world = World(*'abcdef')
    for process in world.group.processes.values():
        process.behaves(stops_after=0.0)
        process.spawn = lambda spawn=process.spawn: (world.clock.forward(SLICE * 0.4), spawn())
    restart = begin(world)
    restart.advance()
    spawned = [entry for entry in world.history if entry[0] == 'spawn']
    assert len(spawned) == 2
    assert restart.due() == 0


def test_stops_are_cut_into_slices_too():
    world = World(*'abcdef')
    for process in world.group.processes.values():
        process.stop = lambda stop=process.stop: (world.clock.forward(SLICE * 0.4), stop())[1]
    restart = begin(world)
    assert len(stopped(world)) == 3
    assert restart.due() == 0
    restart.advance(everything=False)
    assert len(stopped(world)) == 6


def test_looks_are_cut_into_slices_too():
    world = World(*'abcdef')
    restart = begin(world)
    for process in world.group.processes.values():
        process.transition = lambda: world.clock.forward(SLICE * 0.4)
    before = world.clock.now
    restart.advance()
    assert world.clock.now - before < SLICE * 1.5
    assert restart.due() == 0


def test_while_there_is_much_to_spawn_the_others_are_not_looked_at_again_and_again():
    world = World(*'abcdefgh')
    restart = begin(world, LATE._replace(delay=SLICE))
    looks = []
    world['h'].transition = lambda: looks.append(world.clock.now)
    for name in 'abcdefg':
        world[name].die()
        world[name].spawn = lambda spawn=world[name].spawn: (world.clock.forward(SLICE), spawn())
    restart.advance()
    while restart.due() == 0 and world['g'].state != ProcessStates.STARTING:
        restart.advance(everything=False)
    assert world.history[-1] == ('spawn', 'g')
    assert len(looks) == 1


@pytest.mark.parametrize('settings, seconds', [
    (LATE, 0.5),  # SIGKILL after stopwaitsecs
    (Settings(timeout=0.3), 0.3),
    (Settings(delay=0.4, timeout=30.0, stagger_factor=2), 0.4),
])
def test_the_next_pass_is_due_when_time_alone_changes_something(settings, seconds):
    world = World('a', 'b')
    for name in 'ab':
        world[name].config.stopwaitsecs = 0.5
    restart = begin(world, settings)
    assert restart.due() == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize('settings', [LATE._replace(delay=50.0), rolling(1, delay=50.0)])
def test_the_next_pass_is_due_when_a_process_has_been_up_for_startsecs(settings):
    world = World('a')
    restart = begin(world, settings)
    down(world, restart, 'a')
    assert restart.due() == pytest.approx(1.0, abs=0.01)
    world.clock.forward(restart.due())
    restart.advance(everything=False)
    assert restart.outcome is True


@pytest.fixture
def told():
    """Begins a restart that is told of events, as in supervisord; all at once, delay = 50."""
    def begin(world):
        restarts = Restarts(world.supervisord, world.clock)
        restart = restarts.begin('web', LATE._replace(delay=50.0))
        restart.advance()
        for process in world.group.processes.values():
            process.die()
        restart.advance(everything=False)
        return restart
    yield begin
    events.clear()


def test_none_goes_down_before_all_that_has_changed_is_seen():
    world = World(*'abcd')
    restart = begin(world, rolling(1))
    down(world, restart, 'd')
    pass_time(world, restart, 1.1)
    down(world, restart, 'c')
    world['d'].die()
    restart.changed('d', running=False)
    up = world['c'].transition
    world['c'].transition = lambda: (world.clock.forward(SLICE), up())
    world.clock.forward(1.1)
    restart.advance(everything=False)
    assert restart.slots()[2]['phase'] == 'restarted' and stopped(world) == ['d', 'c']
    assert restart.due() == 0


def test_where_many_come_up_one_by_one_only_the_last_one_makes_a_pass_due(told):
    world = World()
    for number, name in enumerate('abc', 1):
        world.add(name, startsecs=number / 4)
    restart = told(world)
    for name, left in (('a', 0.5), ('b', 0.25)):
        world.clock.forward(0.251)
        world[name].transition()
        assert restart.due() == pytest.approx(left, abs=0.01)
    world.clock.forward(0.251)
    world['c'].transition()
    assert restart.due() == 0
    restart.advance(everything=False)
    assert restart.outcome is True


def test_where_the_last_one_fails_the_pass_is_due_when_the_last_of_the_others_is_up(told):
    world = World('a', 'b')
    world.add('c', startsecs=10)
    restart = told(world)
    world['c'].die()
    restart.advance(everything=False)
    assert restart.due() == pytest.approx(1.0, abs=0.01)
    world.clock.forward(restart.due())
    restart.advance(everything=False)
    assert restart.finished


def test_where_somebody_else_stops_and_starts_them_it_ends_when_the_last_one_is_up(told):
    world = World('a', 'b', startsecs=0)
    world.machine.fork_takes = 0.0
    restart = told(world)
    for name in 'ab':
        world[name].stop()
    restart.advance(everything=False)
    for name in 'ab':
        world[name].die()
    world.clock.forward(0.01)
    restart.advance(everything=False)
    world.clock.forward(0.01)
    assert restart.due() > 0.05
    for name in 'ab':
        world[name].spawn()
        world.clock.forward(0.001)
        world[name].transition()
    assert restart.due() == 0
    restart.advance(everything=False)
    assert restart.outcome is True


def test_what_nobody_tells_of_is_seen_within_a_second_all_the_same():
    world = World('a', 'b')
    restart = begin(world)
    world['a'].die()
    world['b'].die()
    restart.changed('a', running=False)
    assert restart.due() == 0
    restart.advance(everything=False)
    assert world.history[2:] == [('spawn', 'a')]
    assert 0.9 < restart.due() < 1.0
    world.clock.forward(restart.due())
    for _ in range(2):
        restart.advance(everything=False)
    assert world.history[3:] == [('spawn', 'b')]


@pytest.mark.parametrize('delay', [0.2, 20.0])
@pytest.mark.parametrize('jump', [-3600, 3600])
def test_the_system_clock_may_be_set_without_an_early_timeout_or_a_hang(jump, delay):
    world = World('a')
    restart = begin(world, Settings(timeout=30.0, delay=delay))
    world['a'].die()
    world['a'].spawn = lambda spawn=world['a'].spawn: (spawn(), world.clock.set(jump))
    restart.advance()
    while not restart.finished:
        pass_time(world, restart, max(0.001, restart.due()))
    assert restart.outcome is True
    assert world.clock.now < 1002


def test_a_process_that_never_stops_is_killed_on_time_and_started():
    world = World('a')
    restart = begin(world)
    while not restart.finished:
        world.clock.forward(max(0.001, restart.due()))
        restart.advance(everything=False)
    assert world.history == [('stop', 'a'), ('kill', 'a'), ('spawn', 'a')]
    assert world.clock.now - 1000 == pytest.approx(11, abs=0.1)


@pytest.mark.parametrize('state', [ProcessStates.FATAL, ProcessStates.BACKOFF])
def test_one_that_was_broken_before_and_fails_again_uses_no_window_up(state):
    world = World(*'ab')
    world.add('broken', state).spawn_error = 'no such program'
    restart = begin(world, rolling(1))
    for name in 'ba':
        down(world, restart, name)
        passes(world, restart, 1.1)
    assert restart.outcome == [fault('broken', 'SPAWN_ERROR: no such program', 50)]
    assert stopped(world) == ['b', 'a']


def test_what_begins_at_once_is_cut_into_slices_too_and_nothing_is_stopped_before():
    world = World('up')
    for name in 'abcdef':
        process = world.add(name, ProcessStates.STOPPED)
        process.get_state = lambda state=process.get_state: (
            world.clock.forward(SLICE / 4), state())[1]
    restart = begin(world)
    assert restart.due() == 0 and 0 < restart.info()['waiting'] < 7
    assert stopped(world) == []
    while not stopped(world):
        restart.advance(everything=False)
    assert restart.info()['waiting'] == 0


def test_one_that_is_replaced_unseen_has_to_be_up_for_min_ready_seconds_itself():
    world = World('a')
    restart = begin(world, LATE._replace(min_ready_seconds=4.0, delay=50.0))
    down(world, restart, 'a')
    passes(world, restart, 4.0)
    world['a'].die(1)
    world['a'].spawn()
    world.clock.forward(1.1)
    world['a'].transition()
    restart.advance()
    passes(world, restart, 3.0)
    assert restart.outcome is None
    passes(world, restart, 1.5)
    assert restart.outcome is True


def test_rolling_the_group_waits_no_longer_for_others_than_a_process_may_take():
    world = World('a')
    world.add('b', ProcessStates.STARTING, startsecs=1000)
    restart = begin(world, rolling(1, timeout=3.0))
    passes(world, restart, 2.9)
    assert restart.outcome is None
    passes(world, restart, 0.2)
    assert restart.outcome.text == (
        'TIMEOUT: web: after 3 seconds 2 of 2 processes pending (2 waiting)')


def test_a_process_is_looked_at_before_its_turn():
    world = World(*'ab')
    restart = begin(world, rolling(1))
    down(world, restart, 'b')
    world['a'].die()  # nobody has said so
    world.clock.forward(1.1)
    world['b'].transition()
    restart.changed('b', running=True)
    restart.advance(everything=False)
    restart.advance(everything=False)
    assert stopped(world) == ['b'] and world.history[-1] == ('spawn', 'a')


def test_in_a_pass_in_which_somebody_removes_the_group_nothing_more_is_spawned():
    world = World(*'abc')
    restart = begin(world)
    spawn = world['a'].spawn
    world['a'].spawn = lambda: (spawn(), restart.group_removed())[0]
    down(world, restart, *'abc')
    assert restart.outcome.text == 'BAD_GROUP: web: removed during its restart'
    assert [entry for entry in world.history if entry[0] == 'spawn'] == [('spawn', 'a')]
    assert sum('removed during' in line for _, line in world.lines) == 1


@pytest.mark.parametrize('somebody', ['starts', 'removes'])
def test_what_somebody_does_between_a_look_and_a_spawn_counts(somebody):
    world = World(*'ab')
    restart = begin(world)
    spawn, other = world['a'].spawn, world['b']

    def meanwhile():
        spawn()
        if somebody == 'starts':
            other.spawn()
        else:
            del world.group.processes['b']
    world['a'].spawn = meanwhile
    down(world, restart, *'ab')
    passes(world, restart, 1.1)
    assert restart.outcome is True
    assert [name for what, name in world.history if what == 'spawn'] == (
        ['a', 'b'] if somebody == 'starts' else ['a'])
