"""examples/rolling keeps its promise: it is restarted while it serves."""

import re

import pytest

from tests.support.daemon import wait_until
from tests.support.load import fetch
from tests.support.rolling_example import BROKEN, EXAMPLE, GROUP, RollingExample

pytestmark = pytest.mark.slow

ENOUGH = 5000  # requests; of so many, one may fail
README = (EXAMPLE / 'README.md').read_text(encoding='utf-8')
(COMMAND, OUTPUT), (ONE_PROCESS, _) = re.findall(
    r'^\$ supervisorctl_restart_group -c supervisord\.conf (.*)\n(.*)\n', README, re.MULTILINE)


@pytest.fixture
def example():
    with RollingExample() as running:
        running.wait_serving()
        yield running


def test_a_rolling_restart_refuses_no_connection_and_fails_at_most_1_request_in_5000(example):
    before = example.pids(GROUP)
    with example.load(clients=6) as load:
        done = example.restart_group(*COMMAND.split())
        wait_until(lambda: load.counts().requests >= ENOUGH, 'enough requests', 60)
    assert (done.stdout, done.stderr, done.returncode) == (OUTPUT + '\n', '', 0)
    assert not set(before.values()) & set(example.wait_running(GROUP).values())
    counts = load.counts()
    assert counts.refused == 0, counts
    assert counts.failed * ENOUGH <= counts.requests, counts


def test_requests_fail_when_all_are_down_at_once(example):
    # What the test above would see if the restart were not rolling.
    with example.load(clients=6) as load:
        example.supervisorctl('restart', GROUP + ':*')
    assert load.counts().failed > 0


def test_a_release_that_runs_and_is_not_ready_costs_one_process_and_no_request(example):
    before = example.pids(GROUP)
    text = (EXAMPLE / 'app.py').read_text(encoding='utf-8')
    example.release(text.replace("b'READY=1'", "b'STATUS=waiting for the database'"))
    with example.load(clients=6, pause=0.02) as load:
        done = example.restart_group('--max-unavailable', '1', '--timeout', '3', GROUP)
    counts = load.counts()
    assert done.returncode == 1
    assert 'NOT_READY' in done.stderr and 'has not sent READY=1' in done.stderr
    assert 'STOPPED_EARLY' in done.stderr
    after = example.pids(GROUP)
    assert sum(after[name] == before[name] for name in before) == 3
    assert counts.requests > 0
    assert counts.failed == 0, counts


def test_the_next_release_takes_the_place_of_a_broken_one(example):
    example.release(BROKEN)
    assert example.restart_group('--max-unavailable', '1', GROUP).returncode == 1
    old = set(example.pids(GROUP).values())
    example.release((EXAMPLE / 'app.py').read_text(encoding='utf-8'))
    with example.load(clients=6, pause=0.02) as load:
        done = example.restart_group('--max-unavailable', '1', GROUP)
    assert (done.stdout, done.returncode) == ('%s: restarted\n' % GROUP, 0)
    assert load.counts().failed == 0, load.counts()
    new = set(example.wait_running(GROUP).values())
    assert not old & new
    assert int(fetch(example.address).body) in new


@pytest.fixture
def single():
    with RollingExample(numprocs=1) as running:
        running.wait_serving()
        yield running


def test_one_process_is_deployed_five_times_and_at_most_1_request_in_5000_fails(single):
    with single.load(clients=6) as load:
        wait_until(lambda: load.counts().requests >= 1000, 'some requests', 60)
    alone = load.counts().slowest
    pids = {single.pids(GROUP)['web_0']}
    with single.load(clients=6) as load:
        for _ in range(5):
            done = single.restart_group(*ONE_PROCESS.split())
            assert (done.stdout, done.stderr, done.returncode) == (OUTPUT + '\n', '', 0)
            pids.add(single.pids(GROUP)['web_0'])
        wait_until(lambda: load.counts().requests >= ENOUGH, 'enough requests', 60)
    counts = load.counts()
    assert len(pids) == 6
    assert counts.refused == 0, counts
    # uvicorn resets a connection that it has accepted in the moment of the signal.
    assert set(counts.reasons) <= {'ConnectionResetError, new connection',
                                   'RemoteDisconnected, new connection'}, counts
    assert counts.failed * ENOUGH <= counts.requests, counts
    print('slowest request: %.3f s alone, %.3f s with five deploys; %d requests, %d repeated' % (
        alone, counts.slowest, counts.requests, counts.retried))
