"""A program that a restart has started is what Supervisor's own spawn makes of it."""

import contextlib
import getpass
import os
import random
import re
import resource
import signal
import time
import xmlrpc.client
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, descriptors, group, running, wait_until
from tests.support.faults import Call, sabotaged

ROOT = os.getuid() == 0
USER = 'nobody' if ROOT else getpass.getuser()


def program(kind='program', name='web', command='/bin/sleep 100000', **settings):
    return group(name, 1, command, kind=kind, **settings)


# the same as with Supervisor

PROGRAMS = {
    'plain': program(name='plain'),
    'redirected': program(name='redirected', redirect_stderr='true'),
    'masked': program(name='masked', umask='077'),
    'elsewhere': program(name='elsewhere', directory='/usr'),
    'found': program(name='found', command='sleep 100000'),
    'surrounded': program(name='surrounded', environment=(
        'KEY="a value, with a comma",SUPERVISOR_PROCESS_NAME="its own",PATH="/bin",'
        'UMLAUT="\u00fc",SUPERVISOR_ENABLED="no"')),
    'connected': program(name='connected', serverurl='http://127.0.0.1:1'),
    'someone': program(name='someone', user=USER, umask='027', directory='/'),
    'myself': program(name='myself', user=getpass.getuser()),
    'grouped': program(name='grouped', priority=5, stopasgroup='true', killasgroup='true',
                       stdout_events_enabled='true', stdout_capture_maxbytes='1MB'),
    'fast': program('fcgi-program', 'fast', socket='unix://%(here)s/fast.sock'),
    'faster': program('fcgi-program', 'faster', socket='unix://%(here)s/faster.sock',
                      redirect_stderr='true', user=USER),
    'listener': program('eventlistener', 'listener', events='TICK_3600'),
}

# Its umask, limit, ignored signal and nice are not the usual ones.
UNUSUAL = ['sh', '-c', 'umask 013; ulimit -n 1500; trap "" USR1; exec nice -n 3 "$@"', 'sh']


@pytest.fixture(scope='module')
def daemon():
    with Daemon('\n'.join(PROGRAMS.values()), prefix=UNUSUAL, minfds=200) as made:
        yield made


def stat_of(pid):
    """The fields of /proc/PID/stat from the state on."""
    return Path('/proc/%d/stat' % pid).read_text().rsplit(')', 1)[1].split()


def what_it_is(pid):
    """What /proc says of a process, but for its numbers and its times."""
    folder = Path('/proc/%d' % pid)
    status = dict(line.split(':', 1) for line in (folder / 'status').read_text().splitlines())
    stat = stat_of(pid)
    said = {name: status[name].split() for name in (
        'Name', 'Umask', 'Uid', 'Gid', 'Groups', 'SigBlk', 'SigIgn', 'SigCgt', 'CapEff', 'CapPrm',
        'CapInh', 'CapBnd', 'NoNewPrivs', 'Seccomp', 'Threads')}
    said.update(
        parent=stat[1], leads=stat[2] == str(pid), session=stat[3], terminal=stat[4], nice=stat[16],
        executable=os.readlink(str(folder / 'exe')), directory=os.readlink(str(folder / 'cwd')),
        root=os.readlink(str(folder / 'root')), command=(folder / 'cmdline').read_bytes(),
        environment=sorted((folder / 'environ').read_bytes().split(b'\0')),
        limits=(folder / 'limits').read_text(),
        oom_score_adj=(folder / 'oom_score_adj').read_text())
    opened = descriptors(pid)
    said['descriptors'] = {
        number: (where if where.startswith('/') else where.split(':')[0],
                 re.search('flags:\t(.*)', (folder / 'fdinfo' / str(number)).read_text()).group(1))
        for number, where in opened.items()}
    said['one output'] = opened[1] == opened[2]
    return said


@pytest.mark.parametrize('options', [{}, {'max_surge': 1}], ids=['all at once', 'new before old'])
@pytest.mark.parametrize('name', PROGRAMS)
def test_a_program_is_what_supervisor_makes_of_it(daemon, name, options):
    def running():
        pid, = daemon.wait_running(name).values()
        # While it is loaded, it has its libraries open for a moment.
        wait_until(lambda: stat_of(pid)[0] == 'S', 'it is loaded, and sleeps')
        return pid
    with daemon.turning():
        daemon.rpc.supervisor.stopProcessGroup(name)
        daemon.rpc.supervisor.startProcessGroup(name)
    by_supervisor = running()
    expected = what_it_is(by_supervisor)
    assert daemon.rpc.restarter.restartProcessGroup(name, options) is True
    ours = running()
    assert ours != by_supervisor
    assert what_it_is(ours) == expected
    assert int(expected['SigIgn'][0], 16) >> (signal.SIGPIPE - 1) & 1  # as Python has it


# what cannot be started

BROKEN = {  # the content and the mode of its file, or None; its settings
    'empty': ((b'', 0o755), {}),
    'no interpreter': ((b'#!/no/such/interpreter\n', 0o755), {}),
    'another architecture': ((b'\x7fELF\x02\x01\x01' + bytes(100), 0o755), {}),
    'too long': (None, {'command': '/bin/sleep ' + 200000 * '1'}),
    'no directory': (None, {'directory': '/no/such/directory'}),
    'a user, and no directory': (None, {'directory': '/no/such/directory', 'user': USER}),
    'not for the user': ((b'#!/bin/sh\n', 0o700), {'user': USER}),
    'busy': ((b'', 0o755), {}),
}


def fails(**settings):
    """A program that is tried once."""
    return program(autostart='false', startsecs=60, startretries=0, **settings)


def what_happens(daemon, start):
    """Start `web`, which fails; return what can be seen of that, but for process ids."""
    before = len(daemon.log())
    with contextlib.suppress(xmlrpc.client.Fault):
        start(daemon.rpc)
    daemon.wait_state('web', 'web_000', 'FATAL')
    wait_until(lambda: 'gave up' in daemon.log()[before:], 'the log says so')
    lines = [line[len('2000-01-01 00:00:00,000 '):] for line in daemon.log()[before:].splitlines()
             if ' restarter: ' not in line]
    info, = daemon.processes('web').values()
    return ([re.sub(r'pid \d+', 'pid', line) for line in lines],
            {name: info[name] for name in ('statename', 'spawnerr', 'exitstatus', 'pid')})


def by_supervisor(rpc):
    rpc.supervisor.startProcess('web:web_000', False)


def ours(rpc):
    answer = rpc.restarter.restartProcessGroup('web')
    assert [fault['name'] for fault in answer] == ['web_000']


def fails_alike(daemon):
    """See that it fails as with Supervisor, and leaves nothing; return what the log says."""
    before = daemon.descriptors_at_rest()
    expected = what_happens(daemon, by_supervisor)
    assert what_happens(daemon, ours) == expected
    assert daemon.descriptors_at_rest() == before
    assert daemon.descendants() == []
    assert 'reaped unknown pid' not in daemon.log()
    return '\n'.join(expected[0])


@pytest.mark.parametrize('name', BROKEN)
def test_what_cannot_be_executed_fails_as_with_supervisor(name, tmp_path):
    file, settings = BROKEN[name]
    path, said = tmp_path / 'program', tmp_path / 'stderr'
    if file is not None:
        path.write_bytes(file[0])
        path.chmod(file[1])
        settings = dict(settings, command=str(path))
    with contextlib.ExitStack() as stack:
        if name == 'busy':
            stack.enter_context(path.open('r+b'))
        daemon = stack.enter_context(Daemon(fails(stderr_logfile=str(said), **settings),
                                            loglevel='info'))
        fails_alike(daemon)
    lines = said.read_text().splitlines()
    assert lines[:len(lines) // 2] == lines[len(lines) // 2:]


def test_a_full_process_table_fails_as_with_supervisor():
    with sabotaged(fails()) as daemon:
        if ROOT:  # to whom no limit applies
            daemon.rpc.saboteur.becomeUser(USER)
        daemon.rpc.saboteur.limitProcesses(1)
        assert 'Too many processes in process table' in fails_alike(daemon)
        daemon.rpc.saboteur.limitProcesses(-1)
        daemon.rpc.restarter.restartProcessGroup('web', {'wait': False})
        daemon.wait_state('web', 'web_000', 'STARTING')


# For a connection, for the pair that wakes the main loop, and for the three pipes of a process. A
# start without a fork has a pipe more, for what goes wrong.
NEEDED = 1 + 2 + 6


@pytest.mark.parametrize('free, comes_up', [(NEEDED - 1, False), (NEEDED, True),
                                            (NEEDED + 1, True), (NEEDED + 2, True)])
def test_it_needs_no_more_descriptors_than_with_supervisor(free, comes_up):
    with Daemon(program(autostart='false', startretries=0)) as daemon:
        before = daemon.descriptors_at_rest()
        unused = [number for number in range(1000) if number not in daemon.descriptors()]
        hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (unused[free - 1] + 1, hard))
        answer = daemon.rpc.restarter.restartProcessGroup('web')
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (hard, hard))
        if comes_up:
            assert answer is True
        else:
            assert ['too many open files' in fault['text'] for fault in answer] == [True]
        assert daemon.descriptors_at_rest() == before + 3 * comes_up


# signals

@pytest.mark.stress
def test_no_signal_is_lost_while_programs_are_started():
    with running(group('web', 10), loglevel='info') as (daemon, _):
        call, longest = None, 0.0
        for times in range(1, 301):
            began = time.monotonic()
            call = Call(daemon, 'web')
            time.sleep(random.random() * 0.02)  # somewhen in the restart
            daemon.signal(signal.SIGUSR2)
            assert call.result() is True
            longest = max(longest, time.monotonic() - began)
            wait_until(lambda times=times: daemon.log().count('received SIGUSR2') == times,
                       'supervisord has got the signal')
        assert longest < 5  # one whose stop signal is lost is killed after 10 seconds
