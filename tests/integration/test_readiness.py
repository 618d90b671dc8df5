"""Real programs say that they are ready, or are asked, and a restart waits for that."""

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from supervisor_restarter.daemon.declaration import ALLOWED
from tests.support.daemon import MANNERS, Daemon, free_port, group, wait_until
from tests.support.load import Load
from tests.support.readiness import Watched, declaring, ready_at, serves, slow_starters, uvicorns
from tests.support.reports import killed_at
from tests.support.stress import pairs, stress

ONE = {'max_unavailable': 1, 'timeout': 30}


def restart(daemon, options=ONE):
    """Restart the group; return the answer, and how many seconds it took."""
    begin = time.monotonic()
    with daemon.connection() as rpc:
        return rpc.restarter.restartProcessGroup('web', options), time.monotonic() - begin


@pytest.mark.parametrize('kind, options', pairs(
    ['notify', 'http', 'tcp', 'unix'], [{'timeout': 30}, ONE]))
def test_a_restart_ends_when_all_are_ready_and_not_before(kind, options):
    programs, _ = slow_starters(0.3, kind, numprocs=2)
    with Daemon(programs) as daemon:
        before = daemon.wait_running('web')
        wait_until(lambda: len(ready_at(daemon)) == 2, 'all are ready')
        result, seconds = restart(daemon, options)
        after = daemon.pids('web')
        assert result is True
        assert set(after.values()) < set(ready_at(daemon))
        assert not set(after.values()) & set(before.values())
        assert 0.3 < seconds < 10


def test_what_is_awaited_is_told_while_it_is_and_the_log_says_when_it_has_come():
    programs, (port,) = slow_starters(1.0, 'http')
    with Daemon(programs) as daemon:
        daemon.wait_running('web')
        daemon.rpc.restarter.restartProcessGroup('web', {'timeout': 30, 'wait': False})
        url = 'http://127.0.0.1:%d' % port
        seen = 'nobody listens on 127.0.0.1:%d' % port
        awaited = [('web_%d' % port, url, seen, 'starting')]
        wait_until(lambda: [tuple(entry[key] for key in ('name', 'awaited', 'seen', 'phase'))
                            for entry in daemon.rpc.restarter.getRestartInfo('web')['awaiting']
                            ] == awaited, 'it is not there yet')
        line = daemon.supervisorctl('restartinfo', 'web').stdout
        if 'RESTARTING' in line:
            assert 'awaiting ' + seen in line
        wait_until(lambda: daemon.rpc.restarter.getRestartInfo('web')['state'] == 'FINISHED',
                   'the restart has finished')
        assert 'restarter: web: web_%d: ready: %s answered 200' % (port, url) in daemon.log()


@pytest.mark.slow
def test_rolling_the_starts_follow_each_other_and_startsecs_comes_once():
    daemon, ports = uvicorns(4, startsecs=3)
    with daemon:
        daemon.wait_running('web')
        wait_until(lambda: all(map(serves, ports)), 'all serve')
        result, seconds = restart(daemon)
        assert result is True
        assert all(map(serves, ports))
        assert seconds < 4 * 3  # without readiness


@pytest.mark.parametrize('kind', ['notify', 'http'])
def test_from_ready_to_the_next_stop_no_look_at_everything_is_waited_for(kind):
    programs, _ = slow_starters(0.1, kind, numprocs=5, startsecs=1)
    with Daemon(programs, {'delay': 0.2 if kind == 'http' else 20}) as daemon:
        daemon.wait_running('web')
        wait_until(lambda: len(ready_at(daemon)) == 5, 'all are ready')
        old = set(ready_at(daemon))
        assert restart(daemon)[0] is True
        ready = sorted(when for pid, when in ready_at(daemon).items() if pid not in old)
        killed = sorted(killed_at(daemon.log()))
        assert (len(ready), len(killed)) == (5, 5)
        gaps = [stop - when for when, stop in zip(ready, killed[1:])]
        assert min(gaps) > -0.002  # the log has milliseconds
        assert statistics.median(gaps) < 1


def test_a_release_that_answers_503_costs_one_process():
    programs, ports = slow_starters(0, 'http', numprocs=4)
    with Daemon(programs) as daemon:
        before = daemon.wait_running('web')
        wait_until(lambda: all(map(serves, ports)), 'all serve')
        (daemon.folder / 'status').write_text('503')
        done = daemon.restart_group('--max-unavailable', '1', '--timeout', '2', 'web')
        after = daemon.wait_running('web')
        last = 'web_%d' % ports[3]
        assert [name for name in after if after[name] != before[name]] == [last]
        assert done.returncode == 1
        first, second = done.stderr.splitlines()
        assert re.fullmatch(
            r'web:%s: ERROR \(NOT_READY: after 2[.0-9]* seconds: http://127.0.0.1:%d answered 503\)'
            % (last, ports[3]), first)
        assert second == 'web: ERROR (STOPPED_EARLY: 1 failed, 3 of 4 processes left as they were)'


@pytest.mark.slow
@pytest.mark.parametrize('for_all', [False, *stress(True)])
def test_a_slow_release_rolling_never_leaves_fewer_than_three_of_four_that_serve(for_all):
    programs, ports = slow_starters(1.5, 'http', numprocs=4, startsecs=1)
    daemon = Daemon(programs)
    if for_all:
        declare_for_all(daemon, programs, 'listen')
    with daemon:
        daemon.wait_running('web')
        wait_until(lambda: all(map(serves, ports)), 'all serve')
        addresses = [('127.0.0.1', port) for port in ports]
        with Watched(ports) as watched, Load(addresses, clients=2, per_connection=1,
                                             pause=0.01) as load:
            assert restart(daemon)[0] is True
        assert len(watched.outages) == 4
        assert watched.most_at_once == 1
        assert load.counts().failed == 0


def declare_for_all(daemon, programs, ready):
    """Let [supervisord] declare for all programs what these declare for themselves."""
    without = '\n'.join(line for line in programs.splitlines() if 'RESTARTER' not in line)
    daemon.write_configuration(without)
    daemon.configuration.write_text(daemon.configuration.read_text().replace(
        '[supervisord]', '[supervisord]\nenvironment = RESTARTER_READY="%s"' % ready, 1))


# Programs as they are

@pytest.mark.slow
@pytest.mark.parametrize('ready, waits', [('http://127.0.0.1:%d/', True), ('notify', False)])
def test_gunicorn_says_that_its_arbiter_is_ready_and_http_waits_until_it_serves(ready, waits):
    port = free_port()
    command = '%s -m gunicorn --bind 127.0.0.1:%d app:app' % (sys.executable, port)
    with_port = ready % port if '%d' in ready else ready
    daemon = Daemon(declaring(command, with_port), {'timeout': 30})
    (daemon.folder / 'app.py').write_text(
        'import time\ntime.sleep(1.5)\n\n\ndef app(environ, start_response):\n'
        '    start_response("200 OK", [])\n    return [b"up"]\n')
    with daemon:
        daemon.wait_running('web')
        wait_until(lambda: serves(port, 0.5), 'it serves')
        assert restart(daemon, {})[0] is True
        assert serves(port, 0.5) == waits


def test_uvicorn_notifies_with_three_lines_in_the_lifespan():
    daemon, ports = uvicorns(1, startsecs=0)
    text = daemon.configuration.read_text()
    url = 'http://127.0.0.1:%(process_num)d/'
    daemon.configuration.write_text(text.replace(url, 'notify'))
    with daemon:
        daemon.wait_running('web')
        wait_until(lambda: serves(ports[0]), 'it serves')
        result, seconds = restart(daemon)
        assert result is True
        assert seconds > 0.5
        assert 'web_%d: ready: has sent READY=1' % ports[0] in daemon.log()


systemd_notify = pytest.mark.skipif(not shutil.which('systemd-notify'), reason='no systemd-notify')
NOTIFIES = "/bin/sh -c 'sleep 0.3; systemd-notify --ready%s; echo sent > sent; exec sleep 100000'"


@systemd_notify
def test_systemd_notify_is_heard_and_does_not_wait():
    with Daemon(declaring(NOTIFIES % '', 'notify')) as daemon:
        daemon.wait_running('web')
        result, seconds = restart(daemon)
        assert result is True
        wait_until((daemon.folder / 'sent').exists, 'systemd-notify has exited', 2)


@systemd_notify
def test_a_sender_that_has_exited_when_its_message_is_read_is_heard():
    with Daemon(declaring(NOTIFIES % ' --no-block', 'notify')) as daemon:
        daemon.wait_running('web')
        wait_until((daemon.folder / 'sent').exists, 'it has no socket, and does not mind')
        (daemon.folder / 'sent').unlink()
        daemon.rpc.restarter.restartProcessGroup('web', dict(ONE, wait=False))
        wait_until(lambda: daemon.rpc.restarter.getRestartInfo('web')['starting'], 'it starts')
        daemon.signal(signal.SIGSTOP)
        wait_until((daemon.folder / 'sent').exists, 'systemd-notify has exited')
        daemon.signal(signal.SIGCONT)
        wait_until(lambda: daemon.rpc.restarter.getRestartInfo('web')['state'] == 'FINISHED', 'end')
        assert daemon.rpc.restarter.getRestartInfo('web')['restarted'] == 1


@systemd_notify
@pytest.mark.skipif(os.getuid() != 0, reason='only root runs programs as another user')
def test_a_program_that_runs_as_another_user_is_heard_and_a_stranger_is_not():
    with Daemon(declaring("/bin/sh -c 'sleep 1; systemd-notify --ready; exec sleep 100000'",
                          'notify', user='nobody', directory='/')) as daemon:
        daemon.wait_running('web')
        daemon.rpc.restarter.restartProcessGroup('web', dict(ONE, wait=False))
        wait_until(lambda: daemon.rpc.restarter.getRestartInfo('web')['awaiting'], 'it starts')
        path = notify_socket(wait_until(lambda: daemon.pids('web')['web_0'], 'it has an id'))
        script = ('import os, socket, sys; os.setuid(1); '
                  'socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", %r)' % path)
        stranger = subprocess.run([sys.executable, '-c', script], stderr=subprocess.PIPE)
        assert b'PermissionError' in stranger.stderr
        assert daemon.rpc.restarter.getRestartInfo('web')['awaiting'] != []
        wait_until(lambda: daemon.rpc.restarter.getRestartInfo('web')['state'] == 'FINISHED', 'end')
        assert daemon.rpc.restarter.getRestartInfo('web')['restarted'] == 1


def notify_socket(pid):
    """The socket that a process was told to send to."""
    def environment():
        return dict(entry.split('=', 1) for entry in
                    Path('/proc/%d/environ' % pid).read_text().split('\0') if '=' in entry)
    return wait_until(lambda: environment().get('NOTIFY_SOCKET'), 'the program is itself')


def test_a_program_behind_a_shell_is_heard():
    programs, _ = slow_starters(0.3, 'notify')
    command = programs.split('command = ')[1].split('\n')[0]
    programs = programs.replace(command, "/bin/sh -c '%s & wait'" % command)
    with Daemon(programs + 'stopasgroup = true\n') as daemon:
        daemon.wait_running('web')
        result, seconds = restart(daemon)
        assert result is True
        assert 0.3 < seconds < 10


def test_only_what_a_restart_spawns_has_the_socket_and_the_configuration_stays_as_it_was():
    programs, _ = slow_starters(0, 'notify', startsecs=0)
    with Daemon(programs) as daemon:
        daemon.wait_running('web')
        assert restart(daemon)[0] is True
        pid = daemon.pids('web')['web_0']
        assert os.path.exists(notify_socket(pid))  # as long as it lives
        for command in ('reread', 'update'):
            assert daemon.supervisorctl(command).stdout in ('No config updates to processes\n', '')
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: daemon.pids('web')['web_0'] not in (0, pid), 'supervisord starts it')
        new = daemon.wait_running('web')['web_0']
        assert 'NOTIFY_SOCKET' not in Path('/proc/%d/environ' % new).read_text()


# What is wrong is said before anything is stopped

@pytest.mark.parametrize('value, why', [
    ('https://127.0.0.1:8443/health', 'https:// is not supported'),
    ('http://example.com:80/', 'example.com is no IP address'),
    ('http://127.0.0.1/', 'there is no port'),
    ('', 'the value is empty'),
])
def test_a_wrong_declaration_is_one_sentence_and_nothing_is_stopped(value, why):
    programs = '[group:web]\nprograms = good,bad\n' + group('good', 2) + declaring(
        MANNERS['at once'], value).replace('program:web', 'program:bad')
    sentence = ("INCORRECT_PARAMETERS: web:bad_0: RESTARTER_READY = '%s': %s; it %s"
                % (value, why, ALLOWED))
    extra = ('[ctlplugin:restarter]\nsupervisor.ctl_factory = '
             'supervisor_restarter.controllerplugin:make_controllerplugin\n')
    with Daemon(programs, extra=extra) as daemon:
        before = daemon.wait_running('web')
        script = daemon.restart_group('web')
        assert (script.stderr, script.returncode) == ('web: ERROR (%s)\n' % sentence, 2)
        command = daemon.supervisorctl('restartgroup', 'web')
        assert command.stdout == 'web: ERROR (%s)\n' % sentence
        assert daemon.pids('web') == before


def test_what_stands_for_all_programs_holds_unless_a_program_says_otherwise():
    # Supervisor hands the environment of [supervisord] to each program.
    programs, _ = slow_starters(0.3, 'notify')
    daemon = Daemon('')
    declare_for_all(daemon, programs, 'notify')
    with daemon:
        daemon.wait_running('web')
        result, seconds = restart(daemon)
        assert result is True
        assert seconds > 0.3
