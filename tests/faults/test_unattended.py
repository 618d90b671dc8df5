"""A caller that is gone in the middle of a restart, with nobody else there who turns the loop."""

import http.client
import socket
import threading

import pytest

from tests.support.daemon import MANNERS, Daemon, group, wait_until
from tests.support.faults import all_new, no_process_has_two_lives

CALL = (b'<?xml version="1.0"?><methodCall><methodName>restarter.restartProcessGroup</methodName>'
        b'<params><param><value><string>web</string></value></param></params></methodCall>')


def calling(daemon):
    """Return a connection that waits for the answer to a restart of web."""
    connection = http.client.HTTPConnection('localhost')
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(daemon.url[len('unix://'):])
    connection.request('POST', '/RPC2', CALL, {'Content-Type': 'text/xml'})
    return connection


@pytest.mark.parametrize('spawned, told_to_stop, manner, startsecs, options', [
    pytest.param(0, 4, 'late', 0, {}, id='while all stop'),
    pytest.param(2, 2, 'at once', 0, {'stagger_factor': 2, 'delay': 1}, id='between two batches'),
    pytest.param(4, 4, 'at once', 1, {}, id='while all start'),
])
@pytest.mark.parametrize('attended', [False, True])
def test_a_restart_goes_on_without_its_caller(
        attended, spawned, told_to_stop, manner, startsecs, options):
    with Daemon(group('web', 4, MANNERS[manner], startsecs), options) as daemon:
        before = daemon.wait_running('web')
        begin, ended = len(daemon.log()), threading.Event()

        def stands_there():
            # Only the log is looked at: a call would turn the loop.
            log = daemon.log()[begin:]
            return (log.count("spawned: 'web_") == spawned
                    and log.count('DEBG killing web_') == told_to_stop)

        def attend():
            with daemon.connection() as rpc:
                while not ended.wait(0.02):
                    rpc.supervisor.getState()
        thread = threading.Thread(target=attend)
        connection = calling(daemon)
        if attended:
            thread.start()
        try:
            wait_until(stands_there, 'the restart stands there')
            connection.close()
            assert 'restarter: web: restarted' not in daemon.log()
            wait_until(lambda: 'restarter: web: restarted 4 of 4' in daemon.log(), 'its end')
        finally:
            ended.set()
            if attended:
                thread.join()
        assert all_new(before, daemon.wait_running('web'))
        no_process_has_two_lives(daemon)
