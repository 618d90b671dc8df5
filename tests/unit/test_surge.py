"""New before old: a process is replaced by one that is up before the old one is told to stop."""

from types import SimpleNamespace

import pytest
from supervisor import events
from supervisor.states import ProcessStates, SupervisorStates

from supervisor_restarter.restart.faults import CannotRestart
from supervisor_restarter.restart.plan import Action, Plan, Planned
from supervisor_restarter.restart.restarts import Restarts
from supervisor_restarter.restart.settings import Limit
from tests.support.world import World
from tests.unit.fakes import FakeReadiness
from tests.unit.restarting import (
    CANNOT_BE_SPAWNED,
    NOT_PERMITTED,
    QUICK,
    SURGE,
    Restart,
    fault,
)
from tests.unit.restarting import begin as begin_with

URL = 'http://127.0.0.1:8001/health'
BY_OTHERS = fault('a', 'START_FAILED: stopped by somebody else')
BEGUN, DONE = [('spawn', 'a.new')], [('spawn', 'a.new'), ('stop', 'a.old')]


def begin(names, settings=SURGE, readiness=None, **each):
    return begin_with(names, settings, readiness, **each)


def test_a_successor_starts_while_the_old_one_serves_and_takes_its_slot_when_it_is_up():
    world = World('a')
    old = world['a']
    restart = Restart(world, SURGE)
    new = world['a.new']
    assert world.history == BEGUN
    assert (world['a'], new.config.environment) == (old, {'SUPERVISOR_PROCESS_NAME': 'a'})
    restart.passes(1.1)
    assert (world['a'], world['a.old'], restart.names) == (new, old, ['a', 'a.old'])
    assert restart.info()['stopping'] == restart.info()['surging'] == 1
    restart.down('a.old')
    assert (restart.outcome, restart.names, world.history) == (True, ['a'], DONE)


@pytest.mark.parametrize('own, name', [
    ({'KEY': 'value'}, 'a'),
    ({'KEY': 'value', 'SUPERVISOR_PROCESS_NAME': 'mine'}, 'mine')])
def test_the_slot_keeps_the_very_configuration_that_it_had(own, name):
    world = World('a')
    config = world['a'].config
    config.environment, config.stopwaitsecs = own, 77
    restart = Restart(world, SURGE)
    assert world['a.new'].config.environment == {'KEY': 'value', 'SUPERVISOR_PROCESS_NAME': name}
    restart.passes(1.1)
    assert world['a'].config is config
    assert (config.name, config.environment) == ('a', own)
    assert (world['a.old'].config.stopwaitsecs, world['a.old'].config.name) == (77, 'a.old')


def test_another_plugin_finds_the_successor_in_its_group_with_what_it_has_added_to_the_old_one():
    world = World('a')
    old = world['a']
    old.theirs, old.laststop, old.stop_report = {'disabled': False}, 5, list
    found = []
    events.subscribe(events.ProcessStateStartingEvent, lambda event: found.append(
        event.process.group.processes.get(event.process.config.name)))
    Restart(world, SURGE)
    new = world['a.new']
    assert (new.theirs, found) == (old.theirs, [new])
    assert (new.laststop, new.config.name, 'stop_report' in vars(new)) == (0, 'a.new', False)


def test_one_that_is_ready_takes_over_before_it_is_running_and_the_restart_waits_for_that():
    restart, seen = begin('a', readiness=FakeReadiness(a=URL), startsecs=5), []
    events.subscribe(events.ProcessStateRunningEvent, lambda event: seen.append(
        event.process.config.name))
    restart.passes(0.5).ready('a.new')
    assert restart.history == DONE and seen == []
    assert restart.down('a.old').outcome is None
    assert (restart.passes(4.7).outcome, seen) == (True, ['a'])


def test_one_that_is_down_at_the_call_is_started_as_ever():
    world = World('a')
    world.add('b', ProcessStates.STOPPED)
    restart = Restart(world, SURGE)
    assert world.history == [('spawn', 'b'), ('spawn', 'a.new')]
    assert restart.passes(1.1).down('a.old').outcome is True


# A broken release

@pytest.mark.parametrize('size, surge', [
    (4, Limit(1)), (1, Limit(25, True)), (10, Limit(25, True))])
def test_a_broken_release_costs_nothing(size, surge):
    group = 'abcdefghij'[:size]
    world = World(*group)
    old = {name: world[name].pid for name in group}
    restart = Restart(world, SURGE._replace(max_surge=surge))
    failed = group[-1:-1 - surge.of(size):-1]
    while not restart.finished:
        new = [name for name in restart.names if name.endswith('.new') and world[name].pid]
        restart.down(new[0]) if new else restart.passes(0.1)
    assert sorted(restart.outcome[:-1], key=lambda each: each['name']) == [
        fault(name, QUICK) for name in sorted(failed)]
    assert restart.outcome[-1] == fault('', 'STOPPED_EARLY: %d failed, %d of %d processes left as '
                                        'they were' % (len(failed), size, size), 0x450)
    assert {name: process.pid for name, process in world.group.processes.items()} == old
    assert restart.stopped == []


@pytest.mark.parametrize('trouble, text, code', CANNOT_BE_SPAWNED)
def test_a_successor_that_cannot_be_spawned_is_gone_and_a_fault(trouble, text, code):
    world = World('a')
    world.machine.made = lambda process: vars(process).update(trouble)
    restart = Restart(world, SURGE)
    assert restart.names == ['a']  # supervisord would try to start what it finds there
    assert restart.passes(0.1).outcome[0] == fault('a', text, code)
    assert restart.states == {'a': 'RUNNING'}


def test_a_successor_that_is_not_ready_in_time_is_stopped_and_the_old_one_serves():
    restart = begin('a', SURGE._replace(timeout=3.0), FakeReadiness(a=URL)).passes(3.1)
    assert restart.history == [('spawn', 'a.new'), ('stop', 'a.new')]
    assert restart.down('a.new').outcome == [
        fault('a', 'NOT_READY: after 3 seconds: refused', 0x460),
        fault('', 'STOPPED_EARLY: 1 failed, 1 of 1 processes left as they were', 0x450)]
    assert (restart.names, restart.watches['a.new'].closed) == (['a'], True)


def test_without_descriptors_for_one_more_process_the_old_one_serves(monkeypatch):
    monkeypatch.setattr('resource.getrlimit', lambda which: (10, 10))
    restart = begin('a')
    assert restart.texts[0].startswith('SPAWN_ERROR: no second process: ')
    assert restart.history == [] and restart.names == ['a']


@pytest.mark.parametrize('forgets', [False, True])
def test_one_that_cannot_be_stopped_is_a_fault_and_stays_to_be_seen(forgets):
    world = World('a')
    world['a'].behaves(broken='no signal')
    world['a'].forgets_its_pid = forgets
    restart = Restart(world, SURGE).passes(1.1)
    assert restart.outcome[0] == fault('a', NOT_PERMITTED, 0x431)
    assert restart.states == {'a': 'RUNNING', 'a.old': 'UNKNOWN'}


def test_a_second_process_that_cannot_be_stopped_is_no_second_fault():
    restart = begin('a')
    restart['a.new'].behaves(broken='no signal')
    restart.cancel()
    assert restart.passes(0.1).finished and restart.info()['faults'][0]['code'] == 0x451


def test_one_that_cannot_be_stopped_has_not_ended_and_left_others_behind():
    readiness = FakeReadiness()
    restart = begin('ab', SURGE._replace(max_surge=Limit(2)), readiness)
    restart['a.new'].behaves(broken='no signal')
    readiness.orphaned = {restart['a.new'].pid}
    restart.cancel()
    restart.passes(0.1).down('a').passes(1.1).down('b.new').passes(1.1)
    assert (restart.finished, restart.spawned[2:], restart.states['a.new']) == (
        True, ['a'], 'UNKNOWN')
    assert restart.info()['warnings'] == []


# Ends

@pytest.mark.parametrize('end, code', [(Restart.cancel, 0x451), (None, 0x420)])
def test_when_it_settles_a_successor_that_is_not_up_is_stopped_and_gone(end, code):
    restart = begin('ab', SURGE._replace(timeout=3.0), startsecs=20)
    end(restart) if end else restart.clock.forward(3.0)
    restart.passes(0.0)
    assert restart.history == [('spawn', 'b.new'), ('stop', 'b.new')]
    restart.down('b.new')
    assert (restart.finished, restart.names, restart.outcome.code) == (True, ['a', 'b'], code)
    assert restart.info()['waiting'] == 2


@pytest.mark.parametrize('cancelled', [True, False])
def test_when_it_settles_a_hand_over_that_has_begun_is_finished(cancelled):
    restart = begin('ab', SURGE._replace(timeout=3.0)).passes(1.1)
    restart['b.old'].transition = lambda: None  # it is not killed after its stopwaitsecs
    if cancelled:
        restart.cancel()
    assert restart.passes(16.0).info()['state'] == 'SETTLING'
    assert restart.down('b.old').finished and restart.names == ['a', 'b']
    assert restart.info()['restarted'] == restart.info()['waiting'] == 1


# Logs

class Handler:
    """A handler for syslog, of a successor, in a logger of a process's dispatcher."""

    fmt = 'a.new %(message)s'
    level = 20
    seen = b''

    def __init__(self, name):
        self.name = name

    def setFormat(self, fmt):
        self.fmt = fmt

    def emit(self, record):
        self.seen += record.msg

    def close(self):
        self.name += ', closed'


def handlers(process):
    return process.dispatchers[5].normallog.handlers


def log(restart, name):
    """The names of the handlers of a process's log."""
    return [getattr(handler, 'name', 'shared') for handler in handlers(restart[name])]


@pytest.fixture
def logging():
    """A world whose process `a` has a log, as those that come after it."""
    def dispatchers(name):
        return {5: SimpleNamespace(
            channel='stdout', normallog=SimpleNamespace(handlers=[Handler(name)]),
            readable=lambda: False, writable=lambda: False)}
    world = World('a')
    world.machine.dispatchers = lambda process: dispatchers('new')
    world['a'].dispatchers = dispatchers('a')
    return world


def test_while_a_slot_has_two_processes_they_share_its_log_which_is_the_new_ones_afterwards(
        logging):
    restart = Restart(logging, SURGE)
    assert log(restart, 'a') == log(restart, 'a.new') == ['shared']
    restart.passes(1.1)
    assert log(restart, 'a') == log(restart, 'a.old') == ['shared']
    assert log(restart.down('a.old'), 'a') == ['new']


def test_a_line_that_does_not_end_is_written_after_a_second(logging):
    logging['a'].config.startsecs = 10
    restart = Restart(logging, SURGE).passes(0.5)
    shared, = handlers(logging['a'])
    shared.emit(SimpleNamespace(msg=b'Loading ...'))
    handler, = shared.shared.handlers
    restart.passes(0.9)
    assert handler.seen == b''
    restart.passes(0.2)
    assert handler.seen == b'Loading ...'


def test_one_whose_successor_fails_has_the_log_for_itself_again(logging):
    restart = Restart(logging, SURGE).down('a.new')
    assert (restart.finished, log(restart, 'a')) == (True, ['new'])


def test_a_successor_that_is_to_have_another_log_has_its_own_with_the_name_of_the_slot(logging):
    wanted = logging.config('a')
    wanted.stdout_logfile = '/another'
    restart = Restart(logging, SURGE, plan=Plan((Planned('a', Action.REPLACE, wanted),)))
    assert (log(restart, 'a'), log(restart, 'a.new')) == (['a'], ['new'])
    assert handlers(restart['a.new'])[0].fmt == 'a %(message)s'


def test_when_supervisord_stops_it_has_both_nothing_is_spawned_and_each_has_the_log(logging):
    restart = Restart(logging, SURGE)
    restart.supervisord.options.mood = SupervisorStates.SHUTDOWN
    restart.advance()
    assert (restart.finished, restart.names, restart.history) == (True, ['a', 'a.new'], BEGUN)
    assert log(restart, 'a') == log(restart, 'a.new') == ['new']


# With a window of those that are down

def test_with_max_unavailable_both_bounds_hold():
    restart = begin('abcd', SURGE._replace(max_unavailable=Limit(1)))
    restart.advance()
    assert restart.history == [('stop', 'd'), ('spawn', 'c.new')]
    assert len(restart.passes(0.5).history) == 2
    restart.down('d').passes(0.6)
    assert restart.history[2:] == [('spawn', 'd'), ('stop', 'c.old')]
    assert restart.down('c.old').history[4:] == [('spawn', 'b.new')]
    assert restart.passes(0.5).history[5:] == [('stop', 'a')]


def test_one_that_dies_while_its_successor_starts_is_down_as_well():
    world = World(*'abc', startsecs=5)
    world['c'].config.startsecs = 1
    restart = Restart(world, SURGE._replace(max_unavailable=Limit(1)))
    restart.advance()
    assert world.history == [('stop', 'c'), ('spawn', 'b.new')]
    restart.down('b').down('c').passes(4.0)
    assert restart.states['c'] == 'RUNNING' and restart.stopped == ['c']
    restart.passes(1.1)
    assert restart.states['b'] == 'RUNNING' and restart.stopped == ['c', 'a']


def test_the_events_of_both_processes_turn_to_their_slot():
    world = World('a')
    restarts = Restarts(world.supervisord, world.clock)
    restart = restarts.begin('web', SURGE)
    restarts.advance()
    world['a.new'].die()
    assert restart.due() == 0
    restarts.advance()
    assert restart.finished and restarts.finished


# Somebody else, in mid-surge

def test_a_slot_that_somebody_stops_is_a_fault_and_its_successor_goes():
    restart = begin('a', readiness=FakeReadiness(a=URL)).let('a', 'stop')
    looks = restart.watches['a.new'].looks
    restart.passes(1.0)
    assert restart.watches['a.new'].looks > looks  # else it would be due for ever
    assert restart.down('a').passes(1.2).down('a.new').outcome[0] == BY_OTHERS
    assert restart.states == {'a': 'STOPPED'}


def test_an_old_one_that_dies_has_its_successor_all_the_same():
    restart = begin('a').passes(0.5).down('a')
    pid = restart['a.new'].pid
    restart.passes(0.6)
    assert ('info', 'restarter: web: a: pid %d takes over from a process that has ended' % pid
            ) in restart.world.lines
    assert (restart.outcome, restart.states) == (True, {'a': 'RUNNING'})
    assert restart.history == BEGUN


@pytest.mark.parametrize('back', [
    lambda old: old.passes(0.5).down('a'),  # as Supervisor does
    lambda old: old.let('a', 'stop').down('a').passes(0.9)], ids=['dies', 'is stopped'])
def test_an_old_one_that_is_started_again_within_a_second_goes_when_the_new_one_is_up(back):
    restart = back(begin('a')).let('a', 'spawn').passes(1.2).down('a.old')
    assert (restart.outcome, restart.names) == (True, ['a'])


def test_a_successor_that_somebody_stops_is_a_fault_and_the_old_one_serves():
    restart = begin('a').let('a.new', 'stop')
    assert restart.down('a.new').passes(1.2).outcome[0] == BY_OTHERS
    assert restart.states == {'a': 'RUNNING'}


def test_a_slot_that_is_removed_takes_its_successor_along():
    restart = begin('ab')
    del restart.group.processes['b']
    restart.look()
    assert restart.history == [('spawn', 'b.new'), ('stop', 'b.new')]
    assert restart.down('b.new').history[2:] == BEGUN
    assert restart.names == ['a', 'a.new']


def test_one_that_leaves_and_is_started_again_by_somebody_is_stopped_all_the_same():
    readiness = FakeReadiness()
    restart = begin('a', readiness=readiness).passes(1.1).let('a.old', 'die', 'spawn')
    readiness.orphaned = {restart['a.old'].pid}
    restart.told('a.old').down('a.old').passes(1.1)
    assert (restart.outcome, restart.names) == (True, ['a'])
    assert 'pid %d has ended' % min(readiness.orphaned) in restart.info()['warnings'][0]['text']


def test_a_leaving_process_that_is_not_in_the_group_any_more_takes_nobody_along():
    restart = begin('a').passes(1.1)
    leaving, theirs = restart['a.old'], restart.world.add('a.old')
    leaving.die()
    assert restart.passes(60.0).outcome is True and restart['a.old'] is theirs


def test_when_it_settles_the_successor_goes_also_while_somebody_stops_the_old_one():
    restart = begin('a').let('a', 'stop').cancel()
    assert restart.passes(0.1).history == [('spawn', 'a.new'), ('stop', 'a'), ('stop', 'a.new')]
    restart.down('a.new').down('a').passes(1.2)
    assert restart.finished and restart.names == ['a']


def test_an_old_one_that_becomes_unknown_before_the_hand_over_is_a_fault():
    restart = begin('a')
    restart['a'].change_state(ProcessStates.UNKNOWN)
    assert restart.told('a').down('a.new').outcome == [
        fault('a', 'BAD_STATE: its state became UNKNOWN', 0x410)]


def test_a_new_one_that_dies_while_the_old_one_leaves_is_a_fault_at_once():
    restart = begin('a').passes(1.1).down('a', status=3)
    assert restart.info()['faults'] == [fault('a', 'START_FAILED: exited with status 3')]
    assert 'a.old' in restart.names


# Names

@pytest.mark.parametrize('taken, planned', [
    ('a.new', False), ('a.old', False), ('a.old', True)])  # or a new slot is to have it
def test_a_name_that_is_taken_is_a_fault_before_anything_is_spawned(taken, planned):
    world = World('a', *() if planned else (taken,))
    config = world['a'].config
    plan = Plan((Planned('a', Action.REPLACE, config), Planned(taken, Action.ADD, config)))
    with pytest.raises(CannotRestart) as why:
        Restart(world, SURGE, plan=plan if planned else None)
    assert str(why.value) == ('web:%s: with max_surge a second process of a would have this name'
                              % taken)
    assert world.history == []


@pytest.mark.parametrize('suffix, when', [
    ('.new', 'before'), ('.old', 'before'), ('.old', 'after')])
def test_a_process_that_somebody_adds_with_a_name_of_the_surge_is_left_alone(suffix, when):
    restart = begin('ab', SURGE._replace(max_surge=Limit(2 if when == 'after' else 1)))
    theirs = restart.world.add('a' + suffix)
    restart.passes(1.1)
    if 'b.old' in restart.names:
        restart.down('b.old')
    if restart['a' + ('.new' if when == 'after' else suffix)] is not theirs:
        restart.down('a.new')
    assert restart['a' + suffix] is theirs and 'a' + suffix not in restart.stopped
    assert restart.outcome[0] == fault(
        'a', 'START_FAILED: somebody else has added a process a%s: a second process of a would '
        'have this name' % suffix)
    assert restart.names == ['a', 'a' + suffix, 'b'] and restart.states['a'] == 'RUNNING'
