"""Real programs say that they are ready, or are asked, and a restart waits for that."""

import os
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor_restarter.daemon.declaration import ALLOWED
from tests.support.daemon import COMMANDS, MANNERS, Daemon, group, running, wait_until
from tests.support.faults import restart, wait_finished, wait_phase
from tests.support.load import Load
from tests.support.readiness import Watched, declaring, ready_at, serves, slow_starters
from tests.support.reports import killed_at
from tests.support.stress import pairs, stress

ONE = {'max_unavailable': 1, 'timeout': 30}


@pytest.mark.parametrize('kind, options', pairs(
    ['notify', 'http', 'tcp', 'unix'], [{'timeout': 30}, ONE]))
def test_a_restart_ends_when_all_are_ready_and_not_before(kind, options):
    programs, _ = slow_starters(0.3, kind, numprocs=2)
    with running(programs) as (daemon, before):
        wait_until(lambda: len(ready_at(daemon)) == 2, 'all are ready')
        result, seconds = restart(daemon, 'web', options)
        after = daemon.pids('web')
        assert result is True
        assert set(after.values()) < set(ready_at(daemon))
        assert not set(after.values()) & set(before.values())
        assert 0.3 < seconds < 10


def test_what_is_awaited_is_told_while_it_is_and_the_log_says_when_it_has_come():
    programs, (port,) = slow_starters('go', 'http')
    with running(programs, extra=COMMANDS) as (daemon, _):
        daemon.rpc.restarter.restartProcessGroup('web', {'timeout': 60, 'wait': False})
        url = 'http://127.0.0.1:%d' % port
        seen = 'nobody listens on 127.0.0.1:%d' % port
        awaited = [('web_%d' % port, url, seen, 'starting')]
        wait_until(lambda: [tuple(entry[key] for key in ('name', 'awaited', 'seen', 'phase'))
                            for entry in daemon.rpc.restarter.getRestartInfo('web')['awaiting']
                            ] == awaited, 'it is not there yet')
        told = daemon.supervisorctl('restartinfo', 'web').stdout
        assert 'awaiting %s: %s\n' % (url, seen) in told
        daemon.let_go()
        wait_finished(daemon)
        assert 'restarter: web: web_%d: ready: %s answered 200' % (port, url) in daemon.log()


@pytest.mark.parametrize('kind', ['notify', 'http'])
def test_from_ready_to_the_next_stop_neither_running_nor_a_look_at_everything_is_waited_for(kind):
    programs, _ = slow_starters(0.1, kind, numprocs=4, startsecs=2)
    with Daemon(programs, {'delay': 0.2 if kind == 'http' else 20}) as daemon:
        wait_until(lambda: len(ready_at(daemon)) == 4, 'all are ready')
        daemon.wait_running('web')
        old = set(ready_at(daemon))
        assert restart(daemon, 'web', ONE)[0] is True
        ready = sorted(when for pid, when in ready_at(daemon).items() if pid not in old)
        killed = sorted(killed_at(daemon.log()))
        assert (len(ready), len(killed)) == (4, 4)
        gaps = [stop - when for when, stop in zip(ready, killed[1:])]
        assert min(gaps) > -0.002  # the log has milliseconds
        assert statistics.median(gaps) < 1


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
            assert restart(daemon, 'web', ONE)[0] is True
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

systemd_notify = pytest.mark.skipif(not shutil.which('systemd-notify'), reason='no systemd-notify')
# Says that it is ready when it is let go; with which option is what differs.
NOTIFIES = ("/bin/sh -c 'until [ -e %%(here)s/go ]; do sleep 0.05; done; "
            "systemd-notify --ready%s; touch sent; exec sleep 100000'")


@systemd_notify
def test_a_sender_that_has_exited_when_its_message_is_read_is_heard():
    with Daemon(declaring(NOTIFIES % ' --no-block', 'notify')) as daemon:
        daemon.let_go()
        wait_until((daemon.folder / 'sent').exists, 'it has no socket, and does not mind')
        for name in ('go', 'sent'):
            (daemon.folder / name).unlink()
        daemon.rpc.restarter.restartProcessGroup('web', dict(ONE, wait=False))
        wait_phase(daemon, 'starting')
        daemon.signal(signal.SIGSTOP)
        daemon.let_go()
        wait_until((daemon.folder / 'sent').exists, 'systemd-notify has exited')
        daemon.signal(signal.SIGCONT)
        wait_finished(daemon)
        assert daemon.rpc.restarter.getRestartInfo('web')['restarted'] == 1


@systemd_notify
@pytest.mark.skipif(os.getuid() != 0, reason='only root runs programs as another user')
def test_a_program_that_runs_as_another_user_is_heard_and_a_stranger_is_not():
    daemon = Daemon(declaring(NOTIFIES % '', 'notify', user='nobody', directory='/'))
    daemon.folder.chmod(0o755)
    with daemon:
        daemon.wait_running('web')
        daemon.rpc.restarter.restartProcessGroup('web', dict(ONE, wait=False))
        wait_phase(daemon, 'starting')
        path = notify_socket(wait_until(lambda: daemon.pids('web')['web_0'], 'it has an id'))
        script = ('import os, socket, sys; os.setuid(1); '
                  'socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", %r)' % path)
        stranger = subprocess.run([sys.executable, '-c', script], stderr=subprocess.PIPE)
        assert b'PermissionError' in stranger.stderr
        assert daemon.rpc.restarter.getRestartInfo('web')['starting'] == 1
        daemon.let_go()
        wait_finished(daemon)
        assert daemon.rpc.restarter.getRestartInfo('web')['restarted'] == 1


def notify_socket(pid):
    """The socket that a process was told to send to."""
    def environment():
        return dict(entry.split('=', 1) for entry in
                    Path('/proc/%d/environ' % pid).read_text().split('\0') if '=' in entry)
    return wait_until(lambda: environment().get('NOTIFY_SOCKET'), 'the program is itself')


def test_only_what_a_restart_spawns_has_the_socket_and_the_configuration_stays_as_it_was():
    programs, _ = slow_starters(0, 'notify', startsecs=0)
    with running(programs) as (daemon, _):
        assert restart(daemon, 'web', ONE)[0] is True
        pid = daemon.pids('web')['web_0']
        assert os.path.exists(notify_socket(pid))  # as long as it lives
        for command in ('reread', 'update'):
            assert daemon.supervisorctl(command).stdout in ('No config updates to processes\n', '')
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: daemon.pids('web')['web_0'] not in (0, pid), 'supervisord starts it')
        new = daemon.wait_running('web')['web_0']
        assert 'NOTIFY_SOCKET' not in Path('/proc/%d/environ' % new).read_text()


# What is wrong is said before anything is stopped

def test_a_wrong_declaration_is_one_sentence_and_nothing_is_stopped():
    value = 'https://127.0.0.1:8443/health'
    programs = '[group:web]\nprograms = good,bad\n' + group('good', 2) + declaring(
        MANNERS['at once'], value).replace('program:web', 'program:bad')
    sentence = ("INCORRECT_PARAMETERS: web:bad_0: RESTARTER_READY = '%s': https:// is not "
                'supported; it %s' % (value, ALLOWED))
    with running(programs, extra=COMMANDS) as (daemon, before):
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
        result, seconds = restart(daemon, 'web', ONE)
        assert result is True
        assert seconds > 0.3
