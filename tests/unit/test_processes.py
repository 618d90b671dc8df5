"""What a restart does to processes, and what it holds in the meantime."""

import socket
from types import SimpleNamespace

import pytest
from supervisor import events
from supervisor.datatypes import UnixStreamSocketConfig
from supervisor.socket_manager import SocketManager

from supervisor_restarter.restart.group_restart import SLICE, GroupRestart
from supervisor_restarter.restart.restarts import Restarts
from supervisor_restarter.restart.settings import Settings
from tests.support.world import World


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """Supervisor's own, for a socket of an [fcgi-program]."""
    monkeypatch.chdir(tmp_path)  # its path may not be long
    return SocketManager(UnixStreamSocketConfig('s'))


def test_a_shared_socket_takes_connections_while_all_its_processes_are_down(manager):
    world = World('a')
    theirs = manager.get_socket()  # as supervisor/process.py: FastCGISubprocess has it
    world.group.socket_manager = manager
    world['a'].spawn = lambda spawn=world['a'].spawn: (
        spawn(), setattr(world['a'], 'its', manager.get_socket()))
    restart = GroupRestart(world.supervisord, world.group, Settings(), world.clock)
    restart.advance()
    del theirs
    world['a'].die()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect('s')
    restart.advance()
    world.clock.forward(1.01)
    restart.advance()
    assert restart.outcome is True
    assert manager.get_socket_ref_count() == 1  # the new process has it; the restart does not


def test_a_shared_socket_is_given_back_as_soon_as_the_group_is_removed(manager):
    world = World('a')
    theirs = manager.get_socket()
    world.group.socket_manager = manager
    restart = GroupRestart(world.supervisord, world.group, Settings(), world.clock)
    restart.advance()
    world['a'].die()
    del theirs
    assert manager.is_prepared()
    restart.group_removed()
    assert not manager.is_prepared()
    assert (restart.finished, restart.outcome.text) == (
        True, 'BAD_GROUP: web: removed during its restart')


def test_one_that_no_process_has_is_not_made():
    world = World('a')
    world.group.socket_manager = SimpleNamespace(is_prepared=lambda: False)
    GroupRestart(world.supervisord, world.group, Settings(), world.clock).advance()


def test_one_that_cannot_be_forked_keeps_no_numbers_of_closed_pipes():
    world = World('a')
    world.machine.dispatchers = lambda process: {10: SimpleNamespace()}
    restart = GroupRestart(world.supervisord, world.group, Settings(), world.clock)
    restart.advance()
    world['a'].behaves(broken='no fork')
    world['a'].die()
    restart.advance()
    assert restart.info()['faults'] and world['a'].dispatchers == {}


def test_children_that_end_all_the_time_do_not_hold_the_main_loop():
    world = World('a')

    def reap():
        world.clock.forward(SLICE / 10)
        if len(children) < 1000:
            children[len(children)] = 'another one'
    children = world.supervisord.options.pidhistory
    world.supervisord.reap = reap
    Restarts(world.supervisord, world.clock).advance()
    events.clear()
    assert 1 < len(children) < 15
