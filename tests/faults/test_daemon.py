"""What happens to supervisord during a restart: it stops, it reloads, its groups change."""

import signal
import time
import xmlrpc.client

import pytest

from supervisor_restarter.restart.faults import Faults
from tests.support.daemon import MANNERS, Daemon, group, wait_until
from tests.support.faults import Call, all_new, info, wait_phase
from tests.support.stress import pairs

pytestmark = pytest.mark.slow

WAYS = {
    'SIGTERM': lambda daemon: daemon.signal(signal.SIGTERM),
    'shutdown': lambda daemon: daemon.rpc.supervisor.shutdown(),  # supervisorctl shutdown
    'SIGHUP': lambda daemon: daemon.signal(signal.SIGHUP),
    'reload': lambda daemon: daemon.rpc.supervisor.restart(),  # supervisorctl reload
}


@pytest.mark.parametrize('way, phase, manner, startsecs, options', pairs(
    sorted(WAYS), [('stopping', 'late', 0, {}),
                   ('waiting', 'at once', 0, {'stagger_factor': 2, 'delay': 3}),
                   ('starting', 'at once', 3, {})]))
def test_a_restart_ends_with_supervisord_and_spawns_nothing(way, phase, manner, startsecs, options):
    with Daemon(group('web', 4, MANNERS[manner], startsecs), options, daemonize=True) as daemon:
        daemon.wait_running('web')
        call = Call(daemon, 'web')
        wait_phase(daemon, phase)
        begin = time.monotonic()
        WAYS[way](daemon)
        answer = call.result()
        assert isinstance(answer, OSError) or answer.faultCode == Faults.SHUTDOWN_STATE
        if way in ('SIGTERM', 'shutdown'):
            daemon.wait_ended()
        else:
            wait_until(lambda: daemon.log().count('supervisord started with pid') == 2, 'reload')
        since = daemon.log().split('SHUTDOWN_STATE: supervisord is stopping')[1]
        since = since.split("RPC interface 'supervisor' initialized")[0]
        assert "spawned: 'web" not in since
        assert time.monotonic() - begin < 5
        if way in ('SIGHUP', 'reload'):
            before = daemon.wait_running('web')
            daemon.rpc.restarter.restartProcessGroup('web', {'timeout': 30, 'delay': 0.2})
            assert all_new(before, daemon.wait_running('web'))
            cpu = daemon.cpu()
            time.sleep(1)  # the idle daemon is looked at for a second
            assert daemon.cpu() - cpu < 0.1


@pytest.mark.parametrize('added_again', [False, True])
def test_a_group_that_is_removed_ends_its_restart_and_a_new_one_is_not_touched(added_again):
    with Daemon(group('web', 2), {'stagger_factor': 2, 'delay': 3, 'timeout': 30}) as daemon:
        daemon.wait_running('web')
        call = Call(daemon, 'web')
        wait_phase(daemon, 'restarted')
        daemon.supervisorctl('stop', 'web:*')
        daemon.rpc.supervisor.removeProcessGroup('web')
        if added_again:
            daemon.rpc.supervisor.addProcessGroup('web')
            pids = daemon.wait_running('web')
        assert call.result().faultCode == Faults.BAD_GROUP
        if added_again:
            assert daemon.pids('web') == pids
        else:
            with pytest.raises(xmlrpc.client.Fault):
                info(daemon)


TWIDDLER = """
[rpcinterface:twiddler]
supervisor.rpcinterface_factory = supervisor_twiddler.rpcinterface:make_twiddler_rpcinterface
"""


def test_a_removed_process_is_not_spawned_and_an_added_one_is_left_alone():
    options = {'stagger_factor': 3, 'delay': 1, 'timeout': 30}
    with Daemon(group('web', 3), options, extra=TWIDDLER) as daemon:
        before = daemon.wait_running('web')
        call = Call(daemon, 'web')
        wait_phase(daemon, 'restarted')
        with daemon.connection() as rpc:
            assert info(daemon)['waiting'] == 2
            rpc.supervisor.stopProcess('web:web_000')
            rpc.twiddler.removeProcessFromGroup('web', 'web_000')
            rpc.twiddler.addProgramToGroup('web', 'added', {
                'command': MANNERS['at once'], 'startsecs': '0'})
            wait_until(lambda: daemon.states('web').get('added') == 'RUNNING', 'it is added')
            added = daemon.pids('web')['added']
        assert call.result() is True
        assert info(daemon)['removed'] == 1
        after = daemon.pids('web')
        assert set(after) == {'web_001', 'web_002', 'added'}
        assert after['added'] == added
        assert all(after[name] not in before.values() for name in ('web_001', 'web_002'))
