"""The old process, an orphan of it, or a stranger that listens is never taken for the new one."""

import contextlib
import os
import re
import shutil
import signal
import socket
import sys

import pytest

from tests.support.daemon import Daemon, free_port, free_ports, running, wait_until
from tests.support.faults import Call, all_new, sabotaged
from tests.support.load import Load
from tests.support.readiness import PROGRAMS, SLOW_STARTER, declaring, serves, slow_starters

# A server for whoever may not see this Python: its argument is the port.
PERL = ('perl -e "use Socket; socket(S, PF_INET, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, '
        'SO_REUSEADDR, 1); bind(S, sockaddr_in(shift, INADDR_LOOPBACK)) or die; listen(S, 9); '
        'while (accept(C, S)) { close(C) }"')
SURGE = {'max_surge': 1, 'timeout': 20}
WHERE = r'does not listen on 127\.0\.0\.1:%d, where pid %d does'


@contextlib.contextmanager
def servers(kind='http', numprocs=2, undeclared=False, startsecs=0, start=Daemon, files=()):
    """A supervisord whose group `web` serves; and its ports."""
    programs, ports = slow_starters(0.3, kind, numprocs, startsecs)
    if undeclared:
        programs = programs.replace('RESTARTER_READY', 'NOTHING')
    daemon = start(programs)
    for name in files:
        (daemon.folder / name).touch()
    with daemon:
        daemon.wait_running('web')
        wait_until(lambda: all(map(answers, ports)), 'all serve')
        yield daemon, ports


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 2):
        return True


@pytest.mark.parametrize('kind, undeclared, release', [
    ('http', False, 'good'), ('tcp', False, 'broken'), ('tcp', True, 'good')])
def test_with_a_fixed_port_a_surge_fails_and_names_who_has_it_and_every_old_one_serves(
        kind, undeclared, release):
    with servers(kind, undeclared=undeclared, startsecs=1) as (daemon, ports):
        before = daemon.pids('web')
        if release == 'broken':
            (daemon.folder / 'broken').touch()
        with Load(('127.0.0.1', ports[1]), clients=1, pause=0.01) as load:
            fault, settled = Call(daemon, 'web', SURGE).result()
        name = 'web_%d' % ports[1]
        assert fault['name'] == name
        assert re.search(WHERE % (ports[1], before[name]), fault['text'])
        assert settled['text'].startswith('STOPPED_EARLY')
        assert daemon.pids('web') == before and all(map(answers, ports))
        assert kind == 'tcp' or load.counts().failed == 0


@pytest.mark.parametrize('release', ['good', 'broken'])
def test_with_so_reuseport_it_is_the_new_one_that_has_to_answer(release):
    with servers('http', startsecs=1, files=['reuse_port']) as (daemon, ports):
        before = daemon.pids('web')
        if release == 'broken':
            (daemon.folder / 'broken').touch()
        answer = Call(daemon, 'web', SURGE).result()
        if release == 'good':
            assert answer is True
            assert all_new(before, daemon.pids('web'))
        else:
            assert daemon.pids('web') == before
        assert all(map(serves, ports))


def test_one_that_serves_on_a_path_is_refused_before_it_has_a_successor():
    with servers('unix', numprocs=1) as (daemon, _):
        path = daemon.folder / '0.sock'
        wait_until(path.exists, 'it serves')
        before = daemon.pids('web')
        done = daemon.restart_group('--max-surge', '1', 'web')
        assert done.returncode == 2
        assert ('web:web_0: with --max-surge its successor would take unix:%s away, on which pid '
                '%d listens' % (path, before['web_0'])) in done.stderr
        assert 'web_0.new' not in daemon.log()
        assert daemon.pids('web') == before
        assert Call(daemon, 'web').result() is True  # stop first, it is the new one's


# Wrappers, and two of the same address

@contextlib.contextmanager
def wrapped(last, **more):
    """A shell that leaves the server that it has started when it is told to stop; its port, and the
    id of the server."""
    port = free_port()
    programs = declaring("/bin/sh -c '%s %d & %s'" % (PERL, port, last),
                         'tcp://127.0.0.1:%d' % port, startsecs=1, **more.pop('settings', {}))
    daemon = Daemon(programs, **more)
    daemon.folder.chmod(0o777)
    with daemon:
        leader = daemon.wait_running('web')['web_0']
        wait_until(lambda: answers(port), 'it serves')
        try:
            yield daemon, port, leader
        finally:
            os.killpg(leader, signal.SIGKILL)


@pytest.mark.parametrize('last, code', [('wait', 0x430), ('sleep 1000', 0x460)])
def test_an_orphan_that_has_the_port_is_named_when_it_is_in_the_way(last, code):
    with wrapped(last) as (daemon, port, leader):
        answer = Call(daemon, 'web', {'timeout': 6}).result()
        assert [fault['code'] for fault in answer] == [code]
        owner = re.search(r'127\.0\.0\.1:%d is listened on by (?:pid (\d+)|another process)' % port,
                          answer[0]['text']).group(1)
        # Among many processes its id may not have been found yet (daemon/listeners.py: owner).
        assert owner is None or os.getpgid(int(owner)) == leader


def test_two_that_declare_one_address_are_not_both_ready_by_it():
    port = free_port()
    programs = declaring('%s 0 tcp %d' % (SLOW_STARTER, port), 'tcp://127.0.0.1:%d' % port, 2,
                         autorestart='false')
    with Daemon(programs) as daemon:
        wait_until(lambda: answers(port), 'one serves')
        answer = Call(daemon, 'web', {'timeout': 20}).result()
        assert len(answer) == 1
        # Where the other one has bound the address and does not listen yet, nobody can be named.
        assert ('127.0.0.1:%d is listened on by pid ' % port in answer[0]['text']
                or 'Address already in use' in answer[0]['text'])


# Nothing has to be declared but that it listens

def test_listen_is_ready_when_it_listens_where_it_did():
    programs, ports = slow_starters('go', 'tcp', 2)
    programs = re.sub('RESTARTER_READY="[^"]*"', 'RESTARTER_READY="listen"', programs)
    with Daemon(programs) as daemon:
        daemon.let_go()
        daemon.wait_running('web')
        wait_until(lambda: all(map(answers, ports)), 'all serve')
        (daemon.folder / 'go').unlink()
        seen = 'does not listen on 127.0.0.1:%d, where pid %d did' % (
            ports[1], daemon.pids('web')['web_%d' % ports[1]])
        call = Call(daemon, 'web', {'max_unavailable': 1})
        wait_until(lambda: seen in str(daemon.rpc.restarter.getRestartInfo('web')['awaiting']),
                   'it is awaited')
        assert answers(ports[0])
        daemon.let_go()
        assert call.result() is True
        assert all(map(answers, ports))
        assert 'web_%d: ready: listens on 127.0.0.1:%d' % (ports[1], ports[1]) in daemon.log()


# Where it cannot be seen

CANNOT = 'restarter: it cannot be seen who listens where: '


def assert_stop_first_works_and_a_surge_is_refused(daemon, ports, why):
    before = daemon.pids('web')
    done = daemon.restart_group('--max-surge', '1', 'web')
    assert done.returncode == 2
    assert re.search(r'with --max-surge it cannot be seen whether the new process answers at '
                     r'127\.0\.0\.1:\d+, or the old one: ' + why, done.stderr), done.stderr
    assert daemon.pids('web') == before
    for _ in range(2):
        assert Call(daemon, 'web', {'max_unavailable': 1, 'timeout': 20}).result() is True
        assert all(map(answers, ports))
    assert daemon.log().count(CANNOT) == 1


def test_where_it_is_not_linux_an_address_is_believed_that_nobody_answered_before():
    with servers('http', start=sabotaged) as (daemon, ports):
        daemon.rpc.saboteur.leaveLinux()
        assert_stop_first_works_and_a_surge_is_refused(daemon, ports, 'this is not Linux')


without_rights = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which('setpriv'), reason='root has the rights to lose')
BLINDED = ['setpriv', '--bounding-set=-sys_ptrace']


@without_rights
def test_without_the_right_to_see_an_address_is_believed_where_somebody_new_listens():
    ports = free_ports(2)
    programs = declaring(PERL + ' %(process_num)d', 'tcp://127.0.0.1:%(process_num)d', 2,
                         numprocs_start=ports[0], user='nobody')
    daemon = Daemon(programs, prefix=BLINDED)
    daemon.folder.chmod(0o777)
    with daemon:
        daemon.wait_running('web')
        wait_until(lambda: all(map(answers, ports)), 'all serve')
        assert_stop_first_works_and_a_surge_is_refused(
            daemon, ports, r'supervisord may not look into pid \d+ \(that takes CAP_SYS_PTRACE\)')


@without_rights
def test_without_the_right_to_see_an_orphan_is_not_believed():
    with wrapped('sleep 1000', settings={'user': 'nobody'}, prefix=BLINDED) as (
            daemon, port, _):
        answer = Call(daemon, 'web', {'timeout': 4}).result()
        assert '127.0.0.1:%d is listened on by' % port in answer[0]['text']


# What notifies is heard as long as it lives

LATER = """
import os, socket, sys, time
def say():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])
if 'NOTIFY_SOCKET' in os.environ:
    say()
    while not os.path.exists('go'):
        time.sleep(0.05)
    for worker in range(3):  # recycled, one by one
        if os.fork() == 0:
            for _ in range(300):
                say()
            open('said.%d' % worker, 'w').close()
            os._exit(0)
        os.wait()
time.sleep(1000)
"""


def test_a_worker_that_is_recycled_later_can_still_say_that_it_is_ready():
    daemon = Daemon(declaring('%s later.py' % sys.executable, 'notify', numprocs=1))
    (daemon.folder / 'later.py').write_text(LATER)
    with daemon:
        daemon.wait_running('web')
        assert Call(daemon, 'web').result() is True
        (daemon.folder / 'go').touch()
        wait_until((daemon.folder / 'said.2').exists, 'all three have said it')
        descriptors = daemon.descriptors_at_rest(sockets=1)
        (daemon.folder / 'go').unlink()
        assert Call(daemon, 'web').result() is True
        assert daemon.descriptors_at_rest(sockets=1) == descriptors


@pytest.mark.skipif(os.getuid() != 0, reason='only root may do it')
def test_what_root_runs_may_become_another_user_before_it_says_so():
    command = '%s later.py' % sys.executable
    daemon = Daemon(declaring(command, 'notify'))
    daemon.folder.chmod(0o755)
    (daemon.folder / 'later.py').write_text(
        'import os, socket, sys, time\nos.setgroups([])\nos.setuid(65534)\n' + LATER)
    with daemon:
        daemon.wait_running('web')
        assert Call(daemon, 'web').result() is True


def test_a_server_on_a_unix_socket_is_asked_by_its_name():
    ready = 'http://unix:%(here)s/web.sock:/health",RESTARTER_READY_HOST="www.example.org'
    command = '%s %s web.sock knows_its_name' % (sys.executable, PROGRAMS / 'talker.py')
    with running(declaring(command, ready)) as (daemon, _):
        assert Call(daemon, 'web').result() is True
