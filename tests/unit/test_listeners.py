"""Who listens where, as this machine tells it; and what it does not tell."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest

from supervisor_restarter.daemon import listeners as module
from supervisor_restarter.daemon.listeners import (
    PASS,
    Address,
    CannotSee,
    Listeners,
    Table,
    accepted,
    fixed,
    target,
)
from tests.support.daemon import free_port, wait_until
from tests.support.world import Clock

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='only Linux tells it')

# Listens in a child of its child, and says so: PORT, with SO_REUSEPORT.
GRANDCHILD = """
import os, socket, sys, time
if os.fork() == 0 and os.fork() == 0:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(('127.0.0.1', int(sys.argv[1])))
    listening.listen()
    print('listens', os.getpid(), flush=True)
time.sleep(1000)
"""


@pytest.fixture
def sockets():
    """Listen at an address; returns the inode of the socket."""
    with contextlib.ExitStack() as stack:
        def listen(address, family=None, v6only=None, reuse=False):
            if family is None:
                family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
            made = stack.enter_context(socket.socket(family))
            if v6only is not None:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
            if reuse:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            made.bind(address)
            made.listen()
            return os.fstat(made.fileno()).st_ino
        yield listen


@pytest.fixture
def family():
    """A process whose child's child listens; its id, the inode, and the id of that one."""
    with spawned([sys.executable, '-c', GRANDCHILD]) as (pid, port, last):
        inode, = Listeners().table().at(Address('127.0.0.1', port))
        yield pid, inode, last


@contextlib.contextmanager
def spawned(command):
    port = free_port()
    process = subprocess.Popen([*command, str(port)], stdout=subprocess.PIPE,
                               start_new_session=True)
    try:
        yield process.pid, port, int(process.stdout.readline().split()[1])
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize('listens, covered, others', [
    (Address('127.0.0.1', 80), ['127.0.0.1'], ['127.0.0.2', '0.0.0.0', '::1', '::']),
    (Address('0.0.0.0', 80), ['127.0.0.1', '0.0.0.0'], ['::1', '::']),
    (Address('::', 80), ['127.0.0.1', '0.0.0.0', '::1', '::'], []),
    (Address('::', 80, v6only=True), ['::1'], ['127.0.0.1', '0.0.0.0', '::']),
    (Address('::1', 80), ['::1'], ['::', '127.0.0.1']),
])
def test_who_listens_everywhere_covers_an_address(listens, covered, others):
    assert [host for host in covered + others if listens.covers(Address(host, 80))] == covered
    assert not any(listens.covers(Address(host, 81)) for host in covered)
    assert Address('::', 80).covers(Address('::', 80, v6only=True))


def test_each_kind_of_socket_that_listens_is_seen_and_no_other(sockets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    port = free_port()
    wanted = {
        sockets(('127.0.0.1', port)): Address('127.0.0.1', port),
        sockets(('0.0.0.0', free_port())): None,
        sockets(('::1', port), socket.AF_INET6): Address('::1', port),
        sockets(('::', free_port()), socket.AF_INET6, v6only=True): None,
        sockets(('::ffff:127.0.0.2', port), socket.AF_INET6, v6only=False):
            Address('127.0.0.2', port),
        sockets(str(tmp_path / 's')): Address(str(tmp_path / 's')),
        sockets('\0web.%d' % port): Address('@web.%d' % port),
        sockets('relative'): Address('relative'),
    }
    with socket.socket() as silent:
        silent.bind(('127.0.0.3', port))
        seen = Listeners().table()
        assert os.fstat(silent.fileno()).st_ino not in seen.addresses
    for inode, address in wanted.items():
        assert address in (None, seen.addresses[inode])
    assert [seen.addresses[inode].v6only for inode in wanted].count(True) == 1
    assert seen.at(Address(str(tmp_path / 'relative'))) == {list(wanted)[-1]}
    assert list(map(str, (Address('::1', 80), Address('@x'), Address('/x')))) == [
        '[::1]:80', 'unix:@x', 'unix:/x']


def test_the_nearest_socket_gets_a_connection(sockets):
    port = free_port()
    everywhere = sockets(('::', port), socket.AF_INET6, v6only=False, reuse=True)
    ipv4 = sockets(('0.0.0.0', port), reuse=True)
    near = sockets(('127.0.0.1', port), reuse=True)
    table = Listeners().table()

    def at(family, host):
        return table.at(target(family, (host, port)))
    assert at(socket.AF_INET, '127.0.0.1') == at(socket.AF_INET, '0.0.0.0') == {near}
    assert at(socket.AF_INET6, '::ffff:127.0.0.1') == {near}
    assert at(socket.AF_INET, '127.0.0.2') == {ipv4}
    assert at(socket.AF_INET6, '::1') == {everywhere}
    assert table.covering(Address('127.0.0.1', port)) == {everywhere, ipv4, near}
    assert table.at(Address('127.0.0.1', free_port())) == set()


@pytest.mark.parametrize('diag', [True, False])
def test_a_path_is_his_whose_socket_is_there_now(sockets, tmp_path, monkeypatch, diag):
    if not diag:  # a kernel without unix_diag
        dump = module._dump

        def without(request):
            if request[0] == socket.AF_UNIX:
                raise FileNotFoundError(2, 'No such file or directory')
            return dump(request)
        monkeypatch.setattr(module, '_dump', without)
    path = str(tmp_path / 's')
    old = sockets(path)
    assert Listeners().table().at(Address(path)) == {old}
    os.unlink(path)
    new = sockets(path)
    assert Listeners().table().at(Address(path)) == ({new} if diag else {old, new})


def test_a_socket_of_a_descendant_is_the_processes(family):
    pid, inode, last = family
    listeners = Listeners()
    assert listeners.held(pid, {inode}) == listeners.held(last, {inode}) == {inode}
    with spawned([sys.executable, '-c', GRANDCHILD]) as (other, _, _):
        assert listeners.held(other, {inode}) == set()
    wait_until(lambda: listeners.owner(inode) == last, 'it is found')


def test_where_the_kernel_does_not_name_children_they_are_found_by_their_parents(
        family, monkeypatch):
    pid, inode, _ = family
    read, exists = module._read_file, os.path.exists

    def without(path, inside):
        if path.endswith('/children'):
            raise FileNotFoundError
        return read(path, inside)
    monkeypatch.setattr(module, '_read_file', without)
    monkeypatch.setattr(os.path, 'exists', lambda path: 'children' not in path and exists(path))
    assert Listeners().held(pid, {inode}) == {inode}


def test_an_id_that_has_come_again_is_not_taken_for_the_child(family, monkeypatch):
    _, inode, last = family
    with spawned([sys.executable, '-c', GRANDCHILD]) as (other, _, _):
        monkeypatch.setattr(module, '_children', lambda pid, folder: (1, [last]))
        assert Listeners().held(other, {inode}) == set()


def test_what_has_ended_has_nothing():
    ended, listeners = subprocess.Popen([sys.executable, '-c', '']), Listeners()
    wait_until(lambda: open('/proc/%d/stat' % ended.pid).read().split()[2] == 'Z', 'it has ended')
    assert listeners.held(ended.pid, listeners.table().addresses) == set()
    ended.wait()
    for pid in (ended.pid, 0):
        assert listeners.held(pid, listeners.table().addresses) == set()


def test_a_program_with_many_descriptors_is_looked_at_for_a_bounded_time(sockets, monkeypatch):
    inode = sockets(('127.0.0.1', free_port()))
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.socket())
        last = sockets(('127.0.0.1', free_port()))
        monkeypatch.setattr(module, 'MOST', 200)
        assert Listeners().held(os.getpid(), {inode, last}) == {inode}


def test_ports_that_the_system_gives_away_and_names_of_one_run_are_not_the_next_ones(monkeypatch):
    monkeypatch.setattr(module, '_given_away', lambda: (32768, 60999, frozenset({50052})))
    kept = [Address('127.0.0.1', 32767), Address('::', 50051), Address('127.0.0.1', 50052),
            Address('/run/web.sock'), Address('/run/web.47110.sock'), Address('@web')]
    others = [Address('127.0.0.1', 40000), Address('127.0.0.1', 50505), Address('@0a1b2'),
              Address('/run/web.4711.sock'), Address('/tmp/pymp-x1_2/listener-ab'),
              Address('@4711')]
    assert fixed(kept + others, 4711, 'serve --port 50051', module._given_away()) == sorted(kept)


@pytest.mark.parametrize('family, address, to', [
    (socket.AF_INET, ('127.0.0.1', 0), ''), (socket.AF_INET6, ('::', 0), '127.0.0.1'),
    (socket.AF_INET6, ('::1', 0), ''), (socket.AF_UNIX, '', '')])
def test_who_has_accepted_a_connection(tmp_path, family, address, to):
    with socket.socket(family) as listening:
        listening.bind(address or str(tmp_path / 's'))
        listening.listen()
        where = listening.getsockname()
        with socket.socket(socket.AF_INET if to else family) as connection:
            connection.connect((to, where[1]) if to else where)
            assert accepted(connection) == 0
            with listening.accept()[0] as theirs:
                assert accepted(connection) == os.fstat(theirs.fileno()).st_ino
            assert accepted(connection) == 0


# Where it cannot be seen

def fails(error):
    def dump(*arguments):
        raise error
    return dump


@pytest.mark.parametrize('platform, error, why', [
    ('darwin', None, 'this is not Linux'),
    ('linux', PermissionError(1, 'Operation not permitted'),
     'the system does not tell which sockets listen (Operation not permitted)')])
def test_where_it_is_not_told_that_is_said_once(monkeypatch, platform, error, why):
    lines = []
    monkeypatch.setattr(sys, 'platform', platform)
    monkeypatch.setattr(module, '_dump', fails(error))
    listeners = Listeners(lines.append)
    for _ in range(2):
        with pytest.raises(CannotSee, match=re.escape(why)):
            listeners.table()
    assert lines == ['restarter: it cannot be seen who listens where: ' + why]


def test_where_there_is_no_descriptor_it_can_be_seen_later(monkeypatch):
    listeners = Listeners(pytest.fail)
    with monkeypatch.context() as patch:
        patch.setattr(module, '_dump', fails(OSError(24, 'Too many open files')))
        with pytest.raises(OSError, match='Too many'):
            listeners.table()
    assert listeners.table()


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which('setpriv'), reason='root has these rights')
def test_a_process_of_another_user_is_hidden_without_the_right_to_see():
    look = """
from supervisor_restarter.daemon.listeners import *
import sys
pid, port = map(int, sys.argv[1:])
listeners = Listeners(print)
try:
    print(listeners.held(pid, listeners.table().at(Address('127.0.0.1', port))))
except CannotSee as why:
    print(why)
"""
    def seen(*rights):
        return subprocess.run([*rights, sys.executable, '-c', look, str(pid), str(port)],
                              stdout=subprocess.PIPE, universal_newlines=True).stdout
    without = ['setpriv', '--bounding-set=-sys_ptrace']
    # It becomes nobody when it runs: not everybody may read the Python of the tests.
    nobody = 'import os, socket, sys, time\nos.setgroups([])\nos.setuid(65534)\n'
    with spawned([sys.executable, '-c', nobody + GRANDCHILD]) as (pid, port, last):
        assert re.search(r'supervisord may not look into pid (%d|%d) \(that takes CAP_SYS_PTRACE\)'
                         % (pid, last), seen(*without))
        assert seen().startswith('{')
    with spawned([*without, sys.executable, '-c', GRANDCHILD]) as (pid, port, _):
        assert seen(*without).startswith('{')


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which('unshare'), reason='root may do it')
def test_a_process_in_another_network_is_said_to_be():
    sleeping = subprocess.Popen(['unshare', '--net', 'sleep', '1000'])
    ours = os.stat('/proc/self/ns/net').st_ino
    try:
        wait_until(lambda: os.stat('/proc/%d/ns/net' % sleeping.pid).st_ino != ours, 'it is there')
        with pytest.raises(CannotSee, match='pid %d is in another network' % sleeping.pid):
            Listeners().held(sleeping.pid, {1})
    finally:
        sleeping.kill()
        sleeping.wait()


@pytest.mark.parametrize('later, age, again', [
    (0.001, {}, False), (0.1, {}, True), (0.02, {'age': PASS}, False), (0.1, {'age': PASS}, True)])
def test_what_listens_is_read_again_after_a_while(monkeypatch, later, age, again):
    clock = Clock()
    listeners = Listeners(clock=clock)
    monkeypatch.setattr(listeners, '_read', lambda: Table({}, {}))
    first = listeners.table()
    clock.forward(later)
    assert (listeners.table(**age) is not first) == again


def test_somebody_is_looked_for_a_little_at_a_time(sockets, monkeypatch):
    inode = sockets(('127.0.0.1', free_port()))
    monkeypatch.setattr(module, 'AT_A_TIME', 2)
    listeners = Listeners()
    listeners.table()
    asked, there = 0, len(os.listdir('/proc'))
    deadline = time.monotonic() + 20
    while listeners.owner(inode, 2) != os.getpid():
        asked += 1
        assert time.monotonic() < deadline
    assert asked <= there  # half of it, and those that have come
    other = Listeners()
    assert other.owner(inode, 100000) == os.getpid()
