"""What is made of who listens where: refusals, hand-overs, and whose an answer is."""

import itertools
import math
import os
import socket
from types import SimpleNamespace

import pytest

from supervisor_restarter.daemon import listeners
from supervisor_restarter.daemon.declaration import declared
from supervisor_restarter.daemon.listeners import Address, CannotSee, Table
from supervisor_restarter.daemon.listening import Listening, Own, note
from supervisor_restarter.daemon.readiness import Readiness
from tests.support.world import Clock
from tests.unit.loop import fake_options

OLD, NEW, STRANGER = 4711, 4712, 99
PORT, OTHER = Address('127.0.0.1', 8001), Address('127.0.0.1', 8002)
ADMIN, PATH, ABSTRACT = Address('0.0.0.0', 9001), Address('/run/web.sock'), Address('@web')


class Machine:
    """Sockets, and the ids of the processes that have them: in `hidden` those nobody may look into.
    """

    def __init__(self):
        self.inodes = itertools.count(1)
        self.sockets, self.hidden, self.blind = {}, set(), False
        self.began_to_read = math.inf
        self.processes = 1  # of the system, that are looked at until one is found

    def listen(self, pid, *addresses):
        for address in addresses:
            self.sockets[next(self.inodes)] = (address, pid)

    def close(self, pid):
        self.sockets = {inode: each for inode, each in self.sockets.items() if each[1] != pid}

    def table(self, age=0.0):
        if self.blind:
            raise CannotSee('this is not Linux')
        return Table({inode: address for inode, (address, _) in self.sockets.items()}, {})

    def held(self, pid, inodes):
        if pid in self.hidden:
            raise CannotSee('supervisord may not look into pid %d' % pid)
        return {inode for inode in inodes if self.sockets[inode][1] == pid}

    def owner(self, inode, most=listeners.AT_A_TIME):
        return self.sockets[inode][1] if self.processes <= most else 0

    def noted(self, *addresses, surge=True, declaration=None):
        """Let the old process listen, and note where it does."""
        self.listen(OLD, *addresses)
        return note(self, process(OLD), declaration, surge)

    def watching(self, noted, new=None, early=False):
        """Watch whether a new process listens; `see` is a look at its time."""
        changes, clock = [], Clock()
        watch = Listening(self, new or process(), noted, early, 0.2, lambda: changes.append(1),
                          set(), clock)

        def look():
            clock.forward(watch.due())
            watch.look()
            assert bool(changes) == watch.ready
            return watch.ready, watch.seen
        watch.see = look
        return watch

    def own(self, noted=None, value='tcp://127.0.0.1:8001', new=None):
        return Own(self, new or process(), declares(value), noted)


def process(pid=NEW, command='serve', **environment):
    return SimpleNamespace(pid=pid, group=SimpleNamespace(processes={}), config=SimpleNamespace(
        command=command, directory=None, environment=environment, uid=None,
        options=SimpleNamespace(httpservers=())))


def declares(value):
    return value and declared({'RESTARTER_READY': value})


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture(autouse=True)
def ids(monkeypatch):
    monkeypatch.setattr(listeners, '_given_away', lambda: (32768, 60999, frozenset()))

    def kill(pid, signum):
        if pid not in (OLD, NEW, STRANGER):
            raise ProcessLookupError
    monkeypatch.setattr(os, 'kill', kill)
    monkeypatch.setattr(os, 'getpgid', lambda pid: pid)


# A surge

WHERE = 'does not listen on %s, where pid %d %s'
LISTENED_ON = '127.0.0.1:8001 is listened on by pid %d'


def test_there_is_no_hand_over_before_the_successor_listens_wherever_its_predecessor_does(machine):
    noted = machine.noted(PORT, ADMIN, ABSTRACT, Address('127.0.0.1', 40000))
    assert (noted.refusal, set(noted.addresses)) == ('', {PORT, ADMIN, ABSTRACT})
    watch = machine.watching(noted)
    assert watch.seen == watch.in_the_way() == WHERE % (noted.addresses[0], OLD, 'does')
    for address in sorted(noted.addresses):
        assert watch.see() == (False, WHERE % (address, OLD, 'does'))
        machine.listen(NEW, address)
    assert watch.see() == (True, watch.awaited)
    assert (watch.early, watch.in_the_way()) == (False, '')


def test_who_listens_on_all_addresses_listens_on_one_and_a_stranger_for_nobody_else(machine):
    watch = machine.watching(machine.noted(PORT))
    machine.listen(STRANGER, PORT)
    assert not watch.see()[0]
    machine.listen(NEW, Address('::', 8001))
    assert watch.see()[0]


def test_with_another_configuration_it_may_listen_elsewhere_on_as_many(machine):
    noted = machine.noted(PORT, ADMIN)
    same = machine.watching(noted, process(SUPERVISOR_PROCESS_NAME='web_0'))
    other = machine.watching(noted, process(PORT='8002'))
    machine.listen(NEW, OTHER)
    assert not same.see()[0] and not other.see()[0]
    machine.listen(NEW, ADMIN)
    assert not same.see()[0] and other.see()[0]


def test_a_predecessor_that_serves_on_a_path_is_refused(machine):
    assert machine.noted(PATH).refusal == (
        'with max_surge its successor would take unix:/run/web.sock away, on which pid 4711 '
        'listens')
    noted = machine.noted(PORT)  # and so it is a path beside
    assert (noted.refusal, noted.addresses) == ('', (PORT,))


@pytest.mark.parametrize('value, refused', [
    ('http://127.0.0.1:8001/', True), ('unix:///run/web.sock', True), ('notify', False),
    ('listen', False), (None, False)])
@pytest.mark.parametrize('blind', [True, False])
def test_one_that_declares_an_address_is_refused_where_it_cannot_be_seen(
        machine, value, refused, blind):
    machine.blind, machine.hidden = blind, {OLD}
    noted = machine.noted(PORT, declaration=declares(value))
    assert bool(noted.refusal) == refused and not noted.addresses
    assert not refused or noted.refusal.startswith(
        'with max_surge it cannot be seen whether the new process answers at ')
    assert noted.why


def test_one_that_may_not_be_looked_into_does_not_take_over(machine):
    noted = machine.noted(PORT)
    machine.listen(NEW, PORT)
    machine.hidden = {NEW}
    ready, seen = machine.watching(noted).see()
    assert not ready and 'it cannot be seen whether it listens' in seen
    assert machine.watching(noted._replace(surge=False)).see()[0]  # RUNNING has to do


def test_the_socket_that_supervisord_shares_is_nobodys_own(machine):
    with socket.socket() as shared:
        inode = os.fstat(shared.fileno()).st_ino
        machine.sockets = {inode: (PORT, OLD)}
        old, new = process(OLD), process()
        old.group.socket_manager = new.group.socket_manager = SimpleNamespace(
            is_prepared=lambda: True, socket=shared)
        assert note(machine, old, None, surge=True).addresses == ()
        machine.listen(OLD, PATH)  # such as a control socket
        assert note(machine, old, None, surge=True).refusal == ''
        machine.sockets = {inode: (PORT, NEW)}
        own = machine.own(None, 'http://127.0.0.1:8001/', new)
        assert (own.obstacle(), own.others_too) == ('', True)  # so each connection is looked at


def test_what_a_child_has_of_supervisord_until_its_exec_is_nobodys_own(machine):
    old = process(OLD)
    with socket.socket() as inet, socket.socket(socket.AF_UNIX) as unix:
        for server, address in (inet, ADMIN), (unix, PATH):
            machine.sockets[os.fstat(server.fileno()).st_ino] = (address, OLD)
        old.config.options.httpservers = [({}, SimpleNamespace(socket=inet)),
                                          ({}, SimpleNamespace(socket=unix))]
        noted = note(machine, old, None, surge=True)
    assert (noted.addresses, noted.refusal) == ((), '')


# listen

def test_ready_is_what_listens_where_its_predecessor_did(machine):
    noted = machine.noted(PORT, PATH, surge=False)
    assert noted.addresses == tuple(sorted((PORT, PATH)))
    machine.close(OLD)
    watch = machine.watching(noted, early=True)
    machine.listen(NEW, PATH)
    assert watch.see() == (False, WHERE % (PORT, OLD, 'did'))
    assert watch.in_the_way() == ''
    machine.listen(STRANGER, PORT)
    machine.began_to_read = -math.inf  # before the new process was there
    assert watch.see() == (False, WHERE % (PORT, OLD, 'did'))
    machine.began_to_read = math.inf
    assert watch.see() == (False, WHERE % (PORT, STRANGER, 'does'))
    assert watch.in_the_way() == watch.seen
    machine.listen(NEW, PORT)
    assert watch.see()[0] and watch.early


def test_an_orphan_is_found_among_many_processes_when_one_has_failed(machine):
    noted = machine.noted(PORT, surge=False)
    machine.close(OLD)
    machine.listen(STRANGER, PORT)  # as where a wrapper has ended, and its child has not
    machine.processes = 200
    watch = machine.watching(noted, early=True)
    assert watch.see() == (False, WHERE % (PORT, OLD, 'did'))
    assert watch.in_the_way() == WHERE % (PORT, STRANGER, 'does')


# Whose an answer is

def test_an_answer_counts_where_the_new_process_listens_and_nobody_else_is_nearer(machine):
    own = machine.own()
    assert own.obstacle() == 'nobody listens on 127.0.0.1:8001'
    machine.listen(STRANGER, PORT)
    machine.listen(NEW, Address('0.0.0.0', 8001))
    assert own.obstacle() == own.others() == LISTENED_ON % STRANGER
    machine.close(STRANGER)
    assert (own.obstacle(), own.others_too, own.others()) == ('', False, '')


def test_an_answer_is_looked_at_where_others_listen_beside_the_new_process(machine):
    own = machine.own(machine.noted(PORT))
    assert own.obstacle() == LISTENED_ON % OLD
    machine.listen(NEW, PORT)
    assert (own.obstacle(), own.others_too) == ('', True)
    assert own.others() == ''  # it is not in the way of one that could listen


def test_what_has_left_the_line_but_not_the_process_group_is_its_own(machine, monkeypatch):
    machine.listen(STRANGER, PORT)
    monkeypatch.setattr(os, 'getpgid', lambda pid: NEW)
    assert machine.own().obstacle() == ''


def test_where_it_may_not_be_looked_into_a_socket_that_was_not_there_before_is_its_own(machine):
    machine.hidden = {NEW}
    machine.listen(STRANGER, PORT)
    own = machine.own()
    assert (own.blind, own.obstacle()) == (False, LISTENED_ON % STRANGER)
    machine.listen(NEW, PORT)
    assert own.obstacle() == ''


@pytest.mark.parametrize('question', ['table', 'held', 'owner'])
def test_where_there_are_no_descriptors_to_see_whose_it_is_that_is_the_obstacle(
        machine, monkeypatch, question):
    own = machine.own()
    machine.listen(STRANGER, PORT)

    def refuse(*asked):
        raise OSError(24, 'Too many open files')
    monkeypatch.setattr(machine, question, refuse)
    assert own.obstacle() == 'cannot be seen: Too many open files'


def test_where_nobody_tells_it_is_said_so(machine):
    machine.blind = True
    own = machine.own()
    assert (own.blind, own.obstacle(), own.others()) == (True, '', '')


# What is watched of whom

@pytest.fixture
def readiness(machine):
    made = Readiness(fake_options())
    made._listeners = machine
    return made


@pytest.mark.parametrize('value, surge, kinds', [
    (None, False, []),
    (None, True, ['Listening']),
    ('listen', False, ['Listening']),
    ('listen', True, ['Listening']),
    ('tcp://127.0.0.1:8001', False, ['Probe']),
    ('tcp://127.0.0.1:8001', True, ['Listening', 'Probe']),
    ('notify', False, ['Notification']),
    ('notify', True, ['Listening', 'Notification']),
])
def test_what_is_watched_is_what_is_declared_and_in_a_surge_also_what_is_known(
        readiness, machine, value, surge, kinds):
    machine.listen(OLD, PORT)
    noted = readiness.note(process(OLD), declares(value), surge)
    watch = readiness.watch(process(0), declares(value), 0.2, lambda: None, noted)
    parts = [] if watch is None else getattr(watch, 'watches', [watch])
    assert [type(part).__name__ for part in parts] == kinds
    if watch is not None:
        assert (watch.ready, watch.early) == (False, value is not None)
        assert ('NOTIFY_SOCKET' in watch.environment) == (value == 'notify')
        for said in (watch.seen, watch.in_the_way()):
            assert 'where pid 4711 does' in said or not surge
        watch.close()
    assert readiness._watched == set() and readiness.options.socket_map == {}


@pytest.mark.parametrize('old, blind, seen', [
    (None, False, 'it had no predecessor'),
    (OLD, False, 'its predecessor listened nowhere'),
    (OLD, True, 'it cannot be seen who listens where: this is not Linux'),
])
def test_listen_is_running_where_nothing_is_known(readiness, machine, old, blind, seen):
    machine.blind = blind
    noted = readiness.note(process(old or 0), declares('listen'), False)
    watch = readiness.watch(process(), declares('listen'), 0.2, lambda: None, noted)
    assert (watch.ready, watch.early) == (True, False)
    assert watch.seen == 'is ready when it is RUNNING: ' + seen
