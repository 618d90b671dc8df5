"""Several restarts of one supervisord."""

import math
import weakref
from types import SimpleNamespace

import pytest
from supervisor import events
from supervisor.states import ProcessStates, SupervisorStates

from supervisor_restarter import plans
from supervisor_restarter.restart.faults import Faults, RPCError
from supervisor_restarter.restart.group_restart import SLICE
from supervisor_restarter.restart.restarts import Restarts
from supervisor_restarter.restart.settings import Limit
from tests.support.world import GroupConfig, World
from tests.unit.restarting import SLOW


@pytest.fixture
def world():
    """The groups web, db and api, of ten processes each."""
    made = World()
    for name in ('web', 'db', 'api'):
        group = made.supervisord.process_groups.get(name) or made.add_group(name)
        for number in range(10):
            made.add('%s_%d' % (name, number), group=group)
    return made


@pytest.fixture
def restarts(world):
    return Restarts(world.supervisord, world.clock)


def processes(world, group):
    return list(world.supervisord.process_groups[group].processes.values())


def begin(restarts, names):
    return [restarts.begin(name, SLOW) for name in names]


def finish(world, restarts, group):
    restart = restarts.begin(group, SLOW)
    restarts.advance()
    for process in processes(world, group):
        process.die()
    restarts.advance()
    world.clock.forward(1.01)
    restarts.advance()
    assert restart.outcome is True


def test_restarts_side_by_side_share_the_time_of_a_pass(world, restarts):
    for name in ('web', 'db', 'api'):
        restarts.begin(name, SLOW)
        for process in processes(world, name):
            process.stop = lambda stop=process.stop: (world.clock.forward(SLICE / 4), stop())[1]
    before = world.clock.now
    restarts.advance()
    assert world.clock.now - before <= SLICE + 3 * SLICE / 4


def test_one_that_raises_is_given_up_with_a_fault_and_the_others_go_on(world, restarts):
    bad, good = begin(restarts, ['web', 'db'])
    bad.advance = lambda *arguments: 1 / 0
    restarts.advance()
    assert bad.finished and bad.outcome.text == 'FAILED: web: ZeroDivisionError: division by zero'
    assert 'Traceback' in dict(world.lines)['critical']
    assert good.info()['stopping'] == 10
    assert restarts.info('web')['state'] == 'FINISHED'


def test_what_is_told_of_a_group_that_is_gone_goes_with_the_next_restart(world, restarts):
    finish(world, restarts, 'db')
    group = world.supervisord.process_groups.pop('db')
    finish(world, restarts, 'api')
    world.supervisord.process_groups['db'] = group
    assert restarts.info('db')['state'] == 'IDLE'
    assert restarts.info('api')['state'] == 'FINISHED'


def test_the_spawns_of_a_restart_make_no_pass_due(world, restarts):
    restart = restarts.begin('web', SLOW)
    restarts.advance()
    for process in processes(world, 'web'):
        process.die()
    restarts.advance()
    assert restart.info()['starting'] == 10
    assert restarts.due() == pytest.approx(1.0, abs=0.01)


# What is kept, and comes up meanwhile

def restart_some(world, restarts, names, settings, **kept):
    """Begin with some processes of web, of which one more is kept; see `World.add`."""
    world.add('kept', **kept)
    plan = plans.limited(restarts, 'web', None, names, only_running=False)
    restart = restarts.begin('web', settings, plan)
    restarts.advance()
    return restart


def come_up(world, restarts, name):
    """Let an old process end, and the new one be RUNNING."""
    world[name].config.startsecs = 0.2
    world[name].die()
    restarts.advance()
    world.clock.forward(0.201)
    world[name].transition()


def test_when_time_alone_brings_a_kept_one_up_a_pass_is_due(world, restarts):
    restart_some(world, restarts, ['web_0'], SLOW._replace(max_unavailable=Limit(1)),
                 state=ProcessStates.STARTING, startsecs=0.4)
    assert restarts.due() == pytest.approx(0.4, abs=0.01)
    assert world['web_0'].state == ProcessStates.RUNNING


def test_the_end_does_not_wait_for_a_kept_one(world, restarts):
    restart = restart_some(world, restarts, ['web_0', 'web_1'], SLOW,
                           state=ProcessStates.STARTING, startsecs=10)
    come_up(world, restarts, 'web_0')
    assert restarts.due() > 0
    come_up(world, restarts, 'web_1')
    assert restarts.due() == 0
    restarts.advance()
    assert restart.outcome is True


def test_a_kept_one_that_somebody_else_restarts_counts_as_down(world, restarts):
    restart_some(world, restarts, ['web_0', 'web_1'], SLOW._replace(max_unavailable=Limit(1)))
    world['kept'].stop()
    world['kept'].die()
    restarts.advance()
    world['kept'].spawn()
    come_up(world, restarts, 'web_1')
    restarts.advance()
    assert world['web_0'].state == ProcessStates.RUNNING
    world.clock.forward(1.0)
    world['kept'].transition()
    restarts.advance()
    assert world['web_0'].state == ProcessStates.STOPPING


# A pass has a bound, whatever the number of restarts

@pytest.fixture
def many(world):
    """Four hundred groups of one, each of which takes 5 ms to stop its process."""
    for number in range(400):
        group = world.add_group('g%03d' % number)
        process = world.add('p', group=group)
        process.stop = lambda stop=process.stop: (world.clock.forward(0.005), stop())[1]
    return ['g%03d' % number for number in range(400)]


def test_a_pass_of_many_restarts_takes_no_longer_than_one_of_a_few(world, restarts, many):
    begin(restarts, many)
    passes, stopping = 0, 0
    while stopping < len(many):
        before = world.clock.now
        assert restarts.due() == 0
        restarts.advance()
        assert world.clock.now - before <= SLICE + 0.005
        passes, stopping = passes + 1, sum(restarts.info(name)['stopping'] for name in many)
    assert passes == 400 * 0.005 / SLICE


def test_one_that_has_nothing_to_do_is_not_looked_at(world, restarts, many):
    running = begin(restarts, many)
    while restarts.due() <= 0:
        restarts.advance()
    looked_at = []
    for restart in running:
        restart.advance = lambda *how, restart=restart: looked_at.append(restart.name)
    world.supervisord.process_groups['g007'].processes['p'].die()
    restarts.advance()
    assert looked_at == ['g007']


def test_those_that_end_together_take_no_longer_either(world, restarts, many):
    for restart in begin(restarts, many):
        restart.slots = lambda slots=restart.slots: (world.clock.forward(0.005), slots())[1]
    restarts.advance()
    for name in many:
        processes(world, name)[0].die()
    restarts.advance()
    world.clock.forward(1.01)
    for name in many:
        processes(world, name)[0].transition()
    passes = 0
    while not restarts.finished:
        before = world.clock.now
        restarts.advance()
        assert world.clock.now - before <= SLICE + 0.005
        passes += 1
    assert passes == 400 * 0.005 / SLICE


def test_when_supervisord_stops_all_end_in_one_pass(world, restarts, many):
    begin(restarts, many)
    world.supervisord.options.mood = SupervisorStates.SHUTDOWN
    restarts.advance()
    assert restarts.finished


def test_what_has_ended_is_collected_once_for_all(world, restarts, many):
    begin(restarts, many)
    while restarts.due() <= 0:
        restarts.advance()
    world.machine.signals.arrives = lambda signum: None  # nobody else collects it
    processes(world, 'g399')[0].die()
    restarts.advance()
    assert restarts.info('g399')['starting'] == 1


def test_the_log_files_of_what_has_ended_are_closed_before_its_dispatchers_go(world, restarts):
    # The main loop has the dispatchers until its turn ends.
    begin(restarts, ['web'])
    restarts.advance()
    dispatcher = SimpleNamespace(readable=lambda: False, writable=lambda: False,
                                 normallog=set(), childlog=set(), capturelog=None)
    world['web_0'].dispatchers = {5: dispatcher}
    logs = [weakref.ref(dispatcher.normallog), weakref.ref(dispatcher.childlog)]
    world['web_0'].die()
    assert [log() for log in logs] == [None, None]


def test_a_plan_goes_by_what_has_ended_though_nobody_has_collected_it_yet(world, restarts):
    runs, starts = world['web_0'], world.add('starts', ProcessStates.STARTING)
    world.machine.signals.arrives = lambda signum: None
    starts.die(exitstatus=1)
    file = GroupConfig(world.machine, 'web', [each.config for each in processes(world, 'web')])
    assert str(plans.from_file(restarts, 'web', {'web': file})) == '1 to replace, 10 to keep'
    runs.die(exitstatus=0)
    plan = plans.limited(restarts, 'web', None, (), only_running=True)
    assert str(plan) == '10 to replace, 1 to keep'


# What nobody expects

@pytest.mark.parametrize('method', ['due', 'changed', 'advance', 'group_removed'])
@pytest.mark.parametrize('gives_up', [True, False])
def test_a_bug_ends_the_one_restart_and_nothing_else(world, restarts, method, gives_up):
    bad, good = begin(restarts, ['web', 'db'])
    setattr(bad, method, lambda *arguments: 1 / 0)
    if not gives_up:
        bad.give_up = lambda explanation: 1 / 0
    if method == 'group_removed':
        events.notify(events.ProcessGroupRemovedEvent('web'))
    restarts.due()
    restarts.advance()
    processes(world, 'web')[0].change_state(ProcessStates.STOPPING)
    restarts.advance()
    assert restarts.groups() == ['db'] and good.outcome is None
    assert 'ZeroDivisionError' in dict(world.lines)['critical']
    if gives_up:
        assert bad.outcome.code == Faults.FAILED


# What others do

def test_when_its_group_is_removed_a_restart_ends_at_once_and_the_next_may_begin(world, restarts):
    assert restarts.due() == math.inf
    restart = restarts.begin('web', SLOW)
    restarts.advance()
    group = world.supervisord.process_groups.pop('web')
    events.notify(events.ProcessGroupRemovedEvent('web'))
    assert restart.finished and restart.outcome.code == Faults.BAD_GROUP
    assert restarts.due() == 0 and not restarts.finished  # so that its caller is answered
    world.supervisord.process_groups['web'] = group
    again = restarts.begin('web', SLOW)
    assert restarts.info('web')['state'] == 'RESTARTING' and again.outcome is None
    with pytest.raises(RPCError, match='RESTART_IN_PROGRESS'):
        restarts.begin('web', SLOW)


def test_one_that_begins_in_the_midst_of_a_pass_has_the_next_one(world, restarts):
    begun = []

    def hear(event):
        if not begun:
            begun.append(restarts.begin('db', SLOW))
    events.subscribe(events.ProcessStateStoppingEvent, hear)
    restarts.begin('web', SLOW)
    restarts.advance()
    assert begun[0].info()['waiting'] == 10
    restarts.advance()
    assert begun[0].info()['stopping'] == restarts.info('web')['stopping'] == 10


def test_one_that_is_cancelled_has_its_pass_at_once(world, restarts):
    restart = restarts.begin('web', SLOW._replace(max_surge=Limit(1)))
    restarts.advance()
    restarts.advance()
    assert restarts.due() > 0
    restarts.cancel('web')
    assert restarts.due() == 0
    for _ in range(2):  # the successor is told to stop, and that is a change
        restarts.advance()
    assert restarts.due() > 0 and restart.info()['state'] == 'SETTLING'


def test_one_that_has_nothing_to_do_ends_at_once(world, restarts):
    plan = plans.limited(restarts, 'web', None, (), only_running=True)
    restart = restarts.begin('web', SLOW, plan.only((), world.group))
    assert restarts.due() == 0
    restarts.advance()
    assert restart.outcome is True and restarts.finished
