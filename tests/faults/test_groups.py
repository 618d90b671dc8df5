"""Several groups at once, and commands of somebody else that are for the whole group."""

import subprocess
import time

import pytest

from tests.support.daemon import Daemon, group
from tests.support.faults import (
    Call,
    all_new,
    info,
    no_process_has_two_lives,
    wait_finished,
    wait_phase,
)
from tests.support.stress import pairs

pytestmark = pytest.mark.slow

SECOND = "/bin/sh -c 'trap \"sleep 1; exit 0\" TERM; while :; do sleep 0.05; done'"


def test_three_groups_at_once_restart_side_by_side():
    names = ['one', 'two', 'three']
    with Daemon('\n'.join(group(name, 3, SECOND) for name in names), inet=True) as daemon:
        before = {name: daemon.wait_running(name) for name in names}
        begin = time.monotonic()
        calls = {name: Call(daemon, name, url=url) for name, url in zip(
            names, [daemon.unix_url, daemon.inet_url, daemon.unix_url])}
        assert [call.result() for call in calls.values()] == [True, True, True]
        # One after the other they need three seconds, and each a second for itself.
        assert time.monotonic() - begin < 2.5
        for name in names:
            assert all_new(before[name], daemon.pids(name))
            assert info(daemon, name)['elapsed'] < 2.0


@pytest.mark.parametrize('theirs, phase, command, startsecs, options', pairs(
    ['stop', 'start', 'restart'],
    [('waiting', '/bin/sleep 100000', 0, {'stagger_factor': 2, 'delay': 1, 'timeout': 30}),
     ('stopping', SECOND, 0, {'timeout': 30}),
     ('starting', '/bin/sleep 100000', 2, {'timeout': 30})]))
def test_a_command_of_somebody_else_for_the_group_ends_and_so_does_the_restart(
        theirs, phase, command, startsecs, options):
    with Daemon(group('web', 4, command, startsecs), options) as daemon:
        daemon.wait_running('web')
        call = Call(daemon, 'web')
        wait_phase(daemon, phase)
        done = daemon.supervisorctl(theirs, 'web:*', timeout=30)
        assert 'Traceback' not in done.stdout + done.stderr
        # On a busy machine their command may come when all is over.
        is_late = info(daemon)['state'] == 'FINISHED'
        answer = call.result()
        faults = [] if answer is True else [fault['name'] for fault in answer]
        assert len(faults) == len(set(faults))
        wait_finished(daemon)
        if theirs == 'stop':
            # Those that they stopped stay so, each with a fault; we do not fight.
            states = daemon.states('web')
            assert is_late or sorted(
                name for name in states if states[name] != 'RUNNING') == sorted(faults)
        else:
            daemon.wait_running('web')
        no_process_has_two_lives(daemon)


@pytest.mark.parametrize('theirs', ['restart web:*', 'restart web:web_000', 'stop web:*'])
def test_a_restart_that_finds_somebody_else_at_work_leaves_both_content(theirs):
    with Daemon(group('web', 4, SECOND), {'timeout': 15}) as daemon:
        before = daemon.wait_running('web')
        command = subprocess.Popen(
            [str(daemon.scripts / 'supervisorctl'), '-c', str(daemon.configuration),
             *theirs.split()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            daemon.wait_state('web', 'web_000', 'STOPPING')
            assert Call(daemon, 'web').result() is True
            command.wait(20)  # It waits for ever for a process that it did not see down.
        finally:
            command.kill()
            command.wait()
        assert all_new(before, daemon.wait_running('web'))
        no_process_has_two_lives(daemon)
