"""A real supervisord restarts real processes."""

import math

import pytest

from tests.support.daemon import MANNERS, Daemon, group, running, wait_until
from tests.support.faults import QUICK, all_new, restart, together
from tests.support.residue import assert_nothing_is_left
from tests.support.stress import pairs
from tests.support.surge import Watch, ears


def seconds_to_restart(daemon, limit):
    """Restart web until it takes less than the limit, ten times at most, as the machine may be
    busy with others; return the seconds that the last one took. Each time all have to be new.
    """
    for _ in range(10):
        before = daemon.wait_running('web')
        answer, seconds = restart(daemon, 'web', {'timeout': 120})
        assert answer is True
        assert all_new(before, daemon.pids('web'))
        if seconds < limit:
            break
    return seconds


@pytest.mark.parametrize('numprocs', [1, 10, 100])
def test_all_processes_are_new_and_the_loop_has_not_slept(numprocs):
    with Daemon(group('web', numprocs)) as daemon:
        limit = QUICK if numprocs < 100 else math.inf
        assert seconds_to_restart(daemon, limit) < limit


@pytest.mark.parametrize('servers, daemonize', pairs(
    [{}, {'unix': False, 'inet': True}, {'inet': True},
     {'inet': True, 'username': 'user', 'password': '123'}], [False, True]))
def test_through_each_http_server_in_the_foreground_and_daemonized(servers, daemonize):
    with running(group('web', 2), daemonize=daemonize, **servers) as (daemon, before):
        for url in filter(None, (daemon.unix_url, daemon.inet_url)):
            with daemon.connection(url) as rpc:
                assert rpc.restarter.restartProcessGroup('web') is True
            after = daemon.pids('web')
            assert all_new(before, after)
            before = after


@pytest.mark.parametrize('options, least', [
    ({'stagger_factor': 3, 'delay': 0.3}, 0.6), ({'max_unavailable': 1}, 0.0)])
def test_the_configured_pacing_is_kept(options, least):
    with Daemon(group('web', 3), options) as daemon:
        assert least <= seconds_to_restart(daemon, least + QUICK) < least + QUICK


def test_a_process_that_stops_late_is_waited_for_and_no_longer():
    with Daemon(group('web', 2, MANNERS['late'])) as daemon:
        assert seconds_to_restart(daemon, 0.5 + QUICK) < 0.5 + QUICK


@pytest.mark.parametrize('manner, startsecs, outcome', [
    ('no such program', 0, 'SPAWN_ERROR'),
    ('exits 1', 1, 'START_FAILED'),
    ('exits 0', 0, None),
])
def test_a_program_that_does_not_stay_is_a_fault_of_its_own(manner, startsecs, outcome):
    programs = '[group:web]\nprograms = good,bad\n' + group('good', 2, startsecs=1) + group(
        'bad', 1, MANNERS[manner], startsecs=startsecs, autorestart='false', startretries=0)
    with Daemon(programs) as daemon:
        wait_until(lambda: daemon.states('web')['good_001'] == 'RUNNING', 'good is up')
        wait_until(lambda: daemon.states('web')['bad_000'] in ('FATAL', 'EXITED'), 'bad is down')
        answer, _ = restart(daemon, 'web')
        if outcome is None:
            assert answer is True
        else:
            assert [(fault['name'], fault['group'], fault['text'].split(': ')[0])
                    for fault in answer] == [('bad_000', 'web', outcome)]
        assert daemon.states('web')['good_000'] == 'RUNNING'


def test_an_event_listener_pool_is_restarted(tmp_path):
    with Daemon(ears(tmp_path / 'heard') + 'startsecs = 0\n') as daemon:
        before = daemon.wait_running('ears')
        assert restart(daemon, 'ears')[0] is True
        assert all_new(before, daemon.pids('ears'))


def test_through_multicall():
    with Daemon(group('web', 2) + group('api', 2)) as daemon:
        before = dict(daemon.wait_running('web'), **daemon.wait_running('api'))
        assert together(daemon, ('restarter.restartProcessGroup', 'web'),
                        ('restarter.getAPIVersion',),
                        ('restarter.restartProcessGroup', 'api')) == [True, '3.3', True]
        assert all_new(before, dict(daemon.pids('web'), **daemon.pids('api')))


def test_rolling_never_takes_more_down_than_the_limit():
    with running(group('web', 5, startsecs=1)) as (daemon, before):
        with Watch(daemon, 'web') as watch:
            assert restart(daemon, 'web', {'max_unavailable': 2})[0] is True
        assert all_new(before, daemon.pids('web'))
        assert watch.fewest_up >= 3


def test_a_broken_release_leaves_the_other_old_processes_serving_and_nothing_of_ours(tmp_path):
    program = tmp_path / 'program'
    program.write_text('#!/bin/sh\nexec sleep 100000\n')
    program.chmod(0o755)
    with running(group('web', 10, str(program), startsecs=1, startretries=0)) as (daemon, before):
        descriptors = daemon.descriptors_at_rest()
        program.write_text('#!/bin/sh\nexit 1\n')
        answer, _ = restart(daemon, 'web', {'max_unavailable': 2})
        assert [fault['text'].split(':')[0] for fault in answer] == [
            'START_FAILED', 'START_FAILED', 'STOPPED_EARLY']
        assert daemon.pids('web') == dict(before, web_008=0, web_009=0)
        # The two that failed have given back one pipe each for input, output and errors.
        assert_nothing_is_left(daemon, descriptors - 2 * 3)


@pytest.mark.parametrize('options', [{'max_unavailable': 1}, {'max_surge': 1}, {'reread': True}])
def test_only_running_leaves_what_somebody_has_stopped(options):
    with running(group('web', 3)) as (daemon, _):
        daemon.supervisorctl('stop', 'web:web_001')
        before = daemon.pids('web')
        assert restart(daemon, 'web', dict(options, only_running=True))[0] is True
        assert daemon.states('web')['web_001'] == 'STOPPED'
        after = daemon.pids('web')
        assert [name for name in after if after[name] != before[name]] == ['web_000', 'web_002']
