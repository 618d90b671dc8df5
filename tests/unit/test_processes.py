"""What a restart does to processes, and what it holds in the meantime."""

import socket
from types import SimpleNamespace

import pytest
from supervisor.datatypes import UnixStreamSocketConfig
from supervisor.socket_manager import SocketManager

from supervisor_restarter.restart.group_restart import SLICE
from supervisor_restarter.restart.restarts import Restarts
from tests.support.world import World
from tests.unit.restarting import GONE, Restart


@pytest.fixture
def world():
    return World('a')


@pytest.fixture
def manager(world, tmp_path, monkeypatch):
    """Supervisor's own, for a socket of an [fcgi-program]: that of the world."""
    monkeypatch.chdir(tmp_path)  # its path may not be long
    world.group.socket_manager = SocketManager(UnixStreamSocketConfig('s'))
    return world.group.socket_manager


def test_a_shared_socket_takes_connections_while_all_its_processes_are_down(world, manager):
    theirs = manager.get_socket()  # as supervisor/process.py: FastCGISubprocess has it
    world['a'].spawn = lambda spawn=world['a'].spawn: (
        spawn(), setattr(world['a'], 'its', manager.get_socket()))
    restart = Restart(world)
    del theirs
    world['a'].die()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect('s')
    assert restart.after(0.0).after(1.01).outcome is True
    assert manager.get_socket_ref_count() == 1  # the new process has it; the restart does not


def test_a_shared_socket_is_given_back_as_soon_as_the_group_is_removed(world, manager):
    theirs = manager.get_socket()
    restart = Restart(world)
    world['a'].die()
    del theirs
    assert manager.is_prepared()
    restart.group_removed()
    assert not manager.is_prepared()
    assert (restart.finished, restart.texts) == (True, [GONE])


def test_one_that_no_process_has_is_not_made(world):
    world.group.socket_manager = SimpleNamespace(is_prepared=lambda: False)
    Restart(world)


def test_one_that_cannot_be_forked_keeps_no_numbers_of_closed_pipes(world):
    world.machine.dispatchers = lambda process: {10: SimpleNamespace()}
    restart = Restart(world)
    world['a'].behaves(broken='no fork')
    assert restart.down('a').info()['faults'] and world['a'].dispatchers == {}


def test_children_that_end_all_the_time_do_not_hold_the_main_loop(world):
    def reap():
        world.clock.forward(SLICE / 10)
        if len(children) < 1000:
            children[len(children)] = 'another one'
    children = world.supervisord.options.pidhistory
    world.supervisord.reap = reap
    Restarts(world.supervisord, world.clock).advance()
    assert 1 < len(children) < 15
