"""New before old, in a real supervisord: a process is replaced without a gap."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from supervisor_restarter.restart.faults import Faults
from tests.support.daemon import MANNERS, Daemon, heed_ctrl_c, running, wait_until
from tests.support.faults import Call, all_new, info, wait_phase
from tests.support.readiness import slow_starters
from tests.support.residue import assert_nothing_is_left
from tests.support.stress import stress
from tests.support.surge import SURGE, Watch, ears, programs

KINDS = ['program', 'fcgi-program', 'eventlistener', 'group']


def surge(daemon, **options):
    with daemon.connection() as rpc:
        return rpc.restarter.restartProcessGroup('web', dict(SURGE, **options))


@pytest.mark.parametrize('kind', KINDS)
def test_a_group_of_any_kind_has_never_fewer_up_and_never_more_alive_than_max_surge(kind, tmp_path):
    with running(programs(kind, 2, MANNERS['late'], folder=tmp_path)) as (daemon, before):
        sockets = int(kind == 'fcgi-program')
        descriptors = daemon.descriptors_at_rest(sockets)
        with Watch(daemon, 'web') as watch:
            assert surge(daemon) is True
        after = daemon.wait_running('web')
        assert all_new(before, after)
        assert watch.fewest_up == 2 and watch.most_alive == 3
        for name, pid in after.items():
            # To the program, its name is that of its slot.
            environment = Path('/proc/%d/environ' % pid).read_bytes().split(b'\0')
            assert b'SUPERVISOR_PROCESS_NAME=' + name.encode() in environment
            assert b'SUPERVISOR_GROUP_NAME=web' in environment
        assert_nothing_is_left(daemon, descriptors, sockets)


def test_max_unavailable_and_max_surge_hold_together():
    with running(programs('program', 6, MANNERS['late'])) as (daemon, before):
        with Watch(daemon, 'web') as watch:
            assert surge(daemon, max_unavailable=1, max_surge=2) is True
        assert all_new(before, daemon.pids('web'))
        assert watch.fewest_up >= 5 and 6 < watch.most_alive <= 8


def test_status_and_info_tell_of_both_processes_of_a_slot():
    with running(programs('program', 1, MANNERS['held back'], startsecs=3)) as (daemon, before):
        call = Call(daemon, 'web', SURGE)
        wait_phase(daemon, 'starting')
        new = daemon.pids('web')['web_0.new']
        status = daemon.supervisorctl('status', 'web:*').stdout
        assert re.findall(r'^(\S+) +(\S+)', status, re.MULTILINE) == [
            ('web:web_0', 'RUNNING'), ('web:web_0.new', 'STARTING')]
        assert (info(daemon)['total'], info(daemon)['surging']) == (1, 1)
        wait_phase(daemon, 'stopping')
        assert daemon.states('web') == {'web_0': 'RUNNING', 'web_0.old': 'STOPPING'}
        assert daemon.pids('web')['web_0'] == new
        daemon.let_go()
        assert call.result() is True
        assert ('restarter: web: web_0: pid %d takes over from pid %d' % (new, before['web_0'])
                ) in daemon.log()


def test_supervisor_finds_nothing_to_update_afterwards_and_restarts_the_new_ones_itself():
    settings = {'environment': 'KEY="value"', 'autorestart': 'true'}
    with running(programs('program', 2, startsecs=0, **settings)) as (daemon, _):
        assert surge(daemon) is True
        assert 'No config updates' in daemon.supervisorctl('reread').stdout
        between = daemon.pids('web')
        assert daemon.supervisorctl('update').stdout == ''
        assert daemon.pids('web') == between
        daemon.rpc.supervisor.signalProcess('web:web_0', 'KILL')
        wait_until(lambda: daemon.pids('web')['web_0'] not in (0, between['web_0']), 'autorestart')
        daemon.wait_running('web')  # until its exec it has supervisord's sockets
        assert surge(daemon) is True
        assert 'restart web' not in daemon.supervisorctl('restart', 'web:*').stderr
        assert all_new(between, daemon.wait_running('web'))


def test_listeners_hear_of_one_running_slot_with_its_new_pid_and_of_no_slot_that_stops(tmp_path):
    heard = tmp_path / 'heard'
    with running(programs('program', 2) + ears(heard)) as (daemon, before):
        daemon.wait_running('ears')
        wait_until(lambda: heard.exists() and heard.read_text().count('_RUNNING') == 3, 'events')
        already = len(heard.read_text())
        assert surge(daemon) is True
        after = daemon.pids('web')
        wait_until(lambda: heard.read_text().count('_STOPPED') == 2, 'all events')
        events = re.findall(
            r'PROCESS_STATE_(\S+) processname:(\S+) groupname:web \S+(?: pid:)?(\S*)',
            heard.read_text()[already:])
        for name in before:
            new, old = str(after[name]), str(before[name])
            assert [event for event in events if event[1].startswith(name)] == [
                ('STARTING', name + '.new', ''), ('RUNNING', name + '.new', new),
                ('RUNNING', name, new), ('STOPPING', name + '.old', old),
                ('STOPPED', name + '.old', old)]


def test_an_event_listener_is_replaced_while_it_is_busy_and_no_event_is_lost(tmp_path):
    heard = tmp_path / 'heard'
    with Daemon(ears(heard, 'REMOTE_COMMUNICATION')) as daemon:
        before = daemon.wait_running('ears')
        with daemon.connection() as rpc:
            rpc.restarter.restartProcessGroup('ears', dict(SURGE, wait=False))
            sent = 0
            while sent == 0 or rpc.restarter.getRestartInfo('ears')['state'] != 'FINISHED':
                for number in range(sent, sent + 20):
                    rpc.supervisor.sendRemoteCommEvent('number', '%d.' % number)
                sent += 20
        assert all_new(before, daemon.pids('ears'))
        wait_until(lambda: '%d.' % (sent - 1) in heard.read_text(), 'all events')
        # One that the old listener was busy with when it was stopped is handed out again.
        assert set(re.findall(r'type:number\n(\d+)\.', heard.read_text())) == set(
            map(str, range(sent)))


# Ready means ready

def test_one_that_is_ready_takes_over_though_supervisor_calls_it_starting(tmp_path):
    text, _ = slow_starters(0.3, 'notify', 2, startsecs=3)
    heard = tmp_path / 'heard'
    with running(text + ears(heard)) as (daemon, before):
        with Watch(daemon, 'web') as watch:
            assert surge(daemon) is True
        after = daemon.pids('web')
        assert all_new(before, after)
        assert watch.most_alive == 3
        # They overlap: the second did not wait until Supervisor called the first one RUNNING.
        assert {'web_0': 'STARTING', 'web_1': 'STARTING'} in watch.seen
        wait_until(lambda: all(len(re.findall(r'RUNNING processname:%s .* pid:%d\n' % slot,
                                              heard.read_text())) == 1
                               for slot in after.items()), 'one RUNNING event of each slot')


# The log file of a slot

COUNTER = """
import os, time
number = 0
while True:
    number += 1
    os.write(1, b'%d %06d %s\\n' % (os.getpid(), number, b'x' * 200))
    time.sleep(0.0005)
"""


def counting(tmp_path):
    """A command that writes numbered lines, as fast as a busy program."""
    script = tmp_path / 'counter.py'
    script.write_text(COUNTER)
    return '%s %s' % (sys.executable, script)


def lines_of(log):
    """The lines of a log and of its backups, oldest first."""
    files = sorted(log.parent.glob(log.name + '*'), reverse=True,
                   key=lambda path: int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0)
    return ''.join(path.read_text() for path in files).splitlines()


def assert_whole(lines, pids):
    """Each line is whole, none is missing, and they come from these processes."""
    last = {}
    for line in lines:
        fields = re.match(r'(\d+) (\d{6}) x{200}$', line)
        assert fields, 'torn: %r' % line
        pid, number = map(int, fields.groups())
        assert number == last.get(pid, 0) + 1, 'a line is missing before %r' % line
        last[pid] = number
    assert set(last) == pids


@pytest.mark.parametrize('stream', ['stdout of both', *stress('stdout', 'stderr')])
def test_no_line_is_lost_while_files_of_20_kb_rotate_and_three_surges_go_by(stream, tmp_path):
    log = tmp_path / 'web_0.log'
    command = counting(tmp_path)
    if stream != 'stdout':
        command = "/bin/sh -c 'exec %s 1>&2'" % command
    settings = {'%s_logfile%s' % (stream.split()[0], option): value for option, value in (
        ('', log), ('_maxbytes', '20KB'), ('_backups', 1000))}
    settings['redirect_stderr'] = str(stream == 'stdout of both').lower()
    with Daemon(programs('program', 1, command, **settings)) as daemon:
        pids = set(daemon.wait_running('web').values())
        for number in range(3):
            wait_until(lambda number=number: len(list(tmp_path.glob('web_0.log.*'))) > number,
                       'a rotation')
            assert surge(daemon) is True
            pids |= set(daemon.pids('web').values())
        daemon.supervisorctl('stop', 'web:*')
        assert len(pids) == 4
        assert len(list(tmp_path.glob('web_0.log.*'))) > 10
        assert_whole(lines_of(log), pids)


def test_no_line_is_lost_when_the_old_one_dies_meanwhile_and_supervisord_starts_it_again(tmp_path):
    log = tmp_path / 'web_0.log'
    with Daemon(programs('program', 1, counting(tmp_path), stdout_logfile=log,
                         stdout_logfile_maxbytes='20KB', stdout_logfile_backups=1000,
                         autorestart='true')) as daemon:
        pids = set(daemon.wait_running('web').values())
        call = Call(daemon, 'web', SURGE)
        wait_phase(daemon, 'starting')
        pids |= set(daemon.pids('web').values())
        os.kill(daemon.pids('web')['web_0'], signal.SIGKILL)
        assert call.result() is True
        daemon.supervisorctl('stop', 'web:*')
        again = set(re.findall(r"spawned: 'web_0' with pid (\d+)", daemon.log()))
        assert len(again) == 2
        assert_whole(lines_of(log), pids | set(map(int, again)))


def test_a_log_that_is_moved_away_while_there_are_two_is_opened_anew_for_both(tmp_path):
    log = tmp_path / 'web_0.log'
    # Its successor never says that it is ready.
    with Daemon(programs('program', 1, counting(tmp_path), environment='RESTARTER_READY=notify',
                         stdout_logfile=log, stdout_logfile_maxbytes=0)) as daemon:
        pids = set(daemon.wait_running('web').values())
        call = Call(daemon, 'web', SURGE)
        wait_phase(daemon, 'starting')
        pids |= set(daemon.pids('web').values())
        wait_until(lambda: all(b'%d ' % pid in log.read_bytes() for pid in pids), 'both write')
        log.rename(tmp_path / 'web_0.log.1')
        daemon.signal(signal.SIGUSR2)  # as logrotate does
        wait_until(lambda: log.exists() and all(b'%d ' % pid in log.read_bytes() for pid in pids),
                   'both write to the new file')
        daemon.rpc.restarter.cancelRestart('web')
        assert call.result().faultCode == Faults.CANCELLED
        daemon.supervisorctl('stop', 'web:*')
        assert_whole(lines_of(log), pids)


def test_supervisorctl_tail_goes_on(tmp_path):
    log = tmp_path / 'web_0.log'
    command = counting(tmp_path)
    with running(programs('program', 1, command, stdout_logfile=log,
                          stdout_logfile_maxbytes=0)) as (daemon, before):
        with open(str(tmp_path / 'tail'), 'wb') as output:
            tail = daemon.begin('supervisorctl', 'tail', '-f', 'web:web_0', stdout=output,
                                preexec_fn=heed_ctrl_c)
        try:
            seen = tmp_path / 'tail'
            wait_until(lambda: b'%d ' % before['web_0'] in seen.read_bytes(), 'the old one')
            assert surge(daemon) is True
            new = daemon.pids('web')['web_0']
            size = seen.stat().st_size
            wait_until(lambda: b'%d ' % new in seen.read_bytes()[size:], 'the new one')
        finally:
            tail.send_signal(signal.SIGINT)
            tail.wait(10)
        assert daemon.supervisorctl('tail', 'web:web_0').stdout.count('%d ' % new) > 1
