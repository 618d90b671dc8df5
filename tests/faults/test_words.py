"""The fault of a process that does not come up says what it wrote last, in every way."""

import os
import signal

import pytest

from supervisor_restarter.restart.faults import Faults
from tests.support.daemon import running, wait_until
from tests.support.faults import Call, sabotaged
from tests.support.stress import pairs
from tests.support.surge import programs

pytestmark = pytest.mark.slow

BROKEN = '#!/bin/sh\necho starting\necho "$1: 1\n\n$1: 2\n$1: 3" >&2\nexit 1\n'
ENDED = 'START_FAILED: Exited too quickly (process log may have details)'
WAYS = [{}, {'max_unavailable': 1}, {'max_surge': 1}]


@pytest.mark.parametrize('kind, options, way', pairs([
    ('program', {}), ('program', {'redirect_stderr': 'true'}),
    ('program', {'stdout_syslog': 'true'}),
    ('program', {'stderr_logfile': 'AUTO', 'stderr_logfile_maxbytes': 100}), ('eventlistener', {})],
    WAYS))
def test_one_that_ends_at_once(kind, options, way, tmp_path):
    release = tmp_path / 'release'
    release.write_text('#!/bin/sh\nexec /bin/sleep 100000\n')
    release.chmod(0o755)
    with running(sabotaged(programs(kind, 1, '%s err' % release, **options))) as (daemon, pids):
        daemon.rpc.saboteur.setStartsecs('web', list(pids), 3600)  # however slow the machine is
        release.write_text(BROKEN)
        answer = Call(daemon, 'web', dict(way, timeout=30)).result()
        assert answer[0]['text'] == ENDED + '; it said last: err: 1 | err: 2 | err: 3'


@pytest.mark.parametrize('way', WAYS)
def test_one_whose_folder_is_gone(way, tmp_path):
    folder = tmp_path / 'current'
    folder.mkdir()
    with running(sabotaged(programs('program', 1, directory=folder))) as (daemon, pids):
        daemon.rpc.saboteur.setStartsecs('web', list(pids), 3600)
        folder.rmdir()
        answer = Call(daemon, 'web', dict(way, timeout=30)).result()
        assert answer[0]['text'] == (
            "%s; it said last: supervisor: couldn't chdir to %s: ENOENT" % (ENDED, folder))


@pytest.mark.parametrize('way', WAYS)
def test_one_that_does_not_become_ready(way, tmp_path):
    command = '/bin/sh -c "echo no database >&2; exec /bin/sleep 100000"'
    with running(programs('program', 1, command, startsecs=0,
                          environment='RESTARTER_READY="notify"')) as (daemon, _):
        answer = Call(daemon, 'web', dict(way, timeout=2)).result()
        assert answer[0]['code'] == Faults.NOT_READY
        assert answer[0]['text'].endswith('has not sent READY=1; it said last: no database')


def test_one_that_leaves_again_while_others_wait_for_their_turn():
    command = '/bin/sh -c "echo no database >&2; exec /bin/sleep 100000"'
    with running(programs('program', 2, command, autorestart='false')) as (daemon, old):
        call = Call(daemon, 'web', {'stagger_factor': 2, 'delay': 100, 'timeout': 200})
        info = daemon.rpc.restarter.getRestartInfo
        wait_until(lambda: info('web')['restarted'] == 1, 'one has restarted')
        (name, pid), = (new for new in daemon.pids('web').items() if new[1] != old[new[0]])
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: info('web')['faults'], 'it is missed')
        daemon.rpc.restarter.cancelRestart('web')
        assert call.result()[0]['text'] == (
            'START_FAILED: ended by a signal; it said last: no database')
