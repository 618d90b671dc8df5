"""A plan for each slot: what is kept is not touched, and the group is what it says."""

import pytest
from supervisor import events
from supervisor.states import ProcessStates

from supervisor_restarter.restart.group_restart import GroupRestart
from supervisor_restarter.restart.plan import Action, Plan, Planned
from supervisor_restarter.restart.settings import Limit, Settings
from tests.support.world import ConfigByHand, World
from tests.unit.fakes import passes

# The option `delay` is so long that only what is due moves a restart.
SLOW = Settings(timeout=100.0, delay=50.0)
ROLLING = SLOW._replace(max_unavailable=Limit(1))
SURGE = SLOW._replace(max_surge=Limit(1))


@pytest.fixture(autouse=True)
def no_events():
    yield
    events.clear()


class Update:
    """An update of the group of a `world`; `new` are the configurations that are new, by name.

    The plan is in words: `a=keep b=replace c=add d=remove`; `c=add!` is not to run.
    """

    def __init__(self, world, words, settings=SLOW):
        self.world, self.group = world, world.group
        self.new = {}
        slots = []
        for word in words.split():
            name, action = word.rstrip('!').split('=')
            if action in (Action.REPLACE, Action.ADD):
                config = self.new[name] = world.config(name)
            else:
                config = world[name].config
            slots.append(Planned(name, action, config, runs=not word.endswith('!')))
        self.group.config.process_configs = [
            process.config for process in self.group.processes.values()]
        file = world.config('web', priority=5)
        self.restart = GroupRestart(world.supervisord, world.group, settings, world.clock,
                                    plan=Plan(tuple(slots), file))
        assert self.restart.due() == 0
        self.restart.advance(everything=False)

    def passes(self, seconds):
        passes(self.world, self.restart, seconds)

    def ends(self, name, **how):
        """Let a process end, as supervisord tells it."""
        self.world[name].die(**how)
        self.restart.changed(name, running=False)
        self.restart.advance(everything=False)

    def says(self):
        """Return what the group's configuration says: each slot, and whether it is the new one."""
        configs = self.group.config.process_configs
        assert all(config in [process.config for process in self.group.processes.values()]
                   for config in configs)
        return {config.name: config is self.new.get(config.name) for config in configs}

    @property
    def counts(self):
        info = self.restart.info()
        counts = {phase: info[phase] for phase in (
            'waiting', 'stopping', 'starting', 'restarted', 'failed', 'removed') if info[phase]}
        assert sum(counts.values()) == info['total']
        return counts


@pytest.mark.parametrize('settings', [SLOW, ROLLING])
@pytest.mark.parametrize('words', ['a=keep b=keep', 'a=keep! b=keep!'])
def test_one_that_has_nothing_to_do_ends_at_once(words, settings):
    assert Update(World('a', 'b'), words, settings).restart.outcome is True



def test_what_is_kept_is_not_touched_and_the_group_is_what_the_file_says():
    world = World(*'ab')
    before = {name: (world[name], world[name].config) for name in 'ab'}
    update = Update(world, 'b=keep a=keep')
    assert (update.restart.outcome, world.history) == (True, [])
    assert {name: (world[name], world[name].config) for name in 'ab'} == before
    assert [config.name for config in world.group.config.process_configs] == ['b', 'a']
    assert world.group.config.priority == 5


@pytest.mark.parametrize('settings', [SLOW, ROLLING, SURGE, SLOW._replace(stagger_factor=3)])
def test_what_is_added_starts_at_once_however_the_others_are_paced(settings):
    world = World(*'ab')
    update = Update(world, 'a=keep b=keep c=add d=add', settings)
    assert world.history == [('spawn', 'c'), ('spawn', 'd')]
    assert update.counts == {'starting': 2}
    update.passes(1.1)
    assert update.restart.outcome is True
    assert update.says() == {'a': False, 'b': False, 'c': True, 'd': True}


def test_supervisord_never_finds_an_added_process_that_has_not_been_started():
    world = World('a')
    world.machine.made = lambda process: setattr(process, 'raises', OSError('no socket'))
    update = Update(world, 'a=keep b=add')
    assert update.restart.outcome[0]['text'] == 'SPAWN_ERROR: no socket'
    assert list(world.group.processes) == ['a'] and update.says() == {'a': False}


def test_what_is_added_and_does_not_start_by_itself_is_there_and_down():
    world = World('a')
    update = Update(world, 'a=keep b=add!')
    assert (update.restart.outcome, world.history) == (True, [])
    assert world.states()['b'] == 'STOPPED' and world['b'].config is update.new['b']
    assert update.counts == {'restarted': 1}


def test_what_is_removed_is_stopped_and_out_of_the_group_when_it_is_down():
    world = World(*'abc')
    update = Update(world, 'a=keep b=remove c=remove')
    assert world.history == [('stop', 'c'), ('stop', 'b')]
    assert update.says() == {'a': False, 'b': False, 'c': False}
    update.ends('b')
    assert update.counts == {'stopping': 1, 'removed': 1}
    assert sorted(update.says()) == sorted(world.group.processes) == ['a', 'c']
    update.ends('c')
    assert (update.restart.outcome, sorted(world.group.processes)) == (True, ['a'])
    assert world.history == [('stop', 'c'), ('stop', 'b')]


@pytest.mark.parametrize('state', ['STOPPED', 'EXITED', 'FATAL', 'BACKOFF'])
def test_what_is_removed_and_down_is_gone_at_once(state):
    world = World('a')
    world.add('b', getattr(ProcessStates, state))
    update = Update(world, 'a=keep b=remove')
    assert (update.restart.outcome, world.history) == (True, [])
    assert list(world.group.processes) == ['a']


def test_a_process_gets_its_new_configuration_when_the_old_one_is_down():
    world = World('a')
    old = world['a'].config
    update = Update(world, 'a=replace')
    assert world['a'].config is old and update.says() == {'a': False}
    update.ends('a')
    assert world['a'].config is update.new['a'] and update.says() == {'a': True}
    assert world.history == [('stop', 'a'), ('spawn', 'a')]
    update.passes(1.1)
    assert update.restart.outcome is True


def test_a_successor_has_the_new_configuration_and_the_slot_has_it_with_the_hand_over():
    world = World('a')
    old = world['a'].config
    update = Update(world, 'a=replace', SURGE)
    assert world['a'].config is old and update.says() == {'a': False}
    world['a.new'].config.environment['KEY'] = 'value'
    assert update.new['a'].environment is None
    update.passes(1.1)
    assert world['a'].config is update.new['a'] and update.says() == {'a': True}
    update.ends('a.old')
    assert update.restart.outcome is True and list(world.group.processes) == ['a']


def test_a_successor_that_does_not_come_up_leaves_the_slot_its_old_configuration():
    world = World(*'ab')
    update = Update(world, 'a=replace b=replace', SURGE)
    update.ends('b.new')
    update.passes(0.1)
    assert [fault['code'] for fault in update.restart.outcome] == [0x430, 0x450]
    assert update.says() == {'a': False, 'b': False}


@pytest.mark.parametrize('state', ['STOPPED', 'EXITED', 'FATAL', 'BACKOFF'])
def test_what_is_down_and_is_to_run_is_started_with_its_new_configuration(state):
    world = World()
    world.add('a', getattr(ProcessStates, state))
    update = Update(world, 'a=replace', ROLLING)
    assert world['a'].config is update.new['a']
    assert world.history == [('spawn', 'a')]
    update.passes(1.1)
    assert update.restart.outcome is True


def test_what_is_down_and_is_not_to_run_has_its_new_configuration_and_stays_down():
    world = World()
    world.add('a', ProcessStates.EXITED)
    update = Update(world, 'a=replace!')
    assert (update.restart.outcome, world.history) == (True, [])
    # As it is now supervisord does not start it, whatever exit status it had.
    assert world.states() == {'a': 'STOPPED'} and update.says() == {'a': True}


def test_one_that_supervisor_restarts_while_it_waits_is_replaced_all_the_same():
    world = World(*'ab')
    update = Update(world, 'a=replace b=replace', ROLLING)
    world['a'].die()
    world['a'].spawn()
    world['a'].change_state(ProcessStates.RUNNING)
    update.restart.changed('a', running=True)
    update.ends('b')
    update.passes(1.1)
    assert world.history[-1] == ('stop', 'a')
    update.ends('a')
    update.passes(1.1)
    assert update.restart.outcome is True and update.says() == {'a': True, 'b': True}


@pytest.mark.parametrize('word', ['a=replace', 'a=remove'])
def test_what_somebody_else_starts_in_between_is_the_old_one_and_a_fault(word):
    world = World('a')
    update = Update(world, word)
    world['a'].die()
    world['a'].spawn()
    update.restart.changed('a', running=False)
    update.restart.advance(everything=False)
    assert update.restart.outcome == [
        {'code': 0x430, 'group': 'web', 'name': 'a', 'text': 'START_FAILED: started by somebody '
         'else, with its old configuration'}]
    assert update.says() == {'a': False}


def test_rolling_what_is_removed_waits_until_what_comes_in_its_place_is_up():
    world = World('old_0', 'old_1')
    update = Update(world, 'new_0=add new_1=add old_0=remove old_1=remove', ROLLING)
    update.passes(0.9)
    assert world.history == [('spawn', 'new_0'), ('spawn', 'new_1')]
    update.passes(0.2)
    assert world.history[2:] == [('stop', 'old_1')]  # and only one at a time is down
    update.ends('old_1')
    assert world.history[3:] == [('stop', 'old_0')]
    update.ends('old_0')
    assert update.restart.outcome is True


def test_with_surge_alone_one_at_a_time_is_removed():
    world = World(*'abc')
    update = Update(world, 'a=replace b=remove c=remove', SURGE)
    update.passes(0.5)
    assert world.history == [('spawn', 'a.new'), ('stop', 'c')]
    update.ends('c')
    assert world.history[2:] == [('stop', 'b')]
    update.ends('b')
    update.passes(0.6)
    update.ends('a.old')
    assert update.restart.outcome is True and list(world.group.processes) == ['a']


def test_with_surge_alone_one_that_failed_keeps_none_from_being_removed():
    world = World(*'ab')
    update = Update(world, 'a=keep b=remove c=add', SURGE._replace(max_surge=Limit(2)))
    update.ends('c')
    assert world.history == [('spawn', 'c'), ('stop', 'b')]
    update.ends('b')
    assert [fault['name'] for fault in update.restart.outcome] == ['c']


def test_in_batches_what_is_removed_has_its_turn_as_what_is_replaced():
    world = World(*'abcd')
    update = Update(world, 'a=replace b=replace c=remove d=remove',
                    SLOW._replace(stagger_factor=2, delay=1.0))
    assert world.history == [('stop', 'b'), ('stop', 'a')]
    update.passes(1.0)
    assert world.history[2:] == [('stop', 'd'), ('stop', 'c')]


def test_cancelled_each_slot_is_wholly_old_or_wholly_new():
    world = World(*'abcd')
    update = Update(world, 'a=replace b=replace c=replace d=remove e=add', ROLLING)
    update.passes(1.1)
    assert world.history == [('spawn', 'e'), ('stop', 'c')]
    update.restart.cancel()
    update.ends('c')
    update.passes(1.1)
    assert update.restart.finished and update.restart.outcome.code == 0x451
    assert update.says() == {'a': False, 'b': False, 'c': True, 'd': False, 'e': True}
    assert world.history == [('spawn', 'e'), ('stop', 'c'), ('spawn', 'c')]


def test_whoever_starts_what_was_found_down_starts_the_new_one():
    world = World()
    for name in 'ab':
        world.add(name, ProcessStates.BACKOFF)
    spawn = world['a'].spawn
    world['a'].spawn = lambda: (world.clock.forward(1.0), spawn())  # no time for another one
    update = Update(world, 'a=replace b=replace')
    assert world.history == [('spawn', 'a')]
    world['b'].spawn()  # as Supervisor does from BACKOFF
    update.passes(1.1)
    assert update.restart.outcome is True and update.says() == {'a': True, 'b': True}


@pytest.mark.parametrize('settings', [SLOW, SURGE])
@pytest.mark.parametrize('state', [ProcessStates.RUNNING, ProcessStates.STOPPED])
def test_one_for_which_no_log_file_can_be_made_is_left_as_it_is(settings, state):
    world = World()
    world.add('a', state)
    old, ConfigByHand.no_log = world['a'].config, OSError(28, 'No space')
    try:
        update = Update(world, 'a=replace', settings)
    finally:
        ConfigByHand.no_log = None
    assert update.restart.outcome[0]['text'] == 'FAILED: OSError: [Errno 28] No space'
    assert world.history == [] and world['a'].config is old


@pytest.mark.parametrize('settings', [ROLLING, SURGE])
def test_a_slot_that_is_down_without_its_turn_gets_its_configuration_prepared(settings):
    world = World(*'ab')
    update = Update(world, 'a=replace b=replace', settings)
    prepared = []
    update.new['a'].create_autochildlogs = lambda: prepared.append('a')
    update.ends('a')
    assert prepared and world.history[-1] == ('spawn', 'a')
    assert world['a'].config is update.new['a']


def test_what_somebody_restarts_while_it_waits_has_its_old_configuration_and_is_a_fault():
    world = World(*'ab')
    update = Update(world, 'a=replace b=replace', ROLLING)
    world['a'].stop()
    update.ends('a')
    world['a'].spawn()
    world['a'].change_state(ProcessStates.RUNNING)
    update.restart.changed('a', running=True)
    update.ends('b')
    update.passes(1.1)
    assert update.restart.outcome[0]['text'] == (
        'START_FAILED: started by somebody else, with its old configuration')
    assert update.says() == {'a': False, 'b': True}


@pytest.mark.parametrize('state, may_go', [
    (ProcessStates.RUNNING, True), (ProcessStates.STARTING, False),
    (ProcessStates.BACKOFF, False), (ProcessStates.FATAL, True), (ProcessStates.STOPPED, True)])
def test_one_that_is_kept_and_on_its_way_up_counts_as_down(state, may_go):
    world = World('a')
    world.add('b', state)
    update = Update(world, 'a=replace b=keep', ROLLING)
    assert world.history == ([('stop', 'a')] if may_go else [])
    if not may_go:
        world['b'].change_state(ProcessStates.RUNNING)
        update.restart.changed('b', running=True)
        update.restart.advance(everything=False)
        assert world.history == [('stop', 'a')]
