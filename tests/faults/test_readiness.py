"""What is at a process's address, or comes to its socket, does not get at supervisord."""

import os
import resource
import shutil
import signal
import sys

import pytest

from supervisor_restarter.daemon.socket_map import SPARE
from tests.support.daemon import MANNERS, Daemon, free_ports, running, wait_until
from tests.support.faults import (
    STOP_AND_REMOVE,
    Call,
    Caller,
    all_new,
    info,
    together,
    wait_finished,
)
from tests.support.readiness import PROGRAMS, declaring, temporary_folder

pytestmark = pytest.mark.slow

PATIENCE = 3  # seconds that a restart waits for a process that is not ready
STARTED = 6  # and for one that has to be listening by then, on a busy machine

FLOOD = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    while 'NOTIFY_SOCKET' in os.environ:
        try:
            sender.sendto(b'STATUS=x', os.environ['NOTIFY_SOCKET'])
        except OSError:
            break
time.sleep(100000)
"""


SEEN = {  # what is at an address, and what is seen of it
    'says_nothing': ' has not answered within 1 second',
    'a_megabyte': ' answered with more than 65536 bytes of headers',
    'a_megabyte_of_headers': ' answered with more than 65536 bytes of headers',
    'a_byte_at_a_time': ' has not answered within 1 second',
    'rubbish': ' answered what is not HTTP',
    'a_tls_record': ' answered what is not HTTP',
    'a_reset': '',
    'does_not_accept': ' has not answered within 1 second',
}


def talkers(*ways):
    """A group `web` of servers, each of which talks in one of these ways."""
    return '[group:web]\nprograms = %s\n' % ','.join(ways) + ''.join(
        declaring('%s %s %d %s' % (sys.executable, PROGRAMS / 'talker.py', port, way),
                  'http://127.0.0.1:%d/' % port).replace('[program:web]', '[program:%s]' % way)
        for way, port in zip(ways, free_ports(len(ways))))


def test_whatever_is_at_the_address_others_are_answered_and_nothing_is_left():
    with running(talkers(*SEEN), loglevel='info') as (daemon, before):
        descriptors = daemon.descriptors_at_rest()
        with Caller(daemon) as caller:
            answer = Call(daemon, 'web', {'timeout': STARTED}).result()
        assert {fault['code'] for fault in answer} == {0x460} and len(answer) == len(SEEN)
        for fault in answer:
            assert '/' + SEEN[fault['name'][:-2]] in fault['text'], fault
        assert all_new(before, daemon.wait_running('web'))
        assert caller.held < 0.5
        assert daemon.descriptors_at_rest() == descriptors
        assert 'Traceback' not in daemon.output()


def test_messages_without_end_do_not_hold_the_main_loop():
    daemon = Daemon(declaring('%s flood.py' % sys.executable, 'notify'))
    (daemon.folder / 'flood.py').write_text(FLOOD)
    with daemon:
        daemon.wait_running('web')
        Call(daemon, 'web', {'timeout': 1}).result()
        descriptors = daemon.descriptors_at_rest(sockets=1)  # as long as its process lives
        with Caller(daemon) as caller:
            answer = Call(daemon, 'web', {'timeout': PATIENCE}).result()
        assert 'has not sent READY=1' in answer[0]['text']
        assert caller.held < 0.5
        assert daemon.descriptors_at_rest(sockets=1) == descriptors


@pytest.mark.stress
@pytest.mark.skipif(not shutil.which('perl'), reason='no perl: a thousand Pythons are too many')
def test_a_thousand_processes_are_asked_and_nothing_is_left():
    # An address of the loopback network where no other test takes one of so many ports.
    host = '127.1.%d.%d' % divmod(os.getpid() % 65536, 256)
    command = ("perl -e 'use Socket; socket(S, PF_INET, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, "
               'SO_REUSEADDR, 1); bind(S, sockaddr_in(shift, inet_aton("%s"))) or die; '
               "listen(S, 9); while (accept(C, S)) { close(C) }' %%(process_num)d" % host)
    programs = declaring(command, 'tcp://%s:%%(process_num)d' % host, numprocs=1000,
                         numprocs_start=10000, stdout_logfile='NONE', stderr_logfile='NONE')
    with Daemon(programs, minfds=8192, loglevel='info') as daemon:
        daemon.wait_running('web', 300)
        descriptors = daemon.descriptors_at_rest()
        with Caller(daemon, pause=0.1) as caller:
            assert Call(daemon, 'web', {'timeout': 600}).result(600) is True
        assert daemon.log().count('spawned: ') == 2000
        # A main loop that is held until all are there answers the first one and the last.
        assert len(caller.waits) >= 10
        assert daemon.descriptors_at_rest() == descriptors


# Nothing is left in the temporary folder, whatever ends the restart and its processes

def stop(daemon):
    daemon.rpc.supervisor.stopProcessGroup('web')


def cancel(daemon):
    daemon.rpc.restarter.cancelRestart('web')
    stop(daemon)


def kill(daemon):
    for pid in daemon.pids('web').values():
        os.kill(pid, signal.SIGKILL)


def remove(daemon):
    together(daemon, *STOP_AND_REMOVE)


def reload(daemon):
    daemon.signal(signal.SIGHUP)


def end(daemon):
    daemon.signal(signal.SIGTERM)
    daemon.wait_ended()


def temporary(daemon):
    return list((daemon.folder / 'tmp').iterdir())


@pytest.mark.parametrize('ends', [stop, cancel, kill, remove, reload, end])
def test_nothing_is_left_in_the_temporary_folder_however_it_ends(ends):
    daemon = Daemon(declaring(MANNERS['at once'], 'notify', numprocs=3))
    temporary_folder(daemon)
    with daemon:
        daemon.wait_running('web')
        Call(daemon, 'web', {'timeout': 1}).result()
        wait_finished(daemon)
        assert temporary(daemon)  # as long as they live
        daemon.rpc.restarter.restartProcessGroup('web', {'timeout': 60, 'wait': False})
        wait_until(lambda: len(info(daemon)['awaiting']) == 3, 'all are awaited')
        assert temporary(daemon)
        ends(daemon)
        with daemon.turning():
            wait_until(lambda: temporary(daemon) == [], 'the folder is empty')


@pytest.mark.parametrize('kind', ['notify', 'http'])
def test_the_last_descriptors_are_for_the_process_that_has_to_come_up(kind):
    programs = talkers('a_redirect') if kind == 'http' else declaring(MANNERS['at once'], kind)
    with running(programs) as (daemon, before):
        hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[1]
        # Enough for a process, and for the client; all that are free are among the last ones.
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (SPARE + 4, hard))
        answer = Call(daemon, 'web', {'timeout': STARTED}).result()
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (hard, hard))
        after = daemon.wait_running('web')
        assert [fault['code'] for fault in answer] == [0x460]
        assert 'Too many open files' in answer[0]['text']
        assert all_new(before, after)


def test_what_is_down_has_the_descriptors_before_the_sockets_of_others():
    # Where notify took one for each, there would be none for the pipes of the last ones.
    size, limit = 16, 100
    programs = declaring(MANNERS['at once'], 'notify', size, startretries=0, autorestart='false')
    with running(programs, minfds=limit,
                 prefix=['prlimit', '--nofile=%d:%d' % (limit, limit)]) as (daemon, before):
        answer = Call(daemon, 'web', {'timeout': PATIENCE}).result()
        assert {fault['code'] for fault in answer} == {0x460}
        assert any('Too many open files' in fault['text'] for fault in answer)
        assert all_new(before, daemon.wait_running('web'))
