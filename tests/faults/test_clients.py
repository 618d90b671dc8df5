"""What happens to the client, or to the time that it gave, does not happen to the processes."""

import http.client
import socket

import pytest

from supervisor_restarter.restart.faults import Faults
from tests.support.daemon import MANNERS, group, running, wait_until
from tests.support.faults import (
    STARTING,
    STOPPING,
    WAITING,
    Call,
    all_new,
    no_process_has_two_lives,
    wait_finished,
    wait_phase,
)

CALL = (b'<?xml version="1.0"?><methodCall><methodName>restarter.restartProcessGroup</methodName>'
        b'<params><param><value><string>web</string></value></param></params></methodCall>')


def calling(daemon):
    """Return a connection that waits for the answer to a restart of web."""
    connection = http.client.HTTPConnection('localhost')
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(daemon.url[len('unix://'):])
    connection.request('POST', '/RPC2', CALL, {'Content-Type': 'text/xml'})
    return connection


@pytest.mark.parametrize('spawned, told_to_stop, phase', [
    pytest.param(0, 4, STOPPING, id='while all stop'),
    pytest.param(2, 2, WAITING, id='between two batches'),
    pytest.param(4, 4, STARTING, id='while all start'),
])
def test_a_restart_whose_caller_is_gone_goes_on_though_nobody_turns_the_loop(
        spawned, told_to_stop, phase):
    _, manner, startsecs, options = phase
    with running(group('web', 4, MANNERS[manner], startsecs), options) as (daemon, before):
        begin = len(daemon.log())

        def stands_there():
            # Only the log is looked at: a call would turn the loop.
            log = daemon.log()[begin:]
            return (log.count("spawned: 'web_") == spawned
                    and log.count('DEBG killing web_') == told_to_stop)

        connection = calling(daemon)
        wait_until(stands_there, 'the restart stands there')
        connection.close()
        assert 'restarter: web: restarted' not in daemon.log()
        daemon.let_go()
        wait_until(lambda: 'restarter: web: restarted 4 of 4' in daemon.log(), 'its end')
        assert all_new(before, daemon.wait_running('web'))
        no_process_has_two_lives(daemon)


# Stops when it is let go, and writes a line for each time that it is told to stop.
NOTES = ("/bin/sh -c 'trap \"echo $$ >> notes; until [ -e go ]; do sleep 0.05; done; exit 0\" "
         "TERM; while :; do sleep 0.02; done'")


def test_when_the_time_is_up_the_call_ends_nothing_more_is_stopped_and_all_come_up():
    options = {'timeout': 0.3, 'stagger_factor': 2, 'delay': 0.5}
    with running(group('web', 4, NOTES), options) as (daemon, before):
        fault = Call(daemon, 'web').result()  # though they do not stop yet
        assert fault.faultCode == Faults.TIMEOUT
        assert '4 of 4 processes pending (2 waiting, 2 stopping)' in fault.faultString
        daemon.let_go()
        wait_finished(daemon)
        after = daemon.wait_running('web')
        assert sorted(name for name in before if before[name] != after[name]) == [
            'web_002', 'web_003']
        assert len((daemon.folder / 'notes').read_text().split()) == 2


def test_a_second_restart_is_refused_over_each_server_and_disturbs_nothing():
    with running(group('web', 2, MANNERS['held back']), inet=True) as (daemon, before):
        first = Call(daemon, 'web')
        wait_phase(daemon, 'stopping', 2)
        for url in (daemon.unix_url, daemon.inet_url):
            fault = Call(daemon, 'web', url=url).result()
            assert fault.faultCode == Faults.RESTART_IN_PROGRESS
        daemon.let_go()
        assert first.result() is True
        assert all_new(before, daemon.pids('web'))
