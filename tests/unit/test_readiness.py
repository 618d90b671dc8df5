"""A process that declares its readiness counts as up when it is ready, and not before."""

import pytest

from supervisor_restarter.daemon.listeners import Address
from supervisor_restarter.daemon.listening import Noted
from supervisor_restarter.restart.faults import CannotRestart, RPCError
from supervisor_restarter.restart.group_restart import GroupRestart
from supervisor_restarter.restart.settings import Limit, Settings
from tests.support.world import World
from tests.unit.fakes import FakeReadiness
from tests.unit.restarting import QUICK, SLOW, SURGE, Restart, begin, fault

URL = 'http://127.0.0.1:8001/health'
ONE = SLOW._replace(max_unavailable=Limit(1))
NEW = SURGE._replace(timeout=None)


def declaring(names, settings=SLOW, value=URL, **each):
    """Begin a restart of processes that all declare the same."""
    return begin(names, settings, FakeReadiness(**dict.fromkeys(names, value)), **each)


def not_ready(name, text):
    return fault(name, 'NOT_READY: ' + text, 0x460)


def told(restart):
    """What is awaited, its seconds rounded."""
    return [dict(entry, seconds=round(entry['seconds'], 3)) for entry in sorted(
        restart.info()['awaiting'], key=lambda entry: entry['name'])]


@pytest.mark.parametrize('value', ['notify', URL])
@pytest.mark.parametrize('settings', [SLOW, ONE])
@pytest.mark.parametrize('startsecs', [0, 1])
def test_the_restart_waits_until_a_process_is_ready_and_running(value, settings, startsecs):
    restart = declaring('a', settings, value, startsecs=startsecs).down('a').passes(3.0)
    assert (restart.states, restart.finished) == ({'a': 'RUNNING'}, False)
    restart.watches['a'].becomes_ready()
    assert restart.due() == 0
    restart.advance()
    assert restart.outcome is True
    assert restart.watches['a'].closed


def test_rolling_one_that_is_ready_lets_the_next_go_though_it_is_not_running():
    restart = declaring('ab', ONE, startsecs=5).down('b').passes(0.5)
    assert restart.stopped == ['b']
    restart.ready('b')
    assert (restart.stopped, restart.states['b']) == (['b', 'a'], 'STARTING')
    assert (restart.info()['starting'], restart.info()['restarted']) == (1, 0)
    restart.down('a').ready('a').passes(4.4)
    assert restart.outcome is None  # all are ready, and the last is not RUNNING
    assert restart.passes(0.7).outcome is True


def test_rolling_one_that_is_running_and_not_ready_lets_no_other_go():
    restart = declaring('ab', ONE).down('b').passes(30.0)
    assert (restart.stopped, restart.states['b']) == (['b'], 'RUNNING')


def test_one_that_dies_after_it_was_ready_ends_a_rolling_restart():
    restart = declaring('abc', ONE, startsecs=5).down('c').ready('c').down('c').down('b')
    assert restart.ready('b').passes(6.0).texts == [
        QUICK, 'STOPPED_EARLY: 1 failed, 1 of 3 processes left as they were']


def test_staggered_a_batch_goes_by_the_clock_and_not_by_readiness():
    restart = declaring('ab', Settings(delay=2.0, timeout=50.0, stagger_factor=2)).down('b')
    assert restart.passes(1.9).stopped == ['b']
    assert restart.passes(0.2).stopped == ['b', 'a']


# Not ready in time

def test_rolling_one_that_is_not_ready_in_its_time_is_a_fault_and_runs_on():
    restart = declaring('abcd', ONE._replace(timeout=3.0)).down('d')
    restart.watches['d'].seen = URL + ' answered 503'
    assert restart.passes(3.1).outcome == [
        not_ready('d', 'after 3 seconds: %s answered 503' % URL),
        fault('', 'STOPPED_EARLY: 1 failed, 3 of 4 processes left as they were', 0x450)]
    assert restart.states['d'] == 'RUNNING' and restart.stopped == ['d']
    assert restart.watches['d'].closed


@pytest.mark.parametrize('names', ['a', 'ab'])
def test_all_at_once_the_time_is_that_of_the_call_and_the_fault_its_own(names):
    restart = declaring(names, SLOW._replace(timeout=3.0)).down(*names).passes(2.9)
    assert restart.outcome is None
    assert restart.passes(0.2).finished
    assert restart.outcome == [not_ready(name, 'after 3 seconds: refused') for name in names]


def test_all_at_once_others_that_are_late_are_a_timeout_after_it():
    restart = begin('ab', SLOW._replace(timeout=3.0), FakeReadiness(a=URL)).down('a')
    assert restart.passes(3.1).outcome == [
        not_ready('a', 'after 3 seconds: refused'),
        fault('', 'TIMEOUT: after 3 seconds 1 of 2 processes pending (1 stopping)', 0x420)]


@pytest.mark.parametrize('settings', [SLOW, ONE])
def test_one_that_asks_for_more_time_gets_it(settings):
    restart = declaring('a', settings._replace(timeout=3.0), 'notify').down('a')
    restart.watches['a'].extended_until = restart.clock.now + 7.0
    restart.watches['a'].changed()
    assert restart.passes(6.9).outcome is None
    assert restart.passes(0.2).outcome[0] == not_ready('a', 'after 7 seconds: refused')


def test_one_that_asks_for_more_time_does_not_get_it_for_the_others():
    restart = begin('ab', SLOW._replace(timeout=3.0), FakeReadiness(a='notify')).down('a')
    restart.watches['a'].extended_until = restart.clock.now + 7.0
    restart.passes(3.1)
    assert isinstance(restart.outcome, RPCError) and restart.outcome.text.startswith('TIMEOUT')


def test_one_that_exits_before_it_is_ready_is_a_fault_that_says_so():
    restart = declaring('a', value='notify', startsecs=0).down('a').passes(0.1)
    assert restart.down('a', status=0).outcome == [
        fault('a', 'START_FAILED: exited with status 0 before it was ready')]


def test_rolling_a_minute_is_enough_however_long_the_old_one_may_take_to_leave():
    world = World('a')
    world['a'].config.stopwaitsecs, world['a'].transition = 3600, lambda: None
    restart = Restart(world, ONE._replace(timeout=None), FakeReadiness(a='notify')).after(500.0)
    del world['a'].transition
    assert restart.down('a').passes(60.9).outcome is None
    assert restart.passes(0.2).outcome == [not_ready('a', 'after 61 seconds: refused')]


# What is watched, and how

def test_a_watch_is_looked_at_when_it_is_due():
    restart = declaring('a').down('a')
    looks = restart.watches['a'].looks
    assert restart.due() == pytest.approx(0.1)
    restart.passes(0.35)
    assert restart.watches['a'].looks == looks + 3


@pytest.mark.parametrize('settings, due', [
    (SLOW, 0.2), (SLOW._replace(max_unavailable=Limit(2)), 0.1)])
def test_where_nobody_waits_for_one_of_them_a_look_waits_for_those_at_others(settings, due):
    restart = declaring('ab', settings, 'listen').down(*'ab')
    for name, period in (('a', 0.1), ('b', 0.2)):
        restart.watches[name].patient, restart.watches[name].period = True, period
    restart.look()
    assert restart.due() == pytest.approx(due)


def test_what_is_awaited_of_whom_and_for_how_long_is_told():
    restart = begin('ab', SLOW._replace(min_ready_seconds=10.0), FakeReadiness(a=URL)).passes(3.0)
    leaving = {'awaited': '', 'seen': '', 'phase': 'leaving', 'seconds': 3.0, 'limit': 10}
    assert told(restart) == [dict(leaving, name='a'), dict(leaving, name='b')]
    restart.down('a', 'b').passes(2.0)
    assert told(restart)[0] == {'name': 'a', 'awaited': URL, 'seen': 'refused', 'seconds': 2.0,
                                'phase': 'starting', 'limit': SLOW.timeout + 10}
    restart.watches['a'].becomes_ready()
    restart.passes(4.0)
    assert [(entry['phase'], entry['limit']) for entry in told(restart)] == [('ready', 10.0)] * 2
    assert 3.9 < told(restart)[0]['seconds'] < 4.1
    assert told(restart.passes(7.0)) == []


def test_a_wrong_declaration_is_a_fault_before_anything_is_stopped():
    world = World('a', 'b')
    with pytest.raises(CannotRestart) as why:
        Restart(world, SLOW, FakeReadiness(b='wrong'))
    assert str(why.value) == "web:b: RESTARTER_READY = 'wrong': must be right"
    assert world.history == []


def test_a_process_whose_socket_cannot_be_had_comes_up_all_the_same_and_is_a_fault():
    readiness = FakeReadiness(a='notify')
    readiness.trouble = OSError(24, 'Too many open files')
    restart = begin('ab', SLOW, readiness).down('a', 'b').passes(1.1)
    assert 'a' in restart.spawned
    assert restart.outcome == [not_ready('a', 'cannot be seen: [Errno 24] Too many open files')]


@pytest.mark.parametrize('value, watched', [(URL, True), ('notify', False)])
def test_one_that_somebody_else_spawns_is_asked_where_that_can_be(value, watched):
    restart = declaring('a', value=value).let('a', 'die', 'spawn').told('a')
    assert ('a' in restart.watches) == watched
    assert restart.passes(1.1).finished != watched


def test_the_watch_of_a_process_that_was_replaced_says_nothing_of_the_new_one():
    restart = declaring('a', startsecs=5).down('a')
    first = restart.watches['a']
    restart.ready('a').let('a', 'stop', 'die', 'spawn')
    restart.look()
    assert first.closed and restart.watches['a'] is not first
    assert not restart.passes(6.0).finished


# Where the old one listens

WHERE = 'does not listen on 127.0.0.1:8001, where pid 4711 does'
LISTENS = Noted(4711, None, surge=True, addresses=(Address('127.0.0.1', 8001),))
REFUSED = LISTENS._replace(refusal='with max_surge it cannot be')


def listening(noted=LISTENS):
    """What is seen where nothing is declared, and the old process `a` listens."""
    made = FakeReadiness()
    made.noted['a'] = noted
    return made


def test_a_successor_that_is_running_takes_over_when_it_listens_though_nothing_is_declared():
    restart = begin('a', NEW, listening()).passes(30.0)
    assert restart.states == {'a': 'RUNNING', 'a.new': 'RUNNING'}
    assert [(entry['name'], entry['seen']) for entry in told(restart)] == [('a', 'refused')]
    assert restart.ready('a.new').states == {'a': 'RUNNING', 'a.old': 'STOPPING'}


def test_one_that_listens_and_declares_nothing_does_not_take_over_before_it_is_running():
    restart = begin('a', NEW, listening(), startsecs=5).ready('a.new').passes(4.0)
    assert restart.states == {'a': 'RUNNING', 'a.new': 'STARTING'}
    assert restart.info()['awaiting'] != []
    assert restart.passes(1.1).states == {'a': 'RUNNING', 'a.old': 'STOPPING'}


def test_one_that_never_listens_is_a_fault_a_minute_after_it_could_be_running():
    restart = begin('a', NEW, listening())
    restart.watches['a.new'].seen = WHERE
    restart['a.new'].behaves(stops_after=0.0)
    assert restart.passes(60.9).outcome is None
    assert restart.passes(0.2).outcome[0] == not_ready('a', 'after 61 seconds: ' + WHERE)
    assert restart.states['a'] == 'RUNNING'


@pytest.mark.parametrize('startsecs, status, died', [
    (1, -1, QUICK), (0, 1, 'START_FAILED: exited with status 1 before it was ready')])
def test_one_that_ends_while_another_is_in_its_way_is_a_fault_that_names_it(
        startsecs, status, died):
    restart = begin('a', NEW, listening(), startsecs=startsecs)
    restart.watches['a.new'].others = WHERE
    restart.passes(0.1).down('a.new', status=status)
    assert restart.outcome[0] == fault('a', '%s; %s' % (died, WHERE))


def test_a_process_that_cannot_have_a_second_one_is_refused_before_anything_is_done():
    world, readiness = World('a', 'b'), listening(REFUSED)
    with pytest.raises(CannotRestart) as why:
        Restart(world, NEW, readiness)
    assert str(why.value) == 'web:a: with max_surge it cannot be'
    assert world.history == []
    assert Restart(world, ONE, readiness).stopped == ['b']  # nobody is in the way


def test_one_that_cannot_when_it_is_its_turn_is_a_fault_and_serves_on():
    world, readiness = World('a'), listening()
    restart = GroupRestart(world.supervisord, world.group, NEW, world.clock, readiness)
    readiness.noted['a'] = REFUSED
    restart.advance()
    assert restart.outcome[0] == not_ready('a', 'with max_surge it cannot be')
    assert world.history == []


# Who is left behind

def orphaned(names, settings=SLOW, **each):
    """Begin a restart of processes of which a leaves others of its process group behind."""
    world, readiness = World(*names, **each), FakeReadiness()
    readiness.orphaned = {world['a'].pid}
    return Restart(world, settings, readiness), readiness


@pytest.mark.parametrize('settings', [SLOW, NEW])
def test_others_of_a_process_group_that_stay_are_a_warning_and_no_fault(settings):
    restart, readiness = orphaned('ab', settings)
    for _ in range(2):
        restart.passes(1.1)
        restart.down(*(name for name, state in restart.states.items() if state == 'STOPPING'))
    assert restart.passes(2.2).outcome is True
    warning, = restart.info()['warnings']
    assert dict(warning, text='') == fault('a', '', 0x480)
    assert warning['text'].startswith('LEFT_BEHIND: pid %d has ended, and others of its process '
                                      'group run on' % min(readiness.orphaned))


def test_those_of_a_process_that_somebody_else_has_restarted_are_a_warning_too():
    restart, _ = orphaned('ab', ONE)
    assert restart.let('a', 'stop', 'die', 'spawn').down('b').passes(2.2).outcome is True
    assert [warning['name'] for warning in restart.info()['warnings']] == ['a']


# Some have time to follow, but not beyond that of the call.
@pytest.mark.parametrize('follow, timeout, seconds, warnings', [
    (True, None, 0.6, 0), (False, None, 1.0, 1), (False, 0.52, 0.52, 1)])
def test_those_that_follow_within_a_second_are_none(follow, timeout, seconds, warnings):
    restart, readiness = orphaned('a', SLOW._replace(timeout=timeout), startsecs=0)
    restart.down('a').passes(0.5)
    assert not restart.finished and 0 < restart.due() <= 0.05
    readiness.orphaned -= readiness.orphaned if follow else set()
    restart.passes(seconds - 0.5 + 0.06)
    assert (restart.outcome, len(restart.info()['warnings'])) == (True, warnings)


@pytest.mark.parametrize('settings', [SLOW, ONE])
def test_a_process_is_started_when_the_others_of_its_group_have_followed(settings):
    restart, readiness = orphaned('a', settings, startsecs=0)
    restart.down('a').passes(0.5)
    assert restart.history == [('stop', 'a')] and restart.due() <= 0.05
    readiness.orphaned = set()
    assert restart.passes(0.06).history == [('stop', 'a'), ('spawn', 'a')]
    assert (restart.outcome, restart.info()['warnings']) == (True, [])


def test_those_of_its_group_that_stay_hold_it_up_for_a_second():
    restart, _ = orphaned('a', startsecs=0)
    assert restart.cancel().down('a').passes(0.9).history == [('stop', 'a')]
    assert restart.passes(0.2).history == [('stop', 'a'), ('spawn', 'a')]


def test_one_that_has_ended_by_itself_is_started_at_once():
    restart, _ = orphaned('ab', ONE)
    assert restart.stopped == ['b']
    assert restart.down('a').spawned == ['a']


def test_whom_somebody_else_starts_meanwhile_is_started_once():
    restart, _ = orphaned('a')
    restart.down('a').passes(0.5).let('a', 'spawn').passes(5.0)
    assert (restart.outcome, restart.states) == (True, {'a': 'RUNNING'})
    assert restart.history == [('stop', 'a'), ('spawn', 'a')]
