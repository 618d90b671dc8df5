"""Several restarts of one supervisord."""

import pytest
from supervisor import events

from supervisor_restarter.restart.group_restart import SLICE
from supervisor_restarter.restart.restarts import Restarts
from supervisor_restarter.restart.settings import Settings
from tests.support.world import World

LATE = Settings(timeout=100.0, delay=50.0)


@pytest.fixture
def world():
    """The groups web, db and api, of ten processes each."""
    made = World()
    for name in ('web', 'db', 'api'):
        group = made.supervisord.process_groups.get(name) or made.add_group(name)
        for number in range(10):
            made.add('%s_%d' % (name, number), group=group)
    yield made
    events.clear()


def processes(world, group):
    return list(world.supervisord.process_groups[group].processes.values())


def finish(world, restarts, group):
    restart = restarts.begin(group, LATE)
    restarts.advance()
    for process in processes(world, group):
        process.die()
    restarts.advance()
    world.clock.forward(1.01)
    restarts.advance()
    assert restart.outcome is True


def test_restarts_side_by_side_share_the_time_of_a_pass(world):
    restarts = Restarts(world.supervisord, world.clock)
    for name in ('web', 'db', 'api'):
        restarts.begin(name, LATE)
        for process in processes(world, name):
            process.stop = lambda stop=process.stop: (world.clock.forward(SLICE / 4), stop())[1]
    before = world.clock.now
    restarts.advance()
    assert world.clock.now - before <= SLICE + 3 * SLICE / 4


def test_one_that_raises_is_given_up_with_a_fault_and_the_others_go_on(world):
    restarts = Restarts(world.supervisord, world.clock)
    bad, good = restarts.begin('web', LATE), restarts.begin('db', LATE)
    bad.advance = lambda *arguments: 1 / 0
    restarts.advance()
    assert bad.finished and bad.outcome.text == 'FAILED: web: ZeroDivisionError: division by zero'
    assert 'Traceback' in dict(world.lines)['critical']
    assert good.info()['stopping'] == 10
    assert restarts.info('web')['state'] == 'FINISHED'


def test_what_is_told_of_a_group_that_is_gone_goes_with_the_next_restart(world):
    restarts = Restarts(world.supervisord, world.clock)
    finish(world, restarts, 'db')
    group = world.supervisord.process_groups.pop('db')
    finish(world, restarts, 'api')
    world.supervisord.process_groups['db'] = group
    assert restarts.info('db')['state'] == 'IDLE'
    assert restarts.info('api')['state'] == 'FINISHED'


def test_the_spawns_of_a_restart_make_no_pass_due(world):
    restarts = Restarts(world.supervisord, world.clock)
    restart = restarts.begin('web', LATE)
    restarts.advance()
    for process in processes(world, 'web'):
        process.die()
    restarts.advance(everything=False)
    assert restart.info()['starting'] == 10
    assert restarts.due() == pytest.approx(1.0, abs=0.01)
