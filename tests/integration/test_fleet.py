"""examples/ansible restarts a group on three hosts, and stops where a host fails."""

import pytest

from tests.support.fleet import BROKEN, GROUP, Fleet
from tests.support.stress import stress

pytest.importorskip('ansible', reason='ansible-core is not installed; it is in the extra "fleet"')
pytestmark = pytest.mark.slow

HOSTS, PROCESSES = 3, 4
NAMES = ['host%d' % number for number in range(1, HOSTS + 1)]
TWO_HOSTS = ['-e', 'supervisor_group=' + GROUP, '-e', '{"at_a_time": 2}',
             '-e', 'max_unavailable=2']


@pytest.fixture
def fleet():
    with Fleet(HOSTS, PROCESSES) as running:
        yield running


def touched(before, after, names=NAMES):
    """The number of processes that are not the ones from before."""
    return sum(after[host][name] != pid for host in names for name, pid in before[host].items())


def test_every_process_on_every_host_is_restarted(fleet):
    before = fleet.pids()
    outcome = fleet.playbook(*TWO_HOSTS)
    assert outcome.status == 0, outcome.output
    assert outcome.batches == 2
    assert outcome.hosts('changed') == NAMES, outcome.output
    for daemon in fleet.hosts.values():
        daemon.wait_running(GROUP)
    assert touched(before, fleet.pids()) == HOSTS * PROCESSES


def test_one_host_comes_first_when_nothing_else_is_said(fleet):
    fleet.release(BROKEN)
    before = fleet.pids()
    outcome = fleet.playbook('-e', 'supervisor_group=' + GROUP)
    assert outcome.hosts('failed') == ['host1'], outcome.output
    # A quarter of the processes.
    assert touched(before, fleet.pids(), ['host1']) == PROCESSES // 4
    assert touched(before, fleet.pids(), NAMES[1:]) == 0


def test_a_broken_release_touches_nothing_on_the_hosts_after_the_first_batch(fleet):
    fleet.release(BROKEN)
    before = fleet.pids()
    outcome = fleet.playbook(*TWO_HOSTS)
    after = fleet.pids()
    assert outcome.status != 0
    assert outcome.batches == 1
    assert outcome.hosts('failed') == ['host1', 'host2'], outcome.output
    assert outcome.hosts('changed') == [], outcome.output
    assert 'START_FAILED' in outcome.output and 'STOPPED_EARLY' in outcome.output
    assert [touched(before, after, [name]) for name in NAMES] == [2, 2, 0]
    for name in NAMES[2:]:
        assert set(fleet.hosts[name].states(GROUP).values()) == {'RUNNING'}


def test_new_before_old_a_broken_release_touches_nothing_on_any_host(fleet):
    fleet.release(BROKEN)
    before = fleet.pids()
    surge = ['-e', 'supervisor_group=' + GROUP, '-e', 'max_surge=25%', '-e', 'max_unavailable=0']
    outcome = fleet.playbook(*surge)
    assert outcome.hosts('failed') == ['host1'], outcome.output
    assert 'STOPPED_EARLY' in outcome.output
    assert touched(before, fleet.pids()) == 0


def test_a_host_whose_supervisord_is_down_stops_the_deployment(fleet):
    host = fleet.hosts['host2']
    host.process.terminate()
    host.wait_ended()
    rest = [name for name in NAMES if name != 'host2']
    before = fleet.pids(rest)
    outcome = fleet.playbook(*TWO_HOSTS)
    assert outcome.status != 0
    assert outcome.hosts('failed') == ['host2'], outcome.output
    assert touched(before, fleet.pids(rest), rest) == 0


@pytest.mark.stress
@pytest.mark.parametrize('other, failed', [('is down', 'host2'), ('runs', 'host1')])
def test_a_host_that_cannot_be_reached_stops_the_deployment(fleet, other, failed):
    if other == 'is down':
        host = fleet.hosts['host2']
        host.process.terminate()
        host.wait_ended()
    rest = NAMES[2:]
    before = fleet.pids(rest)
    outcome = fleet.playbook(*TWO_HOSTS, of_hosts={'host1': fleet.unreachable()})
    assert outcome.status != 0
    assert outcome.hosts('failed') == [failed], outcome.output
    assert outcome.batches == 1, outcome.output
    assert touched(before, fleet.pids(rest), rest) == 0


def test_a_host_that_is_lost_during_its_restart_stops_the_deployment(fleet):
    rest = NAMES[2:]
    before = fleet.pids(rest)
    outcome = fleet.playbook(*TWO_HOSTS, of_hosts={'host1': fleet.lost()})
    assert outcome.status != 0
    assert outcome.batches == 1, outcome.output
    assert 'host1' in outcome.hosts('failed'), outcome.output
    assert touched(before, fleet.pids(rest), rest) == 0


def test_a_check_says_what_would_be_restarted_and_restarts_nothing(fleet):
    before = fleet.pids()
    outcome = fleet.playbook('--check', *TWO_HOSTS)
    assert outcome.status == 0, outcome.output
    assert outcome.hosts('changed') == NAMES, outcome.output
    sentence = 'would restart web: %d processes, at most 2 down at once' % PROCESSES
    assert outcome.output.count(sentence) == HOSTS
    assert touched(before, fleet.pids()) == 0


@pytest.mark.parametrize('options', [[], *stress(['--check'])])
def test_a_group_that_a_host_does_not_have_is_said_and_restarts_nothing(fleet, options):
    before = fleet.pids()
    outcome = fleet.playbook('-e', 'supervisor_group=wep', *options)
    assert outcome.status != 0
    assert outcome.hosts('failed') == ['host1'], outcome.output
    assert 'wep: ERROR (no such group)' in outcome.output
    assert touched(before, fleet.pids()) == 0


@pytest.mark.stress
def test_a_group_with_a_process_that_is_down_is_restarted(fleet):
    for daemon in fleet.hosts.values():
        daemon.rpc.supervisor.stopProcess(GROUP + ':web_000')
    outcome = fleet.playbook(*TWO_HOSTS)
    assert outcome.status == 0, outcome.output
    for daemon in fleet.hosts.values():
        assert set(daemon.states(GROUP).values()) == {'RUNNING'}
