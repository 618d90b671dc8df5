"""What happens to supervisord during a restart: it stops, it reloads, its groups change."""

import contextlib
import signal
import xmlrpc.client

import pytest

from supervisor_restarter.restart.faults import Faults
from tests.support.daemon import MANNERS, group, running, wait_until
from tests.support.faults import (
    STARTING,
    STOP_AND_REMOVE,
    STOPPING,
    WAITING,
    Call,
    all_new,
    info,
    together,
    wait_finished,
    wait_phase,
    wait_reloaded,
)
from tests.support.residue import assert_nothing_is_left
from tests.support.stress import pairs

pytestmark = pytest.mark.slow

WAYS = {
    'SIGTERM': lambda daemon: daemon.signal(signal.SIGTERM),
    'shutdown': lambda daemon: daemon.rpc.supervisor.shutdown(),  # supervisorctl shutdown
    'SIGHUP': lambda daemon: daemon.signal(signal.SIGHUP),
    'reload': lambda daemon: daemon.rpc.supervisor.restart(),  # supervisorctl reload
}


@pytest.mark.parametrize('way, phase, manner, startsecs, options', pairs(
    sorted(WAYS), [STOPPING, WAITING, STARTING]))
def test_a_restart_ends_with_supervisord_and_spawns_nothing(way, phase, manner, startsecs, options):
    with running(group('web', 4, MANNERS[manner], startsecs), options,
                 daemonize=True) as (daemon, _):
        descriptors = daemon.descriptors_at_rest()
        call = Call(daemon, 'web')
        wait_phase(daemon, phase)
        WAYS[way](daemon)
        answer = call.result()
        assert isinstance(answer, OSError) or answer.faultCode == Faults.SHUTDOWN_STATE
        daemon.let_go()
        if way in ('SIGTERM', 'shutdown'):
            daemon.wait_ended()
        else:
            wait_reloaded(daemon)
        since = daemon.log().split('SHUTDOWN_STATE: supervisord is stopping')[1]
        since = since.split("RPC interface 'supervisor' initialized")[0]
        assert "spawned: 'web" not in since
        if way in ('SIGHUP', 'reload'):
            before = daemon.wait_running('web')
            daemon.rpc.restarter.restartProcessGroup('web', {'delay': 0.2})
            assert all_new(before, daemon.wait_running('web'))
            assert_nothing_is_left(daemon, descriptors)


# Takes as long to stop as the test wants; but one that is spawned once the file is there takes
# stopwaitsecs.
STUBBORN = ("/bin/sh -c 'if [ -e stubborn ]; then trap \"\" TERM; "
            "else trap \"until [ -e go ]; do sleep 0.05; done; exit 0\" TERM; fi; "
            "while :; do sleep 0.05; done'")


@pytest.mark.parametrize('way', [signal.SIGTERM, signal.SIGHUP])
def test_supervisord_ends_or_reloads_no_later_in_a_restart_than_without_one(way):
    with running(group('web', 4, STUBBORN, stopwaitsecs=60)) as (daemon, _):
        daemon.write_configuration('')  # so that nothing is there after a reload
        call = Call(daemon, 'web')
        wait_phase(daemon, 'stopping', 4)
        (daemon.folder / 'stubborn').touch()
        daemon.signal(way)
        daemon.let_go()
        if way == signal.SIGTERM:
            daemon.wait_ended()
        else:
            wait_reloaded(daemon)
        answer = call.result()
        assert isinstance(answer, OSError) or answer.faultCode == Faults.SHUTDOWN_STATE


def test_nothing_is_left_when_supervisord_reloads_at_once_since_all_is_down():
    with running(group('web', 2, startsecs=2), {'timeout': 30}, daemonize=True) as (daemon, _):
        descriptors = daemon.descriptors_at_rest()
        call = Call(daemon, 'web')
        wait_phase(daemon, 'starting', 2)
        # For a second the restart waits whether they start them again. supervisord has nothing to
        # wait for: there is no other pass before it closes its descriptors.
        with contextlib.suppress(OSError):  # its answer may not get out any more
            together(daemon, ('supervisor.stopProcessGroup', 'web'), ('supervisor.restart',))
        answer = call.result()
        assert isinstance(answer, OSError) or answer.faultCode == Faults.SHUTDOWN_STATE
        wait_reloaded(daemon)
        daemon.wait_running('web')
        assert_nothing_is_left(daemon, descriptors)


@pytest.mark.parametrize('added_again', [False, True])
def test_a_group_that_is_removed_ends_its_restart_and_a_new_one_is_not_touched(added_again):
    with running(group('web', 2), {'stagger_factor': 2, 'delay': 60}) as (daemon, _):
        descriptors = daemon.descriptors_at_rest()
        call = Call(daemon, 'web')
        wait_phase(daemon, 'restarted')
        adds = [('supervisor.addProcessGroup', 'web')] if added_again else []
        together(daemon, *STOP_AND_REMOVE, *adds)
        assert call.result().faultCode == Faults.BAD_GROUP
        if added_again:
            pids = daemon.wait_running('web')
            assert_nothing_is_left(daemon, descriptors)
            assert daemon.pids('web') == pids
            assert Call(daemon, 'web', {'delay': 0.1}).result() is True
        else:
            with pytest.raises(xmlrpc.client.Fault):
                info(daemon)


TWIDDLER = """
[rpcinterface:twiddler]
supervisor.rpcinterface_factory = supervisor_twiddler.rpcinterface:make_twiddler_rpcinterface
"""
LAST_HELD_BACK = MANNERS['held back'].replace('until', 'test $SUPERVISOR_PROCESS_NAME != web_002 '
                                              '|| until')


def test_a_removed_process_is_not_spawned_and_an_added_one_is_left_alone():
    with running(group('web', 3, LAST_HELD_BACK), extra=TWIDDLER) as (daemon, before):
        call = Call(daemon, 'web', {'max_unavailable': 1})
        wait_phase(daemon, 'stopping')
        together(daemon, ('supervisor.stopProcess', 'web:web_000'),
                 ('twiddler.removeProcessFromGroup', 'web', 'web_000'),
                 ('twiddler.addProgramToGroup', 'web', 'added', {
                     'command': MANNERS['at once'], 'startsecs': '0'}))
        wait_until(lambda: daemon.states('web').get('added') == 'RUNNING', 'it is added')
        added = daemon.pids('web')['added']
        daemon.let_go()
        assert call.result() is True
        wait_finished(daemon)
        assert info(daemon)['removed'] == 1
        after = daemon.pids('web')
        assert set(after) == {'web_001', 'web_002', 'added'}
        assert after['added'] == added
        assert all(after[name] not in before.values() for name in ('web_001', 'web_002'))
