"""New before old: a process is replaced by one that is up before the old one is told to stop."""

from types import SimpleNamespace

import pytest
from supervisor import events
from supervisor.states import ProcessStates, SupervisorStates

from supervisor_restarter.restart.faults import CannotRestart
from supervisor_restarter.restart.group_restart import GroupRestart
from supervisor_restarter.restart.plan import Action, Plan, Planned
from supervisor_restarter.restart.restarts import Restarts
from supervisor_restarter.restart.settings import Limit, Settings
from tests.support.world import World
from tests.unit.fakes import FakeReadiness, passes

URL = 'http://127.0.0.1:8001/health'
ONE = Settings(timeout=100.0, delay=50.0, max_surge=Limit(1))


@pytest.fixture(autouse=True)
def no_events():
    yield
    events.clear()


def begin(world, settings=ONE, readiness=None):
    restart = GroupRestart(world.supervisord, world.group, settings, world.clock, readiness)
    restart.advance()
    return restart


def ends(world, restart, name, **how):
    """Let a process end, as supervisord tells it."""
    world[name].die(**how)
    restart.changed(name, running=False)
    restart.advance(everything=False)


def names(world):
    return sorted(world.group.processes)


def fault(name, text, code=0x430):
    return {'code': code, 'text': text, 'group': 'web', 'name': name}


NOT_PERMITTED = 'STOP_FAILED: PermissionError: [Errno 1] Operation not permitted'
QUICK = 'START_FAILED: Exited too quickly (process log may have details)'


def test_a_successor_starts_while_the_old_one_serves_and_takes_its_slot_when_it_is_up():
    world = World('a')
    old = world['a']
    restart = begin(world)
    new = world['a.new']
    assert world.history == [('spawn', 'a.new')]
    assert (world['a'], new.config.environment) == (old, {'SUPERVISOR_PROCESS_NAME': 'a'})
    passes(world, restart, 1.1)
    assert (world['a'], world['a.old'], names(world)) == (new, old, ['a', 'a.old'])
    assert world.history[1:] == [('stop', 'a.old')]
    assert restart.info()['stopping'] == restart.info()['surging'] == 1
    ends(world, restart, 'a.old')
    assert (restart.outcome, names(world)) == (True, ['a'])
    assert world.history == [('spawn', 'a.new'), ('stop', 'a.old')]


@pytest.mark.parametrize('own, name', [
    ({'KEY': 'value'}, 'a'),
    ({'KEY': 'value', 'SUPERVISOR_PROCESS_NAME': 'mine'}, 'mine')])
def test_the_slot_keeps_the_very_configuration_that_it_had(own, name):
    world = World('a')
    config = world['a'].config
    config.environment, config.stopwaitsecs = own, 77
    restart = begin(world)
    assert world['a.new'].config.environment == {'KEY': 'value', 'SUPERVISOR_PROCESS_NAME': name}
    passes(world, restart, 1.1)
    assert world['a'].config is config
    assert (config.name, config.environment) == ('a', own)
    assert (world['a.old'].config.stopwaitsecs, world['a.old'].config.name) == (77, 'a.old')


def test_one_that_is_ready_takes_over_before_it_is_running_and_the_restart_waits_for_that():
    world, readiness = World('a', startsecs=5), FakeReadiness(**{'a': URL})
    seen = []
    events.subscribe(events.ProcessStateRunningEvent, lambda event: seen.append(
        event.process.config.name))
    restart = begin(world, readiness=readiness)
    passes(world, restart, 0.5)
    readiness.watches['a.new'].becomes_ready()
    restart.advance(everything=False)
    assert ('stop', 'a.old') in world.history and seen == []
    ends(world, restart, 'a.old')
    assert restart.outcome is None
    passes(world, restart, 4.7)
    assert (restart.outcome, seen) == (True, ['a'])


# A broken release

@pytest.mark.parametrize('size, surge', [
    (4, Limit(1)), (1, Limit(25, True)), (10, Limit(25, True))])
def test_a_broken_release_costs_nothing(size, surge):
    group = 'abcdefghij'[:size]
    world = World(*group)
    old = {name: world[name].pid for name in group}
    restart = begin(world, ONE._replace(max_surge=surge))
    while not restart.finished:
        for name in names(world):
            if name.endswith('.new') and world[name].pid:
                ends(world, restart, name)
                break
        else:
            passes(world, restart, 0.1)
    failed = [group[-1 - number] for number in range(surge.of(size))]
    assert sorted(entry['name'] for entry in restart.outcome[:-1]) == sorted(failed)
    assert {entry['text'] for entry in restart.outcome[:-1]} == {QUICK}
    assert restart.outcome[-1] == fault('', 'STOPPED_EARLY: %d failed, %d of %d processes left as '
                                        'they were' % (len(failed), size, size), 0x450)
    assert {name: process.pid for name, process in world.group.processes.items()} == old
    assert not [entry for entry in world.history if entry[0] == 'stop']


@pytest.mark.parametrize('trouble, text, code', [
    ({'spawn_error': "can't find command"}, "SPAWN_ERROR: can't find command", 50),
    ({'raises': OSError('address in use')}, 'SPAWN_ERROR: address in use', 50),
    ({'raises': RuntimeError('oops')}, 'FAILED: RuntimeError: oops', 30)])
def test_a_successor_that_cannot_be_spawned_is_gone_and_a_fault(trouble, text, code):
    world = World('a')
    world.machine.made = lambda process: vars(process).update(trouble)
    restart = begin(world)
    assert names(world) == ['a']  # supervisord would try to start what it finds there
    passes(world, restart, 0.1)
    assert restart.outcome[0] == fault('a', text, code)
    assert world.states() == {'a': 'RUNNING'}


def test_a_successor_that_is_not_ready_in_time_is_stopped_and_the_old_one_serves():
    world, readiness = World('a'), FakeReadiness(**{'a': URL})
    restart = begin(world, ONE._replace(timeout=3.0), readiness)
    passes(world, restart, 3.1)
    assert world.history == [('spawn', 'a.new'), ('stop', 'a.new')]
    ends(world, restart, 'a.new')
    assert restart.outcome == [
        fault('a', 'NOT_READY: after 3 seconds: refused', 0x460),
        fault('', 'STOPPED_EARLY: 1 failed, 1 of 1 processes left as they were', 0x450)]
    assert (names(world), readiness.watches['a.new'].closed) == (['a'], True)


# Ends

@pytest.mark.parametrize('end', ['cancel', 'timeout'])
def test_when_it_settles_a_successor_that_is_not_up_is_stopped_and_gone(end):
    world = World(*'ab', startsecs=20)
    restart = begin(world, ONE._replace(timeout=3.0))
    if end == 'cancel':
        restart.cancel()
    else:
        world.clock.forward(3.0)
    restart.advance(everything=False)
    restart.advance(everything=False)
    assert world.history == [('spawn', 'b.new'), ('stop', 'b.new')]
    ends(world, restart, 'b.new')
    assert restart.finished and names(world) == ['a', 'b']
    assert restart.outcome.code == (0x451 if end == 'cancel' else 0x420)
    assert restart.info()['waiting'] == 2


@pytest.mark.parametrize('end', ['cancel', 'timeout'])
def test_when_it_settles_a_hand_over_that_has_begun_is_finished(end):
    world = World(*'ab')
    restart = begin(world, ONE._replace(timeout=3.0))
    passes(world, restart, 1.1)
    world['b.old'].transition = lambda: None  # it is not killed after its stopwaitsecs
    if end == 'cancel':
        restart.cancel()
    passes(world, restart, 16.0)
    assert restart.info()['state'] == 'SETTLING'
    ends(world, restart, 'b.old')
    assert restart.finished and names(world) == ['a', 'b']
    assert restart.info()['restarted'] == restart.info()['waiting'] == 1


def test_when_supervisord_stops_nothing_is_spawned_and_supervisord_has_both():
    world = World('a')
    restart = begin(world)
    world.supervisord.options.mood = SupervisorStates.SHUTDOWN
    restart.advance()
    assert restart.finished and names(world) == ['a', 'a.new']
    assert world.history == [('spawn', 'a.new')]


# Logs

class Logger:
    """What stands in a process's dispatcher; `handlers` as Supervisor makes them."""

    def __init__(self, name):
        self.handlers = [FakeHandler(name)]


class FakeHandler:
    """A handler for syslog, of a successor."""

    fmt = 'a.new %(message)s'
    level = 20

    def __init__(self, name):
        self.name = name

    def setFormat(self, fmt):
        self.fmt = fmt

    def emit(self, record):
        self.seen = getattr(self, 'seen', b'') + record.msg

    def close(self):
        self.name += ', closed'


def with_logs(world):
    """Let each process of a world have a log; returns its handlers' names, by process name."""
    def dispatchers(name):
        return {5: SimpleNamespace(channel='stdout', normallog=Logger(name),
                                   readable=lambda: False, writable=lambda: False)}
    world.machine.dispatchers = lambda process: dispatchers('new')
    for name in names(world):
        world[name].dispatchers = dispatchers(name)
    return lambda name: [getattr(handler, 'name', 'shared') for handler in
                         world[name].dispatchers[5].normallog.handlers]


def test_while_a_slot_has_two_processes_they_share_its_log_which_is_the_new_ones_afterwards():
    world = World('a')
    log = with_logs(world)
    restart = begin(world)
    assert log('a') == log('a.new') == ['shared']
    passes(world, restart, 1.1)
    assert log('a') == log('a.old') == ['shared']
    ends(world, restart, 'a.old')
    assert log('a') == ['new']


def test_a_line_that_does_not_end_is_written_after_a_second():
    world = World('a', startsecs=10)
    with_logs(world)
    theirs = world['a'].dispatchers[5].normallog
    restart = begin(world)
    passes(world, restart, 0.5)
    theirs.handlers[0].emit(SimpleNamespace(msg=b'Loading ...'))
    handler, = theirs.handlers[0].shared.handlers
    passes(world, restart, 0.9)
    assert not hasattr(handler, 'seen')
    passes(world, restart, 0.2)
    assert handler.seen == b'Loading ...'


def test_one_whose_successor_fails_has_the_log_for_itself_again():
    world = World('a')
    log = with_logs(world)
    restart = begin(world)
    ends(world, restart, 'a.new')
    assert (restart.finished, log('a')) == (True, ['new'])


def test_a_successor_that_is_to_have_another_log_has_its_own_with_the_name_of_the_slot():
    world = World('a')
    log = with_logs(world)
    wanted = world.config('a')
    wanted.stdout_logfile = '/another'
    plan = Plan((Planned('a', Action.REPLACE, wanted),))
    GroupRestart(world.supervisord, world.group, ONE, world.clock, None, plan).advance()
    assert (log('a'), log('a.new')) == (['a'], ['new'])
    assert world['a.new'].dispatchers[5].normallog.handlers[0].fmt == 'a %(message)s'


def test_when_supervisord_stops_each_of_two_processes_has_the_log():
    world = World('a')
    log = with_logs(world)
    restart = begin(world)
    world.supervisord.options.mood = SupervisorStates.SHUTDOWN
    restart.advance()
    assert log('a') == log('a.new') == ['new']


# Others

def test_one_that_is_down_at_the_call_is_started_as_ever():
    world = World('a')
    world.add('b', ProcessStates.STOPPED)
    restart = begin(world)
    assert world.history == [('spawn', 'b'), ('spawn', 'a.new')]
    passes(world, restart, 1.1)
    ends(world, restart, 'a.old')
    assert restart.outcome is True


def test_a_slot_that_somebody_stops_is_a_fault_and_its_successor_goes():
    world = World('a')
    readiness = FakeReadiness(a=URL)
    restart = begin(world, readiness=readiness)
    world['a'].stop()
    looks = readiness.watches['a.new'].looks
    passes(world, restart, 1.0)
    assert readiness.watches['a.new'].looks > looks  # else it would be due for ever
    ends(world, restart, 'a')
    passes(world, restart, 1.2)
    ends(world, restart, 'a.new')
    assert restart.outcome[0] == fault('a', 'START_FAILED: stopped by somebody else')
    assert world.states() == {'a': 'STOPPED'}


def test_an_old_one_that_dies_has_its_successor_all_the_same():
    world = World('a')
    restart = begin(world)
    world.clock.forward(0.5)
    ends(world, restart, 'a')
    pid = world['a.new'].pid
    passes(world, restart, 0.6)
    assert ('info', 'restarter: web: a: pid %d takes over from a process that has ended' % pid
            ) in world.lines
    assert (restart.outcome, names(world), world.states()) == (True, ['a'], {'a': 'RUNNING'})
    assert world.history == [('spawn', 'a.new')]


def test_an_old_one_that_supervisor_has_started_again_goes_when_the_new_one_is_up():
    world = World('a')
    restart = begin(world)
    ends(world, restart, 'a')
    world['a'].state = ProcessStates.EXITED
    world['a'].spawn()
    passes(world, restart, 1.1)
    ends(world, restart, 'a.old')
    assert (restart.outcome, names(world)) == (True, ['a'])


def test_a_successor_that_somebody_stops_is_a_fault_and_the_old_one_serves():
    world = World('a')
    restart = begin(world)
    world['a.new'].stop()
    ends(world, restart, 'a.new')
    passes(world, restart, 1.2)
    assert restart.outcome[0] == fault('a', 'START_FAILED: stopped by somebody else')
    assert world.states() == {'a': 'RUNNING'}


def test_a_slot_that_is_removed_takes_its_successor_along():
    world = World('a', 'b')
    restart = begin(world)
    del world.group.processes['b']
    restart.advance()
    assert world.history == [('spawn', 'b.new'), ('stop', 'b.new')]
    ends(world, restart, 'b.new')
    assert 'b.new' not in names(world)
    assert world.history[2:] == [('spawn', 'a.new')]


def test_one_that_leaves_and_is_started_again_by_somebody_is_stopped_all_the_same():
    world = World('a')
    readiness = FakeReadiness()
    restart = begin(world, readiness=readiness)
    passes(world, restart, 1.1)
    world['a.old'].die()
    world['a.old'].spawn()
    readiness.orphaned = {world['a.old'].pid}
    restart.changed('a.old', running=False)
    restart.advance(everything=False)
    ends(world, restart, 'a.old')
    passes(world, restart, 1.1)
    assert (restart.outcome, names(world)) == (True, ['a'])
    assert 'pid %d has ended' % min(readiness.orphaned) in restart.info()['warnings'][0]['text']


@pytest.mark.parametrize('forgets', [False, True])
def test_one_that_cannot_be_stopped_is_a_fault_and_stays_to_be_seen(forgets):
    world = World('a')
    world['a'].behaves(broken='no signal')
    world['a'].forgets_its_pid = forgets
    restart = begin(world)
    passes(world, restart, 1.1)
    assert restart.outcome[0] == fault('a', NOT_PERMITTED, 0x431)
    assert world.states() == {'a': 'RUNNING', 'a.old': 'UNKNOWN'}


@pytest.mark.parametrize('taken', ['a.new', 'a.old'])
def test_a_name_that_is_taken_is_a_fault_before_anything_is_spawned(taken):
    world = World('a', taken)
    with pytest.raises(CannotRestart) as why:
        begin(world)
    assert str(why.value) == ('web:%s: with max_surge a second process of a would have this name'
                              % taken)
    assert world.history == []


def test_a_name_that_a_new_slot_is_to_have_is_taken_too():
    world = World('a')
    plan = Plan((Planned('a', Action.REPLACE, world['a'].config),
                 Planned('a.old', Action.ADD, world['a'].config)))
    with pytest.raises(CannotRestart):
        GroupRestart(world.supervisord, world.group, ONE, world.clock, None, plan)


# With a window of those that are down

def test_with_max_unavailable_both_bounds_hold():
    world = World(*'abcd')
    restart = begin(world, ONE._replace(max_unavailable=Limit(1)))
    restart.advance()
    assert world.history == [('stop', 'd'), ('spawn', 'c.new')]
    passes(world, restart, 0.5)
    assert len(world.history) == 2
    ends(world, restart, 'd')
    passes(world, restart, 0.6)
    assert world.history[2:] == [('spawn', 'd'), ('stop', 'c.old')]
    ends(world, restart, 'c.old')
    assert world.history[4:] == [('spawn', 'b.new')]
    passes(world, restart, 0.5)
    assert world.history[5:] == [('stop', 'a')]


def test_one_that_dies_while_its_successor_starts_is_down_as_well():
    world = World(*'abc', startsecs=5)
    world['c'].config.startsecs = 1
    restart = begin(world, ONE._replace(max_unavailable=Limit(1)))
    restart.advance()
    assert world.history == [('stop', 'c'), ('spawn', 'b.new')]
    ends(world, restart, 'b')
    ends(world, restart, 'c')
    passes(world, restart, 4.0)
    assert world.states()['c'] == 'RUNNING' and ('stop', 'a') not in world.history
    passes(world, restart, 1.1)
    assert world.states()['b'] == 'RUNNING' and ('stop', 'a') in world.history


def test_the_events_of_both_processes_turn_to_their_slot():
    world = World('a')
    restarts = Restarts(world.supervisord, world.clock)
    restart = restarts.begin('web', ONE)
    restarts.advance()
    world['a.new'].die()
    assert restart.due() == 0
    restarts.advance(everything=False)
    assert restart.finished and restarts.finished


# Somebody else, in mid-surge

@pytest.mark.parametrize('suffix, when', [
    ('.new', 'before'), ('.old', 'before'), ('.old', 'after')])
def test_a_process_that_somebody_adds_with_a_name_of_the_surge_is_left_alone(suffix, when):
    world = World(*'ab')
    restart = begin(world, ONE._replace(max_surge=Limit(2)) if when == 'after' else ONE)
    theirs = world.add('a' + suffix)
    passes(world, restart, 1.1)
    if 'b.old' in names(world):
        ends(world, restart, 'b.old')
    if world['a' + ('.new' if when == 'after' else suffix)] is not theirs:
        ends(world, restart, 'a.new')
    assert world['a' + suffix] is theirs and ('stop', 'a' + suffix) not in world.history
    assert restart.outcome[0] == fault(
        'a', 'START_FAILED: somebody else has added a process a%s: a second process of a would '
        'have this name' % suffix)
    assert names(world) == ['a', 'a' + suffix, 'b'] and world['a'].state == ProcessStates.RUNNING


def test_when_it_settles_the_successor_goes_also_while_somebody_stops_the_old_one():
    world = World('a')
    restart = begin(world)
    world['a'].stop()
    restart.cancel()
    passes(world, restart, 0.1)
    assert world.history == [('spawn', 'a.new'), ('stop', 'a'), ('stop', 'a.new')]
    ends(world, restart, 'a.new')
    ends(world, restart, 'a')
    passes(world, restart, 1.2)
    assert restart.finished and names(world) == ['a']


def test_the_old_one_has_a_second_after_somebody_stopped_it_and_may_be_back_then():
    world = World('a')
    restart = begin(world)
    world['a'].stop()
    ends(world, restart, 'a')
    passes(world, restart, 0.9)
    world['a'].spawn()
    passes(world, restart, 1.2)
    ends(world, restart, 'a.old')
    assert restart.outcome is True


def test_an_old_one_that_becomes_unknown_before_the_hand_over_is_a_fault():
    world = World('a')
    restart = begin(world)
    world['a'].change_state(ProcessStates.UNKNOWN)
    restart.changed('a', running=False)
    restart.advance(everything=False)
    ends(world, restart, 'a.new')
    assert restart.outcome == [fault('a', 'BAD_STATE: its state became UNKNOWN', 0x410)]


def test_a_leaving_process_that_is_not_in_the_group_any_more_takes_nobody_along():
    world = World('a')
    restart = begin(world)
    passes(world, restart, 1.1)
    leaving = world['a.old']
    theirs = world.add('a.old')
    leaving.die()
    passes(world, restart, 60.0)
    assert world['a.old'] is theirs and restart.outcome is True


def test_a_second_process_that_cannot_be_stopped_is_no_second_fault():
    world = World('a')
    restart = begin(world)
    world['a.new'].behaves(broken='no signal')
    restart.cancel()
    passes(world, restart, 0.1)
    assert restart.finished and restart.info()['faults'][0]['code'] == 0x451


def test_without_descriptors_for_one_more_process_the_old_one_serves(monkeypatch):
    world = World('a')
    monkeypatch.setattr('resource.getrlimit', lambda which: (10, 10))
    restart = begin(world)
    assert restart.outcome[0]['text'].startswith('SPAWN_ERROR: no second process: ')
    assert world.history == [] and names(world) == ['a']


def test_a_new_one_that_dies_while_the_old_one_leaves_is_a_fault_at_once():
    world = World('a')
    restart = begin(world)
    passes(world, restart, 1.1)
    ends(world, restart, 'a', exitstatus=3)
    assert restart.info()['faults'] == [fault('a', 'START_FAILED: exited with status 3')]
    assert 'a.old' in names(world)
