"""Some of the processes of a group, then the rest, in a real supervisord."""

import xmlrpc.client

import pytest

from tests.support.daemon import MANNERS, Daemon, group
from tests.support.faults import Call, wait_phase

ONE = {'max_unavailable': 1}


def restart(daemon, **options):
    with daemon.connection() as rpc:
        return rpc.restarter.restartProcessGroup('web', options)


def refused(daemon, **options):
    with pytest.raises(xmlrpc.client.Fault) as fault:
        restart(daemon, **options)
    return fault.value.faultString


def changed(daemon, before):
    """The names of the processes that are other ones than before."""
    return sorted(name for name, pid in daemon.pids('web').items() if before[name] != pid)


def test_a_canary_then_a_broken_release_then_the_rest():
    program = "/bin/sh -c 'test -e broken && exit 3; exec sleep 1000'"
    with Daemon(group('web', 8, program, startsecs=1)) as daemon:
        before = daemon.wait_running('web')
        assert restart(daemon, processes=['web_003'], **ONE) is True
        assert changed(daemon, before) == ['web_003']
        (daemon.folder / 'broken').touch()
        faults = restart(daemon, resume=True)
        assert [fault['code'] for fault in faults] == [0x430, 0x450]
        failed = faults[0]['name']
        now = daemon.pids('web')
        assert sum(now[name] == before[name] for name in before) == 6
        (daemon.folder / 'broken').unlink()
        assert restart(daemon, resume=True) is True
        after = daemon.pids('web')
        assert sorted(changed(daemon, before)) == sorted(before)
        assert after['web_003'] == now['web_003'] and failed != 'web_003'
        assert refused(daemon, resume=True) == (
            'NO_RESTART: web: its last restart has left nothing to resume')


def test_what_a_cancelled_restart_has_left_is_resumed_with_its_options():
    with Daemon(group('web', 4, MANNERS['held back'])) as daemon:
        before = daemon.wait_running('web')
        call = Call(daemon, 'web', ONE)
        wait_phase(daemon, 'stopping', 1)
        with daemon.connection() as rpc:
            rpc.restarter.cancelRestart('web')
        daemon.let_go()
        call.result()
        assert changed(daemon, before) == ['web_003']
        first = daemon.pids('web')
        assert restart(daemon, resume=True) is True
        assert changed(daemon, first) == ['web_000', 'web_001', 'web_002']
        assert 'restarting 3 processes, rolling, at most 1 down' in daemon.log()


@pytest.mark.parametrize('options', [{}, ONE, {'max_surge': 1}, {'reread': True}],
                         ids=['all at once', 'rolling', 'surge', 'reread'])
def test_only_running_leaves_what_somebody_has_stopped(options):
    with Daemon(group('web', 3, startsecs=1)) as daemon:
        before = daemon.wait_running('web')
        daemon.supervisorctl('stop', 'web:web_001')
        assert restart(daemon, only_running=True, **options) is True
        assert daemon.states('web')['web_001'] == 'STOPPED'
        assert changed(daemon, dict(before, web_001=0)) == ['web_000', 'web_002']


def test_an_update_of_some_leaves_the_others_to_the_next():
    with Daemon(group('web', 3)) as daemon:
        before = daemon.wait_running('web')
        daemon.write_configuration(group('web', 3, MANNERS['at once'].replace('sleep', 'sleep 1')))
        with daemon.connection() as rpc:
            assert rpc.restarter.updateProcessGroup('web', {'processes': ['web_001']}) is True
            assert changed(daemon, before) == ['web_001']
            assert {slot['name']: slot['action'] for slot in rpc.restarter.updateProcessGroup(
                'web', {'dry_run': True})} == {
                    'web_000': 'replace', 'web_001': 'keep', 'web_002': 'replace'}


def test_what_is_wrong_is_said_in_a_sentence_and_nothing_is_touched():
    with Daemon(group('web', 2)) as daemon:
        before = daemon.wait_running('web')
        assert refused(daemon, processes=['web_7']) == (
            'INCORRECT_PARAMETERS: web: has no process web_7')
        assert refused(daemon, resume=True) == (
            'NO_RESTART: web: has not been restarted, so there is nothing to resume')
        assert daemon.pids('web') == before
