"""What getRestartInfo tells of each slot: its phase, and the seconds of each change."""

import pytest
from supervisor import events
from supervisor.states import ProcessStates

from supervisor_restarter.restart.restarts import Restarts
from supervisor_restarter.restart.settings import Limit, Settings
from tests.support.world import World

LATE = Settings(timeout=100.0)


@pytest.fixture(autouse=True)
def nobody_subscribes():
    yield
    events.clear()


def begin(world, settings=LATE):
    restarts = Restarts(world.supervisord, world.clock)
    restarts.begin('web', settings)
    restarts.advance()
    return restarts


def told(restarts):
    return {slot['name']: slot['changes'] for slot in restarts.info('web', True)['slots']}


def test_each_change_has_its_seconds_since_the_restart_began():
    world = World('a', 'b')
    restarts = begin(world, LATE._replace(max_unavailable=Limit(1)))
    world.clock.forward(0.25)
    world['b'].die()
    restarts.advance()
    world.clock.forward(1.06)
    restarts.advance()
    assert told(restarts) == {
        'a': [['waiting', 0.0], ['stopping', 1.31]],
        'b': [['waiting', 0.0], ['stopping', 0.0], ['starting', 0.25], ['restarted', 1.31]]}


def test_the_last_change_is_to_the_phase_of_the_slot():
    world = World('a', 'b', 'c')
    world['a'].spawn_error = 'no'
    restarts = begin(world)
    world['a'].die()
    world['b'].die()
    restarts.advance()
    info = restarts.info('web', True)
    assert {slot['name']: slot['phase'] for slot in info['slots']} == {
        'a': 'failed', 'b': 'starting', 'c': 'stopping'}
    assert all(slot['changes'][-1][0] == slot['phase'] for slot in info['slots'])


def test_one_that_is_found_down_has_never_waited():
    world = World()
    world.add('a', ProcessStates.STOPPED)
    assert told(begin(world)) == {'a': [['stopping', 0.0], ['starting', 0.0]]}


def test_new_before_old_starts_before_it_stops():
    world = World('a')
    restarts = begin(world, LATE._replace(max_surge=Limit(1)))
    world.clock.forward(1.5)
    restarts.advance()
    world['a.old'].die()
    world.clock.forward(0.5)
    restarts.advance()
    assert told(restarts) == {
        'a': [['waiting', 0.0], ['starting', 0.0], ['stopping', 1.5], ['restarted', 2.0]]}


def test_the_last_restart_is_remembered_with_its_slots_and_none_before_it():
    world = World('a')
    restarts = begin(world)
    for _ in range(2):
        world['a'].die()
        restarts.advance()
        world.clock.forward(1.5)
        restarts.advance()
        assert restarts.finished
        assert told(restarts) == {'a': [['waiting', 0.0], ['stopping', 0.0], ['starting', 0.0],
                                        ['restarted', 1.5]]}
        restarts.begin('web', LATE)
        restarts.advance()
