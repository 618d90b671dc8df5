"""What getRestartInfo tells of each slot: its phase, and the seconds of each change."""

from supervisor.states import ProcessStates

from supervisor_restarter.restart.restarts import Restarts
from tests.support.world import World
from tests.unit.restarting import LATE, SURGE, Restart, begin, rolling


def told(restart):
    slots = restart.slots()
    assert all(slot['changes'][-1][0] == slot['phase'] for slot in slots)
    return {slot['name']: slot['changes'] for slot in slots}


def test_each_change_has_its_seconds_since_the_restart_began():
    assert told(begin('ab', rolling(1)).after(0.25).down('b').after(1.06)) == {
        'a': [['waiting', 0.0], ['stopping', 1.31]],
        'b': [['waiting', 0.0], ['stopping', 0.0], ['starting', 0.25], ['restarted', 1.31]]}


def test_the_last_change_is_to_the_phase_of_the_slot():
    restart = begin('abc')
    restart['a'].spawn_error = 'no'
    assert {name: changes[-1][0] for name, changes in told(restart.down('a', 'b')).items()} == {
        'a': 'failed', 'b': 'starting', 'c': 'stopping'}


def test_one_that_is_found_down_has_never_waited():
    world = World()
    world.add('a', ProcessStates.STOPPED)
    assert told(Restart(world)) == {'a': [['stopping', 0.0], ['starting', 0.0]]}


def test_new_before_old_starts_before_it_stops():
    restart = begin('a', SURGE).after(1.5)
    restart.clock.forward(0.5)
    assert told(restart.down('a.old')) == {
        'a': [['waiting', 0.0], ['starting', 0.0], ['stopping', 1.5], ['restarted', 2.0]]}


def test_the_last_restart_is_remembered_with_its_slots_and_none_before_it():
    world = World('a')
    restarts = Restarts(world.supervisord, world.clock)
    for _ in range(2):
        restarts.begin('web', LATE)
        restarts.advance()
        world['a'].die()
        restarts.advance()
        world.clock.forward(1.5)
        restarts.advance()
        assert restarts.finished
        slot, = restarts.info('web', True)['slots']
        assert (slot['name'], slot['changes']) == ('a', [
            ['waiting', 0.0], ['stopping', 0.0], ['starting', 0.0], ['restarted', 1.5]])
