"""A real supervisord restarts real processes."""

import math
import socket
import threading
import time

import pytest

from tests.support.daemon import MANNERS, Daemon, free_port, group, wait_until
from tests.support.faults import QUICK, all_new, restart, seconds_to_restart
from tests.support.stress import pairs


@pytest.mark.parametrize('numprocs', [1, 10, 100])
def test_all_processes_are_new_and_the_loop_has_not_slept(numprocs):
    with Daemon(group('web', numprocs)) as daemon:
        limit = QUICK if numprocs < 100 else math.inf
        assert seconds_to_restart(daemon, limit) < limit


@pytest.mark.parametrize('servers, daemonize', pairs(
    [{}, {'unix': False, 'inet': True}, {'inet': True},
     {'inet': True, 'username': 'user', 'password': '123'}], [False, True]))
def test_through_each_http_server_in_the_foreground_and_daemonized(servers, daemonize):
    with Daemon(group('web', 2), daemonize=daemonize, **servers) as daemon:
        before = daemon.wait_running('web')
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


def test_a_process_that_never_stops_is_killed_on_time():
    with Daemon(group('web', 2, MANNERS['never'], stopwaitsecs=1)) as daemon:
        assert 1.0 <= seconds_to_restart(daemon, 1.0 + QUICK) < 1.0 + QUICK


@pytest.mark.parametrize('manner, startsecs, outcome', [
    ('no such program', 1, 'SPAWN_ERROR'),
    ('no such program', 0, 'SPAWN_ERROR'),
    ('exits 1', 1, 'START_FAILED'),
    ('exits 0', 1, 'START_FAILED'),
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


def test_a_group_of_several_programs_goes_by_their_priorities():
    programs = ('[group:web]\nprograms = last,first\n' + group('first', 2, priority=1)
                + group('last', 2, priority=2))
    with Daemon(programs) as daemon:
        before = daemon.wait_running('web')
        assert restart(daemon, 'web')[0] is True
        assert all_new(before, daemon.pids('web'))
        log = daemon.log()[daemon.log().index('restarter: web: restarting'):]
        killed = [line.split('killing ')[1].split()[0] for line in log.splitlines()
                  if 'killing ' in line]
        assert killed == ['last_001', 'last_000', 'first_001', 'first_000']


LISTENER = """
import sys
while True:
    sys.stdout.write('READY\\n')
    sys.stdout.flush()
    head = dict(pair.split(':') for pair in sys.stdin.readline().split())
    sys.stdin.read(int(head['len']))
    sys.stdout.write('RESULT 2\\nOK')
    sys.stdout.flush()
"""


def test_an_event_listener_pool_is_restarted(tmp_path):
    script = tmp_path / 'listener.py'
    script.write_text(LISTENER)
    programs = """
        [eventlistener:pool]
        command = python3 %s
        events = TICK_5
        process_name = %%(program_name)s_%%(process_num)d
        numprocs = 2
        startsecs = 0
    """ % script
    with Daemon(programs) as daemon:
        before = daemon.wait_running('pool')
        assert restart(daemon, 'pool')[0] is True
        assert all_new(before, daemon.pids('pool'))


def test_the_shared_socket_of_fcgi_programs_refuses_no_connection():
    port = free_port()
    programs = """
        [fcgi-program:web]
        socket = tcp://127.0.0.1:%d
        command = /bin/sleep 100000
        process_name = %%(program_name)s_%%(process_num)d
        numprocs = 3
        startsecs = 0
    """ % port
    with Daemon(programs) as daemon:
        before = daemon.wait_running('web')
        refused, ended = [], threading.Event()

        def knock():
            while not ended.is_set():
                with socket.socket() as client:
                    if client.connect_ex(('127.0.0.1', port)):
                        refused.append(time.monotonic())
                time.sleep(0.001)
        thread = threading.Thread(target=knock)
        thread.start()
        try:
            for _ in range(5):
                assert restart(daemon, 'web')[0] is True
        finally:
            ended.set()
            thread.join()
        assert refused == []
        assert all_new(before, daemon.pids('web'))


def test_through_multicall():
    with Daemon(group('web', 2) + group('api', 2)) as daemon:
        before = dict(daemon.wait_running('web'), **daemon.wait_running('api'))
        calls = [('restartProcessGroup', ['web']), ('getAPIVersion', []),
                 ('restartProcessGroup', ['api'])]
        with daemon.connection() as rpc:
            assert rpc.system.multicall([
                {'methodName': 'restarter.' + name, 'params': arguments}
                for name, arguments in calls]) == [True, '3.3', True]
        assert all_new(before, dict(daemon.pids('web'), **daemon.pids('api')))


def test_every_method_has_its_signature_and_help():
    with Daemon(group('web', 1)) as daemon, daemon.connection() as rpc:
        methods = [name for name in rpc.system.listMethods() if name.startswith('restarter.')]
        assert methods == ['restarter.cancelRestart', 'restarter.getAPIVersion',
                           'restarter.getPluginVersion', 'restarter.getRestartInfo',
                           'restarter.restartProcessGroup', 'restarter.updateProcessGroup']
        assert [rpc.system.methodSignature(name) for name in methods] == [
            ['boolean', 'string'], ['string'], ['string'], ['struct', 'string', 'boolean'],
            ['boolean', 'string', 'struct'], ['boolean', 'string', 'struct']]
        assert all('@return' in rpc.system.methodHelp(name) for name in methods)


def test_groups_are_restarted_side_by_side():
    names = ['a', 'b', 'c']
    with Daemon('\n'.join(group(name, 2, startsecs=2) for name in names)) as daemon:
        before = {name: daemon.wait_running(name) for name in names}
        with daemon.connection() as rpc:
            for name in names:
                assert rpc.restarter.restartProcessGroup(name, {'wait': False}) is True
            infos = [rpc.restarter.getRestartInfo(name) for name in names]
            assert [info['state'] for info in infos] == ['RESTARTING'] * 3
            for name in names:
                wait_until(lambda name=name: rpc.restarter.getRestartInfo(name)['state']
                           == 'FINISHED', '%s has restarted' % name)
                assert rpc.restarter.getRestartInfo(name)['elapsed'] < 2 + QUICK
        assert all(all_new(before[name], daemon.pids(name)) for name in names)


def test_rolling_never_takes_more_down_than_the_limit():
    with Daemon(group('web', 5, startsecs=1)) as daemon:
        before = daemon.wait_running('web')
        looks, ended = [], threading.Event()

        def look():
            with daemon.connection() as rpc:
                while not ended.wait(0.01):
                    looks.append(sum(info['statename'] == 'RUNNING'
                                     for info in rpc.supervisor.getAllProcessInfo()))
        thread = threading.Thread(target=look)
        thread.start()
        try:
            answer, seconds = restart(daemon, 'web', {'max_unavailable': 2})
        finally:
            ended.set()
            thread.join()
        assert answer is True
        assert all_new(before, daemon.pids('web'))
        assert min(looks) >= 3
        assert 3 <= seconds < 3 + 3 * QUICK


def test_a_broken_release_leaves_the_other_old_processes_serving(tmp_path):
    program = tmp_path / 'program'
    program.write_text('#!/bin/sh\nexec sleep 100000\n')
    program.chmod(0o755)
    with Daemon(group('web', 10, str(program), startsecs=1)) as daemon:
        before = daemon.wait_running('web')
        program.write_text('#!/bin/sh\nexit 1\n')
        answer, _ = restart(daemon, 'web', {'max_unavailable': 2})
        assert [fault['text'].split(':')[0] for fault in answer] == [
            'START_FAILED', 'START_FAILED', 'STOPPED_EARLY']
        assert {fault['name'] for fault in answer[:2]} == {'web_008', 'web_009'}
        serving = {name: pid for name, pid in before.items()
                   if name not in ('web_008', 'web_009')}
        after = daemon.pids('web')
        assert {name: after[name] for name in serving} == serving
