"""A process that declares its readiness counts as up when it is ready, and not before."""

import pytest

from supervisor_restarter.daemon.listeners import Address
from supervisor_restarter.daemon.listening import Noted
from supervisor_restarter.restart.faults import CannotRestart, RPCError
from supervisor_restarter.restart.group_restart import GroupRestart
from supervisor_restarter.restart.settings import Limit, Settings
from tests.support.world import World
from tests.unit.fakes import FakeReadiness, passes

URL = 'http://127.0.0.1:8001/health'
LATE = Settings(timeout=100.0, delay=50.0)
ONE = LATE._replace(max_unavailable=Limit(1))


def begin(world, readiness, settings=LATE):
    restart = GroupRestart(world.supervisord, world.group, settings, world.clock, readiness)
    restart.advance()
    return restart


def down(world, restart, *names):
    for name in names:
        world[name].die()
        restart.changed(name, running=False)
    restart.advance(everything=False)


def stopped(world):
    return [name for what, name in world.history if what == 'stop']


def fault(name, text, code=0x460):
    return {'code': code, 'text': text, 'group': 'web', 'name': name}


def told(restart):
    """What is awaited, its seconds rounded."""
    return [dict(entry, seconds=round(entry['seconds'], 3)) for entry in sorted(
        restart.info()['awaiting'], key=lambda entry: entry['name'])]


@pytest.mark.parametrize('value', ['notify', URL])
@pytest.mark.parametrize('settings', [LATE, ONE])
@pytest.mark.parametrize('startsecs', [0, 1])
def test_the_restart_waits_until_a_process_is_ready_and_running(value, settings, startsecs):
    world, readiness = World('a', startsecs=startsecs), FakeReadiness(a=value)
    restart = begin(world, readiness, settings)
    down(world, restart, 'a')
    passes(world, restart, 3.0)
    assert (world.states(), restart.finished) == ({'a': 'RUNNING'}, False)
    readiness.watches['a'].becomes_ready()
    assert restart.due() == 0
    restart.advance(everything=False)
    assert restart.outcome is True
    assert readiness.watches['a'].closed


def test_rolling_one_that_is_ready_lets_the_next_go_though_it_is_not_running():
    world, readiness = World('a', 'b', startsecs=5), FakeReadiness(a=URL, b=URL)
    restart = begin(world, readiness, ONE)
    down(world, restart, 'b')
    passes(world, restart, 0.5)
    assert stopped(world) == ['b']
    readiness.watches['b'].becomes_ready()
    restart.advance(everything=False)
    assert (stopped(world), world.states()['b']) == (['b', 'a'], 'STARTING')
    down(world, restart, 'a')
    readiness.watches['a'].becomes_ready()
    passes(world, restart, 4.4)
    assert restart.outcome is None  # all are ready, and the last is not RUNNING
    passes(world, restart, 0.7)
    assert restart.outcome is True
    assert world.clock.now - 1000 < 5.7


def test_rolling_one_that_is_running_and_not_ready_lets_no_other_go():
    world, readiness = World('a', 'b'), FakeReadiness(a=URL, b=URL)
    restart = begin(world, readiness, ONE)
    down(world, restart, 'b')
    passes(world, restart, 30.0)
    assert (stopped(world), world.states()['b']) == (['b'], 'RUNNING')


def test_one_that_dies_after_it_was_ready_ends_a_rolling_restart():
    world, readiness = World('a', 'b', 'c', startsecs=5), FakeReadiness(a=URL, b=URL, c=URL)
    restart = begin(world, readiness, ONE)
    down(world, restart, 'c')
    readiness.watches['c'].becomes_ready()
    restart.advance(everything=False)
    down(world, restart, 'c')
    down(world, restart, 'b')
    readiness.watches['b'].becomes_ready()
    passes(world, restart, 6.0)
    assert [entry['text'] for entry in restart.outcome] == [
        'START_FAILED: Exited too quickly (process log may have details)',
        'STOPPED_EARLY: 1 failed, 1 of 3 processes left as they were']


def test_staggered_a_batch_goes_by_the_clock_and_not_by_readiness():
    world, readiness = World('a', 'b'), FakeReadiness(a=URL, b=URL)
    restart = begin(world, readiness, Settings(delay=2.0, timeout=50.0, stagger_factor=2))
    down(world, restart, 'b')
    passes(world, restart, 1.9)
    assert stopped(world) == ['b']
    passes(world, restart, 0.2)
    assert stopped(world) == ['b', 'a']


# Not ready in time

def test_rolling_one_that_is_not_ready_in_its_time_is_a_fault_and_runs_on():
    world, readiness = World(*'abcd'), FakeReadiness(**dict.fromkeys('abcd', URL))
    restart = begin(world, readiness, ONE._replace(timeout=3.0))
    down(world, restart, 'd')
    readiness.watches['d'].seen = URL + ' answered 503'
    passes(world, restart, 3.1)
    assert restart.outcome == [
        fault('d', 'NOT_READY: after 3 seconds: %s answered 503' % URL),
        fault('', 'STOPPED_EARLY: 1 failed, 3 of 4 processes left as they were', 0x450)]
    assert world.states()['d'] == 'RUNNING' and stopped(world) == ['d']
    assert readiness.watches['d'].closed


@pytest.mark.parametrize('names', ['a', 'ab'])
def test_all_at_once_the_time_is_that_of_the_call_and_the_fault_its_own(names):
    world, readiness = World(*names), FakeReadiness(**dict.fromkeys(names, URL))
    restart = begin(world, readiness, LATE._replace(timeout=3.0))
    down(world, restart, *names)
    passes(world, restart, 2.9)
    assert restart.outcome is None
    passes(world, restart, 0.2)
    assert restart.finished
    assert restart.outcome == [fault(name, 'NOT_READY: after 3 seconds: refused') for name in names]


def test_all_at_once_others_that_are_late_are_a_timeout_after_it():
    world, readiness = World('a', 'b'), FakeReadiness(a=URL)
    restart = begin(world, readiness, LATE._replace(timeout=3.0))
    down(world, restart, 'a')
    passes(world, restart, 3.1)
    assert restart.outcome == [
        fault('a', 'NOT_READY: after 3 seconds: refused'),
        fault('', 'TIMEOUT: after 3 seconds 1 of 2 processes pending (1 stopping)', 0x420)]


@pytest.mark.parametrize('settings', [LATE, ONE])
def test_one_that_asks_for_more_time_gets_it(settings):
    world, readiness = World('a'), FakeReadiness(a='notify')
    restart = begin(world, readiness, settings._replace(timeout=3.0))
    down(world, restart, 'a')
    readiness.watches['a'].extended_until = world.clock.now + 7.0
    readiness.watches['a'].changed()
    passes(world, restart, 6.9)
    assert restart.outcome is None
    passes(world, restart, 0.2)
    assert restart.outcome[0] == fault('a', 'NOT_READY: after 7 seconds: refused')


def test_one_that_asks_for_more_time_does_not_get_it_for_the_others():
    world, readiness = World('a', 'b'), FakeReadiness(a='notify')
    restart = begin(world, readiness, LATE._replace(timeout=3.0))
    down(world, restart, 'a')
    readiness.watches['a'].extended_until = world.clock.now + 7.0
    passes(world, restart, 3.1)
    assert isinstance(restart.outcome, RPCError) and restart.outcome.text.startswith('TIMEOUT')


def test_one_that_exits_before_it_is_ready_is_a_fault_that_says_so():
    world, readiness = World('a', startsecs=0), FakeReadiness(a='notify')
    restart = begin(world, readiness)
    down(world, restart, 'a')
    world.clock.forward(0.1)
    world['a'].die(exitstatus=0)
    restart.advance()
    assert restart.outcome == [
        fault('a', 'START_FAILED: exited with status 0 before it was ready', 0x430)]


# What is watched, and how

def test_a_watch_is_looked_at_when_it_is_due():
    world, readiness = World('a'), FakeReadiness(a=URL)
    restart = begin(world, readiness)
    down(world, restart, 'a')
    looks = readiness.watches['a'].looks
    assert restart.due() == pytest.approx(0.1)
    passes(world, restart, 0.35)
    assert readiness.watches['a'].looks == looks + 3


def test_what_is_awaited_of_whom_and_for_how_long_is_told():
    world, readiness = World('a', 'b'), FakeReadiness(a=URL)
    restart = begin(world, readiness, LATE._replace(min_ready_seconds=10.0))
    passes(world, restart, 3.0)
    leaving = {'awaited': '', 'seen': '', 'phase': 'leaving', 'seconds': 3.0, 'limit': 10}
    assert told(restart) == [dict(leaving, name='a'), dict(leaving, name='b')]
    down(world, restart, 'a', 'b')
    passes(world, restart, 2.0)
    starting = {'name': 'a', 'awaited': URL, 'seen': 'refused', 'phase': 'starting',
                'seconds': 2.0, 'limit': LATE.timeout + 10}
    assert told(restart)[0] == starting
    readiness.watches['a'].becomes_ready()
    passes(world, restart, 4.0)
    assert [(entry['phase'], entry['limit']) for entry in told(restart)] == [('ready', 10.0)] * 2
    assert 3.9 < told(restart)[0]['seconds'] < 4.1
    passes(world, restart, 7.0)
    assert told(restart) == []


def test_a_wrong_declaration_is_a_fault_before_anything_is_stopped():
    world, readiness = World('a', 'b'), FakeReadiness(b='wrong')
    with pytest.raises(CannotRestart) as why:
        begin(world, readiness)
    assert str(why.value) == "web:b: RESTARTER_READY = 'wrong': must be right"
    assert world.history == []


def test_a_process_whose_socket_cannot_be_had_comes_up_all_the_same_and_is_a_fault():
    world, readiness = World('a', 'b'), FakeReadiness(a='notify')
    readiness.trouble = OSError(24, 'Too many open files')
    restart = begin(world, readiness)
    down(world, restart, 'a', 'b')
    passes(world, restart, 1.1)
    assert ('spawn', 'a') in world.history
    assert restart.outcome == [
        fault('a', 'NOT_READY: cannot be seen: [Errno 24] Too many open files')]


@pytest.mark.parametrize('value, watched', [(URL, True), ('notify', False)])
def test_one_that_somebody_else_spawns_is_asked_where_that_can_be(value, watched):
    world, readiness = World('a'), FakeReadiness(a=value)
    restart = begin(world, readiness)
    world['a'].die()
    world['a'].spawn()
    restart.changed('a', running=False)
    restart.advance(everything=False)
    assert ('a' in readiness.watches) == watched
    passes(world, restart, 1.1)
    assert restart.finished != watched


def test_the_watch_of_a_process_that_was_replaced_says_nothing_of_the_new_one():
    world, readiness = World('a', startsecs=5), FakeReadiness(a=URL)
    restart = begin(world, readiness)
    down(world, restart, 'a')
    first = readiness.watches['a']
    first.becomes_ready()
    restart.advance()
    world['a'].stop()
    world['a'].die()
    world['a'].spawn()
    restart.advance()
    assert first.closed and readiness.watches['a'] is not first
    passes(world, restart, 6.0)
    assert not restart.finished


# Where the old one listens

SURGE = LATE._replace(timeout=None, max_surge=Limit(1))
WHERE = 'does not listen on 127.0.0.1:8001, where pid 4711 does'
LISTENS = Noted(4711, None, surge=True, addresses=(Address('127.0.0.1', 8001),))
REFUSED = LISTENS._replace(refusal='with max_surge it cannot be')


def test_a_successor_that_is_running_takes_over_when_it_listens_though_nothing_is_declared():
    world, readiness = World('a'), FakeReadiness()
    readiness.noted['a'] = LISTENS
    restart = begin(world, readiness, SURGE)
    passes(world, restart, 30.0)
    assert world.states() == {'a': 'RUNNING', 'a.new': 'RUNNING'}
    assert [(entry['name'], entry['seen']) for entry in told(restart)] == [('a', 'refused')]
    readiness.watches['a.new'].becomes_ready()
    restart.advance(everything=False)
    assert world.states() == {'a': 'RUNNING', 'a.old': 'STOPPING'}


def test_one_that_listens_and_declares_nothing_does_not_take_over_before_it_is_running():
    world, readiness = World('a', startsecs=5), FakeReadiness()
    readiness.noted['a'] = LISTENS
    restart = begin(world, readiness, SURGE)
    readiness.watches['a.new'].becomes_ready()
    passes(world, restart, 4.0)
    assert world.states() == {'a': 'RUNNING', 'a.new': 'STARTING'}
    assert restart.info()['awaiting'] != []
    passes(world, restart, 1.1)
    assert world.states() == {'a': 'RUNNING', 'a.old': 'STOPPING'}


def test_one_that_never_listens_is_a_fault_a_minute_after_it_could_be_running():
    world, readiness = World('a'), FakeReadiness()
    readiness.noted['a'] = LISTENS
    restart = begin(world, readiness, SURGE)
    readiness.watches['a.new'].seen = WHERE
    world['a.new'].behaves(stops_after=0.0)
    passes(world, restart, 60.9)
    assert restart.outcome is None
    passes(world, restart, 0.2)
    assert restart.outcome[0] == fault('a', 'NOT_READY: after 61 seconds: ' + WHERE)
    assert world.states()['a'] == 'RUNNING'


@pytest.mark.parametrize('settings, due', [
    (LATE, 0.2), (LATE._replace(max_unavailable=Limit(2)), 0.1)])
def test_where_nobody_waits_for_one_of_them_a_look_waits_for_those_at_others(settings, due):
    world, readiness = World(*'ab'), FakeReadiness(a='listen', b='listen')
    restart = begin(world, readiness, settings)
    down(world, restart, *'ab')
    watches = [readiness.watches[name] for name in 'ab']
    for watch, period in zip(watches, (0.1, 0.2)):
        watch.patient, watch.period = True, period
    restart.advance()
    assert restart.due() == pytest.approx(due)


def test_rolling_a_minute_is_enough_however_long_the_old_one_may_take_to_leave():
    world, readiness = World('a'), FakeReadiness(a='notify')
    world['a'].config.stopwaitsecs, world['a'].transition = 3600, lambda: None
    restart = begin(world, readiness, ONE._replace(timeout=None))
    passes(world, restart, 500.0)
    down(world, restart, 'a')
    passes(world, restart, 60.9)
    assert restart.outcome is None
    passes(world, restart, 0.2)
    assert restart.outcome == [fault('a', 'NOT_READY: after 61 seconds: refused')]


@pytest.mark.parametrize('startsecs, died', [
    (1, 'Exited too quickly (process log may have details)'),
    (0, 'exited with status 1 before it was ready')])
def test_one_that_ends_while_another_is_in_its_way_is_a_fault_that_names_it(startsecs, died):
    world, readiness = World('a', startsecs=startsecs), FakeReadiness()
    readiness.noted['a'] = LISTENS
    restart = begin(world, readiness, SURGE)
    readiness.watches['a.new'].others = WHERE
    passes(world, restart, 0.1)
    down(world, restart, 'a.new') if startsecs else world['a.new'].die(exitstatus=1)
    restart.changed('a.new', running=False)
    restart.advance(everything=False)
    assert restart.outcome[0] == fault('a', 'START_FAILED: %s; %s' % (died, WHERE), 0x430)


def test_a_process_that_cannot_have_a_second_one_is_refused_before_anything_is_done():
    world, readiness = World('a', 'b'), FakeReadiness()
    readiness.noted['a'] = REFUSED
    with pytest.raises(CannotRestart) as why:
        begin(world, readiness, SURGE)
    assert str(why.value) == 'web:a: with max_surge it cannot be'
    assert begin(world, readiness, ONE)  # stop first, nobody is in the way


def test_one_that_cannot_when_it_is_its_turn_is_a_fault_and_serves_on():
    world, readiness = World('a'), FakeReadiness()
    restart = GroupRestart(world.supervisord, world.group, SURGE, world.clock, readiness)
    readiness.noted['a'] = REFUSED
    restart.advance()
    assert restart.outcome[0] == fault('a', 'NOT_READY: with max_surge it cannot be')
    assert world.history == []


# Who is left behind

@pytest.mark.parametrize('settings', [LATE, SURGE])
def test_others_of_a_process_group_that_stay_are_a_warning_and_no_fault(settings):
    world, readiness = World('a', 'b'), FakeReadiness()
    readiness.orphaned = {world['a'].pid}
    restart = begin(world, readiness, settings)
    for _ in range(2):
        passes(world, restart, 1.1)
        for name in [name for name in world.states() if world.states()[name] == 'STOPPING']:
            down(world, restart, name)
    passes(world, restart, 2.2)
    assert restart.outcome is True
    warning, = restart.info()['warnings']
    assert (warning['code'], warning['group'], warning['name']) == (0x480, 'web', 'a')
    assert warning['text'].startswith('LEFT_BEHIND: pid %d has ended, and others of its process '
                                      'group run on' % min(readiness.orphaned))


def test_those_of_a_process_that_somebody_else_has_restarted_are_a_warning_too():
    world, readiness = World('a', 'b'), FakeReadiness()
    readiness.orphaned = {world['a'].pid}
    restart = begin(world, readiness, ONE)
    world['a'].stop()
    world['a'].die()
    world['a'].spawn()
    down(world, restart, 'b')
    passes(world, restart, 2.2)
    assert restart.outcome is True
    assert [warning['name'] for warning in restart.info()['warnings']] == ['a']


# Some have time to follow, but not beyond that of the call.
@pytest.mark.parametrize('follow, timeout, seconds, warnings', [
    (True, None, 0.6, 0), (False, None, 1.0, 1), (False, 0.52, 0.52, 1)])
def test_those_that_follow_within_a_second_are_none(follow, timeout, seconds, warnings):
    world, readiness = World('a', startsecs=0), FakeReadiness()
    readiness.orphaned = {world['a'].pid}
    restart = begin(world, readiness, LATE._replace(timeout=timeout))
    down(world, restart, 'a')
    passes(world, restart, 0.5)
    assert not restart.finished and 0 < restart.due() <= 0.05
    readiness.orphaned -= readiness.orphaned if follow else set()
    passes(world, restart, seconds - 0.5 + 0.06)
    assert (restart.outcome, len(restart.info()['warnings'])) == (True, warnings)


@pytest.mark.parametrize('settings', [LATE, ONE])
def test_a_process_is_started_when_the_others_of_its_group_have_followed(settings):
    world, readiness = World('a', startsecs=0), FakeReadiness()
    readiness.orphaned = {world['a'].pid}
    restart = begin(world, readiness, settings)
    down(world, restart, 'a')
    passes(world, restart, 0.5)
    assert world.history == [('stop', 'a')] and restart.due() <= 0.05
    readiness.orphaned = set()
    passes(world, restart, 0.06)
    assert world.history == [('stop', 'a'), ('spawn', 'a')]
    assert (restart.outcome, restart.info()['warnings']) == (True, [])


def test_those_of_its_group_that_stay_hold_it_up_for_a_second():
    world, readiness = World('a', startsecs=0), FakeReadiness()
    readiness.orphaned = {world['a'].pid}
    restart = begin(world, readiness)
    restart.cancel()
    down(world, restart, 'a')
    passes(world, restart, 0.9)
    assert world.history == [('stop', 'a')]
    passes(world, restart, 0.2)
    assert world.history == [('stop', 'a'), ('spawn', 'a')]


def test_one_that_has_ended_by_itself_is_started_at_once():
    world, readiness = World('a', 'b'), FakeReadiness()
    readiness.orphaned = {world['a'].pid}
    restart = begin(world, readiness, ONE)
    assert stopped(world) == ['b']
    down(world, restart, 'a')
    assert ('spawn', 'a') in world.history


def test_whom_somebody_else_starts_meanwhile_is_started_once():
    world, readiness = World('a'), FakeReadiness()
    readiness.orphaned = {world['a'].pid}
    restart = begin(world, readiness)
    down(world, restart, 'a')
    passes(world, restart, 0.5)
    world['a'].spawn()
    passes(world, restart, 5.0)
    assert (restart.outcome, world.states()) == (True, {'a': 'RUNNING'})
    assert world.history == [('stop', 'a'), ('spawn', 'a')]
