"""[supervisord] user=: what the plugin needs is read before supervisord gives up root."""

import os
import xmlrpc.client

import pytest

from tests.support.daemon import MANNERS, Daemon, group, plugged, wait_until
from tests.support.faults import wait_finished
from tests.support.load import fetch
from tests.support.readiness import slow_starters


@pytest.mark.parametrize('kind', ['http', 'notify'])
def test_nothing_of_the_plugin_or_of_python_is_read_after_the_configuration(kind):
    programs, _ = slow_starters(0.1, kind, numprocs=2)
    programs += group('broken', 1, MANNERS['exits 1'], startsecs=1, startretries=0)
    with plugged('latecomers', programs, {'page': 'true'}) as daemon:
        daemon.wait_running('web')
        assert fetch(daemon.folder / 's.sock', path='/restarter/').status == 200
        with daemon.connection() as rpc:
            for options in ({}, {'reread': True}, {'max_unavailable': 1}, {'max_surge': 1}):
                for name in ('web', 'broken'):
                    rpc.restarter.restartProcessGroup(name, dict(options, wait=False))
                    wait_finished(daemon, name)
            daemon.write_configuration('[program:no\x7fcommand]\n')
            with pytest.raises(xmlrpc.client.Fault, match='CANT_REREAD: .*x7fcommand'):
                rpc.restarter.updateProcessGroup('web', {'dry_run': True})
            assert rpc.latecomers.getOpened() == []


@pytest.mark.skipif(os.getuid() != 0, reason='only root can become another user')
def test_supervisord_starts_and_restarts_as_nobody():
    daemon = Daemon(group('web', 2), {'page': 'true'})
    text = daemon.configuration.read_text()
    daemon.configuration.write_text(text.replace('[supervisord]', '[supervisord]\nuser = nobody'))
    daemon.folder.chmod(0o777)
    with daemon:
        before = daemon.wait_running('web')
        assert daemon.rpc.restarter.restartProcessGroup('web', {'max_unavailable': 1}) is True
        assert not set(before.values()) & set(daemon.wait_running('web').values())
        assert daemon.supervisorctl('reload').returncode == 0
        wait_until(lambda: daemon.log().count("RPC interface 'restarter' initialized") == 2,
                   'it is there again')
        daemon.wait_running('web')
        assert os.stat('/proc/%d' % daemon.pid).st_uid != 0
