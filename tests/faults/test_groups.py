"""Several groups at once, and commands of somebody else that are for the whole group."""


import pytest

from tests.support.daemon import MANNERS, Daemon, group, running
from tests.support.faults import (
    STARTING,
    STOPPING,
    WAITING,
    Call,
    all_new,
    info,
    no_process_has_two_lives,
    wait_finished,
    wait_phase,
)
from tests.support.stress import pairs

pytestmark = pytest.mark.slow


def test_three_groups_at_once_restart_side_by_side():
    names = ['one', 'two', 'three']
    with Daemon('\n'.join(group(name, 3, MANNERS['held back']) for name in names),
                inet=True) as daemon:
        before = {name: daemon.wait_running(name) for name in names}
        calls = [Call(daemon, name, url=url) for name, url in zip(
            names, [daemon.unix_url, daemon.inet_url, daemon.unix_url])]
        for name in names:
            wait_phase(daemon, 'stopping', 3, name)
        daemon.let_go()
        assert [call.result() for call in calls] == [True, True, True]
        assert all(all_new(before[name], daemon.pids(name)) for name in names)


@pytest.mark.parametrize('theirs, phase, manner, startsecs, options', pairs(
    ['stop', 'start', 'restart'], [WAITING, STOPPING, STARTING]))
def test_a_command_of_somebody_else_for_the_group_ends_and_so_does_the_restart(
        theirs, phase, manner, startsecs, options):
    with running(group('web', 4, MANNERS[manner], startsecs), options) as (daemon, _):
        call = Call(daemon, 'web')
        wait_phase(daemon, phase)
        done = daemon.supervisorctl(theirs, 'web:*', timeout=30)
        assert 'Traceback' not in done.stdout + done.stderr
        # On a busy machine their command may come when all is over.
        is_late = info(daemon)['state'] == 'FINISHED'
        daemon.let_go()
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
    with running(group('web', 4, MANNERS['held back']), {'timeout': 15}) as (daemon, before):
        command = daemon.begin('supervisorctl', *theirs.split())
        try:
            daemon.wait_state('web', 'web_000', 'STOPPING')
            call = Call(daemon, 'web')
            wait_phase(daemon, 'stopping', 4)
            daemon.let_go()
            assert call.result() is True
            command.wait(20)  # It waits for ever for a process that it did not see down.
        finally:
            command.kill()
            command.wait()
        assert all_new(before, daemon.wait_running('web'))
        no_process_has_two_lives(daemon)
