"""A plan for each slot: what is kept is not touched, and the group is what it says."""

import pytest
from supervisor.states import ProcessStates

from supervisor_restarter.restart.group_restart import SLICE
from supervisor_restarter.restart.plan import Action, Plan, Planned
from supervisor_restarter.restart.settings import Limit
from tests.support.world import ConfigByHand, World
from tests.unit.restarting import SLOW, SURGE, Restart, fault, takes

ROLLING = SLOW._replace(max_unavailable=Limit(1))
DOWN = [ProcessStates.STOPPED, ProcessStates.EXITED, ProcessStates.FATAL, ProcessStates.BACKOFF]
BY_OTHERS = fault('a', 'START_FAILED: started by somebody else, with its old configuration')


class Update(Restart):
    """An update of the group of a `world`; `new` are the configurations that are new, by name.

    The plan is in words: `a=keep b=replace c=add d=remove`; `c=add!` is not to run.
    """

    def __init__(self, world, words, settings=SLOW):
        self.new, slots = {}, []
        for word in words.split():
            name, action = word.rstrip('!').split('=')
            if action in (Action.REPLACE, Action.ADD):
                config = self.new[name] = world.config(name)
            else:
                config = world[name].config
            slots.append(Planned(name, action, config, runs=not word.endswith('!')))
        world.group.config.process_configs = [
            process.config for process in world.group.processes.values()]
        super().__init__(world, settings, plan=Plan(tuple(slots), world.config('web', priority=5)))

    @property
    def says(self):
        """What the group's configuration says: its slots, upper case where it is the new one."""
        configs = self.group.config.process_configs
        assert all(config in [process.config for process in self.group.processes.values()]
                   for config in configs)
        return ' '.join(sorted((
            config.name.upper() if config is self.new.get(config.name) else config.name
            for config in configs), key=str.lower))

    @property
    def counts(self):
        info = self.info()
        counts = {phase: info[phase] for phase in (
            'waiting', 'stopping', 'starting', 'restarted', 'failed', 'removed') if info[phase]}
        assert sum(counts.values()) == info['total']
        return counts


def found(**states):
    """A world with processes in these states."""
    world = World()
    for name, state in states.items():
        world.add(name, state)
    return world


def update(names, *how):
    return Update(World(*names), *how)


@pytest.mark.parametrize('settings', [SLOW, ROLLING])
@pytest.mark.parametrize('words', ['a=keep b=keep', 'a=keep! b=keep!'])
def test_one_that_has_nothing_to_do_ends_at_once(words, settings):
    assert update('ab', words, settings).outcome is True


def test_what_is_kept_is_not_touched_and_the_group_is_what_the_file_says():
    world = World(*'ab')
    before = {name: (world[name], world[name].config) for name in 'ab'}
    done = Update(world, 'b=keep a=keep')
    assert (done.outcome, world.history) == (True, [])
    assert {name: (world[name], world[name].config) for name in 'ab'} == before
    assert [config.name for config in world.group.config.process_configs] == ['b', 'a']
    assert world.group.config.priority == 5


# What is added, and removed

@pytest.mark.parametrize('settings', [SLOW, ROLLING, SURGE, SLOW._replace(stagger_factor=3)])
def test_what_is_added_starts_at_once_however_the_others_are_paced(settings):
    begun = update('ab', 'a=keep b=keep c=add d=add', settings)
    assert begun.history == [('spawn', 'c'), ('spawn', 'd')]
    assert begun.counts == {'starting': 2}
    assert begun.passes(1.1).outcome is True
    assert begun.says == 'a b C D'


def test_supervisord_never_finds_an_added_process_that_has_not_been_started():
    world = World('a')
    world.machine.made = lambda process: setattr(process, 'raises', OSError('no socket'))
    done = Update(world, 'a=keep b=add')
    assert done.texts == ['SPAWN_ERROR: no socket']
    assert (done.names, done.says) == (['a'], 'a')


def test_what_is_added_and_does_not_start_by_itself_is_there_and_down():
    done = update('a', 'a=keep b=add!')
    assert (done.outcome, done.history, done.counts) == (True, [], {'restarted': 1})
    assert done.states['b'] == 'STOPPED' and done.says == 'a B'


def test_what_is_removed_is_stopped_and_out_of_the_group_when_it_is_down():
    begun = update('abc', 'a=keep b=remove c=remove')
    assert begun.stopped == ['c', 'b'] and begun.says == 'a b c'
    begun.down('b')
    assert begun.counts == {'stopping': 1, 'removed': 1}
    assert (begun.says, begun.names) == ('a c', ['a', 'c'])
    begun.down('c')
    assert (begun.outcome, begun.names, begun.spawned) == (True, ['a'], [])


@pytest.mark.parametrize('state', DOWN)
def test_what_is_removed_and_down_is_gone_at_once(state):
    done = Update(found(a=ProcessStates.RUNNING, b=state), 'a=keep b=remove')
    assert (done.outcome, done.history, done.names) == (True, [], ['a'])


def test_rolling_what_is_removed_waits_until_what_comes_in_its_place_is_up():
    begun = update(['old_0', 'old_1'], 'new_0=add new_1=add old_0=remove old_1=remove', ROLLING)
    assert begun.passes(0.9).history == [('spawn', 'new_0'), ('spawn', 'new_1')]
    assert begun.passes(0.2).stopped == ['old_1']  # and only one at a time is down
    assert begun.down('old_1').stopped == ['old_1', 'old_0']
    assert begun.down('old_0').outcome is True


def test_with_surge_alone_one_at_a_time_is_removed():
    begun = update('abc', 'a=replace b=remove c=remove', SURGE).passes(0.5)
    assert begun.history == [('spawn', 'a.new'), ('stop', 'c')]
    assert begun.down('c').history[2:] == [('stop', 'b')]
    begun.down('b').passes(0.6).down('a.old')
    assert (begun.outcome, begun.names) == (True, ['a'])


def test_with_surge_alone_one_that_failed_keeps_none_from_being_removed():
    begun = update('ab', 'a=keep b=remove c=add', SURGE._replace(max_surge=Limit(2))).down('c')
    assert begun.history == [('spawn', 'c'), ('stop', 'b')]
    assert [each['name'] for each in begun.down('b').outcome] == ['c']


def test_in_batches_what_is_removed_has_its_turn_as_what_is_replaced():
    begun = update('abcd', 'a=replace b=replace c=remove d=remove',
                   SLOW._replace(stagger_factor=2, delay=1.0))
    assert begun.stopped == ['b', 'a']
    assert begun.passes(1.0).stopped == ['b', 'a', 'd', 'c']


@pytest.mark.parametrize('state, may_go', [
    (ProcessStates.RUNNING, True), (ProcessStates.STARTING, False),
    (ProcessStates.BACKOFF, False), (ProcessStates.FATAL, True), (ProcessStates.STOPPED, True)])
def test_one_that_is_kept_and_on_its_way_up_counts_as_down(state, may_go):
    begun = Update(found(a=ProcessStates.RUNNING, b=state), 'a=replace b=keep', ROLLING)
    assert begun.stopped == ['a'] * may_go
    if not may_go:
        begun['b'].change_state(ProcessStates.RUNNING)
        begun.changed('b', running=True)
        begun.advance()
        assert begun.stopped == ['a']


# Which configuration a slot has

def test_a_process_gets_its_new_configuration_when_the_old_one_is_down():
    begun = update('a', 'a=replace')
    assert begun.says == 'a'
    assert begun.down('a').says == 'A'
    assert begun.history == [('stop', 'a'), ('spawn', 'a')]
    assert begun.passes(1.1).outcome is True


def test_what_waits_to_be_spawned_has_its_new_configuration_already():
    begun = update('ab', 'a=replace b=replace')
    takes(begun.world, SLICE, begun['a'], 'spawn')
    assert begun.down('a', 'b').spawned == ['a'] and begun.says == 'A B'


def test_a_successor_has_the_new_configuration_and_the_slot_has_it_with_the_hand_over():
    begun = update('a', 'a=replace', SURGE)
    assert begun.says == 'a'
    begun['a.new'].config.environment['KEY'] = 'value'
    assert begun.new['a'].environment is None
    assert begun.passes(1.1).says == 'A'
    assert begun.down('a.old').outcome is True and begun.names == ['a']


def test_a_successor_that_does_not_come_up_leaves_the_slot_its_old_configuration():
    done = update('ab', 'a=replace b=replace', SURGE).down('b.new').passes(0.1)
    assert [each['code'] for each in done.outcome] == [0x430, 0x450]
    assert done.says == 'a b'


@pytest.mark.parametrize('state', DOWN)
def test_what_is_down_and_is_to_run_is_started_with_its_new_configuration(state):
    begun = Update(found(a=state), 'a=replace', ROLLING)
    assert (begun.says, begun.history) == ('A', [('spawn', 'a')])
    assert begun.passes(1.1).outcome is True


def test_what_is_down_and_is_not_to_run_has_its_new_configuration_and_stays_down():
    world = found(a=ProcessStates.EXITED)
    world['a'].theirs = 'of another plugin'
    done = Update(world, 'a=replace!')
    assert (done.outcome, done.history, done.says) == (True, [], 'A')
    assert world['a'].theirs == 'of another plugin'
    assert done.states == {'a': 'STOPPED'}  # supervisord does not start it, whatever its status


def test_what_is_down_and_is_removed_after_it_got_its_configuration_is_no_success():
    begun = Update(found(a=ProcessStates.EXITED, b=ProcessStates.RUNNING), 'a=replace! b=replace')
    del begun.group.processes['a']
    assert begun.down('b').passes(1.1).counts == {'restarted': 1, 'removed': 1}


def test_one_that_supervisor_restarts_while_it_waits_is_replaced_all_the_same():
    begun = update('ab', 'a=replace b=replace', ROLLING).let('a', 'die', 'spawn')
    begun['a'].change_state(ProcessStates.RUNNING)
    begun.changed('a', running=True)
    assert begun.down('b').passes(1.1).history[-1] == ('stop', 'a')
    assert begun.down('a').passes(1.1).outcome is True and begun.says == 'A B'


@pytest.mark.parametrize('word', ['a=replace', 'a=remove'])
def test_what_somebody_else_starts_in_between_is_the_old_one_and_a_fault(word):
    begun = update('a', word).let('a', 'die', 'spawn').told('a')
    assert (begun.outcome, begun.says) == ([BY_OTHERS], 'a')


def test_what_somebody_restarts_while_it_waits_has_its_old_configuration_and_is_a_fault():
    begun = update('ab', 'a=replace b=replace', ROLLING).let('a', 'stop')
    begun.down('a')['a'].spawn()
    begun['a'].change_state(ProcessStates.RUNNING)
    begun.changed('a', running=True)
    assert begun.down('b').passes(1.1).outcome[0] == BY_OTHERS
    assert begun.says == 'a B'


def test_cancelled_each_slot_is_wholly_old_or_wholly_new():
    begun = update('abcd', 'a=replace b=replace c=replace d=remove e=add', ROLLING).passes(1.1)
    assert begun.history == [('spawn', 'e'), ('stop', 'c')]
    assert begun.cancel().down('c').passes(1.1).finished and begun.outcome.code == 0x451
    assert begun.says == 'a b C d E'
    assert begun.history == [('spawn', 'e'), ('stop', 'c'), ('spawn', 'c')]


def test_whoever_starts_what_was_found_down_starts_the_new_one():
    world = found(a=ProcessStates.BACKOFF, b=ProcessStates.BACKOFF)
    spawn = world['a'].spawn
    world['a'].spawn = lambda: (world.clock.forward(1.0), spawn())  # no time for another one
    begun = Update(world, 'a=replace b=replace')
    assert begun.history == [('spawn', 'a')]
    world['b'].spawn()  # as Supervisor does from BACKOFF
    assert begun.passes(1.1).outcome is True and begun.says == 'A B'


@pytest.mark.parametrize('settings', [SLOW, SURGE])
@pytest.mark.parametrize('state', [ProcessStates.RUNNING, ProcessStates.STOPPED])
def test_one_for_which_no_log_file_can_be_made_is_left_as_it_is(monkeypatch, settings, state):
    monkeypatch.setattr(ConfigByHand, 'no_log', OSError(28, 'No space'))
    done = Update(found(a=state), 'a=replace', settings)
    assert done.texts[0] == 'FAILED: OSError: [Errno 28] No space'
    assert (done.history, done.says) == ([], 'a')


@pytest.mark.parametrize('settings', [ROLLING, SURGE])
def test_a_slot_that_is_down_without_its_turn_gets_its_configuration_prepared(settings):
    begun = update('ab', 'a=replace b=replace', settings)
    prepared = []
    begun.new['a'].create_autochildlogs = lambda: prepared.append('a')
    begun.down('a')
    assert prepared and begun.history[-1] == ('spawn', 'a')
    assert begun['a'].config is begun.new['a']
