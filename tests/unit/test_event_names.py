"""A listener that is busy gets each event with the name of its time, and nobody waits for that."""

from types import SimpleNamespace

import pytest
from supervisor import events
from supervisor.states import ProcessStates

from supervisor_restarter.daemon.event_names import EventNames
from supervisor_restarter.restart.restarts import Restarts
from supervisor_restarter.restart.settings import Settings
from tests.support.world import World
from tests.unit.restarting import SURGE


@pytest.fixture
def world():
    return World('a')


@pytest.fixture
def restarts(world):
    return Restarts(world.supervisord, world.clock)


@pytest.fixture
def pool(world):
    """The pool of an event listener that is busy; it hears all that there are of processes."""
    made = world.add_group('ears')
    made.event_buffer = []
    world.add('ears', group=made)
    for kind in (events.ProcessStateEvent, events.ProcessLogEvent):
        events.subscribe(kind, made.event_buffer.append)
    return made


def names(pool):
    return [event.payload().split()[0].split(':')[1] for event in pool.event_buffer]


def surge(restarts, *groups):
    for name in groups:
        restarts.begin(name, SURGE)
    restarts.advance()


def hand_over(restarts):
    restarts.clock.forward(1.1)
    restarts.advance()


def test_each_event_of_a_surge_has_the_name_of_its_time(world, restarts, pool):
    world['a'].change_state(ProcessStates.STARTING)
    pool.processes['ears'].event = pool.event_buffer.pop()  # is rejected later
    world['a'].change_state(ProcessStates.RUNNING)
    surge(restarts, 'web')
    events.notify(events.ProcessLogStdoutEvent(world['a.new'], 7, b'hello'))
    hand_over(restarts)
    world['a.old'].die()
    restarts.advance()
    assert restarts.finished
    pool.event_buffer.insert(0, pool.processes['ears'].event)
    assert names(pool) == ['a', 'a', 'a.new', 'a.new', 'a.new', 'a', 'a.old', 'a.old']


def test_a_hand_over_does_not_look_at_what_listeners_have_yet_to_get(world, restarts, pool):
    looks = []

    class Buffer(list):
        def __iter__(self):
            looks.append(world.states())
            return super().__iter__()

        def __add__(self, other):
            return Buffer(list.__iter__(self)) if not other else Buffer(super().__add__(other))
    pool.event_buffer = Buffer()
    surge(restarts, 'web')
    hand_over(restarts)
    assert world.states() == {'a': 'RUNNING', 'a.old': 'STOPPING'}
    assert looks == [{'a': 'RUNNING'}]


def test_two_surges_at_a_time_keep_the_names_until_the_last_one_ends(world, restarts, pool):
    world.add('b', group=world.add_group('db'))
    surge(restarts, 'web', 'db')
    world.supervisord.process_groups.pop('db')
    events.notify(events.ProcessGroupRemovedEvent('db'))
    restarts.advance()
    hand_over(restarts)
    world['a.old'].die()
    assert 'payload' in vars(pool.event_buffer[-1])
    restarts.advance()
    assert restarts.finished and names(pool)[-1] == 'a.old'


def test_without_a_surge_the_events_are_left_alone(world, restarts, pool):
    restarts.begin('web', Settings())
    restarts.advance()
    world['a'].die()
    restarts.advance()
    assert all('payload' not in vars(event) for event in pool.event_buffer)


def test_what_is_about_no_process_is_left_alone(world, pool):
    pool.event_buffer = [events.TickEvent(5, None), SimpleNamespace(process=object())]
    before = [dict(vars(event)) for event in pool.event_buffer]
    EventNames(world.supervisord).keep()
    assert [vars(event) for event in pool.event_buffer] == before
