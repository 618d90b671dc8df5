"""How a program is started, what a child does that is forked, and that nobody else does it."""

import contextlib
import fcntl
import os
import signal
import subprocess
import threading

import pytest
from supervisor import events
from supervisor.options import ProcessConfig, ServerOptions
from supervisor.process import Subprocess
from supervisor.states import ProcessStates, SupervisorStates

from supervisor_restarter.daemon.spawn import WITHOUT_FORK, spawn
from tests.unit.fakes import FakeLogger

ECHO = "/bin/sh -c 'echo $WHOSE$OWN'"
NOBODY = 65534


@pytest.fixture
def noted():
    """A Python handler for SIGTERM, as supervisord has one."""
    received = []
    old = signal.signal(signal.SIGTERM, lambda signum, frame: received.append(signum))
    yield received
    signal.signal(signal.SIGTERM, old)


@pytest.fixture
def options():
    """supervisord's options, with the descriptors from 200 to 300 to itself, and minfds = 300."""
    made = ServerOptions()
    made.minfds, made.serverurl, made.loglevel = 300, None, 20
    made.logger, made.mood = FakeLogger(), SupervisorStates.RUNNING
    yield made
    os.closerange(200, 350)
    events.clear()


@pytest.fixture
def forks(monkeypatch):
    """The process ids of the children that were forked."""
    seen, fork = [], os.fork

    def noting():
        pid = fork()
        seen.append(pid)
        return pid
    monkeypatch.setattr(os, 'fork', noting)
    return seen


class InChild(Subprocess):
    """A process class of somebody else's: the child calls a function of the test's."""

    does = None

    def _spawn_as_child(self, filename, argv):
        try:
            self.does()
        finally:
            os._exit(0)


def program(options, name='web', command=ECHO, kind=Subprocess, **settings):
    """A process of Supervisor's, not spawned yet."""
    given = dict.fromkeys(ProcessConfig.req_param_names)
    given.update(name=name, command=command, priority=999, startsecs=0, exitcodes=[0],
                 stdout_logfile_maxbytes=0, stderr_logfile_maxbytes=0, redirect_stderr=False,
                 stdout_syslog=False, stderr_syslog=False, stdout_capture_maxbytes=0,
                 stderr_capture_maxbytes=0, **settings)
    return kind(ProcessConfig(options, **given))


def ended(process):
    """Wait until it has ended; return its wait status and what it wrote."""
    status = os.waitpid(process.pid, 0)[1]
    os.set_blocking(process.pipes['stdout'], True)
    with os.fdopen(process.pipes['stdout'], 'rb', closefd=False) as output:
        wrote = output.read().decode()
    process.config.options.close_parent_pipes(process.pipes)
    return status, wrote


def of_child(does, options, environment=None):
    """Spawn a child that is forked and does something; return its exit status, or its signal as a
    negative number. `does` is called with its process, and returns whether it is as it has to be.
    """
    process = program(options, kind=InChild)
    process.does = lambda: os._exit(42 if does(process) else 1)
    spawn(process, environment or {})
    status = os.waitpid(process.pid, 0)[1]
    options.close_parent_pipes(process.pipes)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


# which way

@pytest.mark.skipif(not WITHOUT_FORK, reason='here all are forked')
def test_a_program_is_started_without_a_fork(options, forks):
    process = program(options, uid=os.getuid(), directory='/', umask=0o77)
    spawn(process, {'WHOSE': 'given'})
    assert options.pidhistory == {process.pid: process}
    assert process.state == ProcessStates.STARTING
    assert ended(process) == (0, 'given\n')
    assert forks == []


# What is done to a process and its surroundings, after which it has to be forked.

def another_user(process, monkeypatch):
    process.config.uid = NOBODY if os.getuid() == 0 else 0


def a_class_of_somebody_elses(process, monkeypatch):
    process.__class__ = type('Theirs', (Subprocess,), {
        '_prepare_child_fds': lambda self: Subprocess._prepare_child_fds(self)})


def somebody_replaces_what_a_child_does(process, monkeypatch):
    monkeypatch.setattr(ServerOptions, 'execve', lambda self, *given: os.execve(*given))


def somebody_replaces_fork(process, monkeypatch):
    process.config.options.fork = lambda: os.fork()


def a_name_without_a_folder(process, monkeypatch):
    process.__class__ = type('Found', (Subprocess,), {
        'get_execv_args': lambda self: ('sh', ['sh', '-c', 'echo $WHOSE$OWN'])})
    monkeypatch.chdir('/bin')


def no_descriptor_for_its_input(process, monkeypatch):
    monkeypatch.setattr(ProcessConfig, 'make_dispatchers', lambda self, made, make=(
        ProcessConfig.make_dispatchers): (lambda dispatchers, pipes: (
            dispatchers, dict(pipes, child_stdin=-1)))(*make(self, made)))


def a_supervisor_that_asks_for_more(process, monkeypatch):
    monkeypatch.delattr('supervisor_restarter.daemon.spawn._Child.setpgrp')


def no_popen(process, monkeypatch):
    def popen(*given, **named):
        raise BlockingIOError(11, 'Resource temporarily unavailable')
    monkeypatch.setattr(subprocess, 'Popen', popen)


CASES = [
    another_user, a_class_of_somebody_elses, somebody_replaces_what_a_child_does,
    somebody_replaces_fork, a_name_without_a_folder, no_descriptor_for_its_input,
    a_supervisor_that_asks_for_more, no_popen]


@pytest.mark.parametrize('case', CASES, ids=[case.__name__ for case in CASES])
def test_what_cannot_be_started_so_is_forked(case, options, forks, monkeypatch):
    process = program(options)
    case(process, monkeypatch)
    spawn(process, {'WHOSE': 'given'})
    assert forks == [process.pid]
    works = case is not no_descriptor_for_its_input and (
        case is not another_user or os.getuid() == 0)
    assert ended(process) == ((0, 'given\n') if works else (127 << 8, ''))


@pytest.mark.parametrize('case', [None, a_class_of_somebody_elses])
def test_what_is_configured_goes_before_what_is_given_and_that_before_supervisords(
        case, options, monkeypatch):
    for name in ('WHOSE', 'OWN'):
        monkeypatch.setenv(name, "supervisord's")
    process = program(options, environment={'WHOSE': 'configured, '})
    if case is not None:
        case(process, monkeypatch)
    spawn(process, {'WHOSE': 'given, ', 'OWN': 'given'})
    assert ended(process) == (0, 'configured, given\n')


# a child that is forked

def ends_itself(process=None):
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_that_comes_before_exec_ends_the_child(noted, options):
    assert of_child(ends_itself, options) == -signal.SIGTERM
    # Before it has taken the handlers away, too.
    options.fork = lambda: os.fork() or ends_itself() or 0
    assert of_child(lambda process: True, options) == -signal.SIGTERM
    assert noted == []


def test_the_child_has_the_mask_of_its_parent(noted, options):
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert of_child(lambda process: signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask,
                    options) == 42


def test_the_child_alone_has_the_environment_that_it_is_given(options):
    assert of_child(lambda process: os.environ.get('WHOSE') == 'given', options,
                    {'WHOSE': 'given'}) == 42
    assert 'WHOSE' not in os.environ


def test_the_child_does_not_try_each_number(options):
    closed = []
    options.close_fd = closed.append
    options.minfds = 10 ** 6

    def child(process):
        turns = len(range(3, options.minfds))
        process._prepare_child_fds()
        return turns == 1 and not closed
    assert of_child(child, options) == 42


@pytest.mark.parametrize('minfds', [0, 3])
def test_where_supervisor_would_close_nothing_the_child_closes_nothing(options, minfds):
    options.minfds = minfds
    null = os.open(os.devnull, os.O_RDWR)
    assert fcntl.fcntl(null, fcntl.F_DUPFD, 200) == 200
    os.close(null)
    assert of_child(lambda process: process._prepare_child_fds() or is_open(200), options) == 42


# nobody else

def test_other_forks_keep_their_handlers(noted):
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(len(noted))
    assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 1


@pytest.mark.parametrize('kind', [Subprocess, InChild])
@pytest.mark.parametrize('error', [None, ZeroDivisionError])
def test_the_parent_is_as_before(kind, error, noted, options, monkeypatch):
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    process = program(options, kind=kind)
    process.does = lambda: None
    before = dict(vars(options)), set(vars(process)), vars(process.config).copy()
    make = ProcessConfig.make_dispatchers

    def interrupted(config, made):
        # To this thread: as one to the process it could go to another one, of the test runner.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        if error:
            raise error
        return make(config, made)
    monkeypatch.setattr(ProcessConfig, 'make_dispatchers', interrupted)
    with pytest.raises(error) if error else contextlib.nullcontext():
        spawn(process, {})
        ended(process)
    assert noted == [signal.SIGTERM]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    assert callable(signal.getsignal(signal.SIGTERM))
    assert (dict(vars(options)), vars(process.config)) == (before[0], before[2])
    assert set(vars(process)) - before[1] <= {'laststart', 'killing', 'exitstatus', 'spawnerr',
                                              'system_stop', 'administrative_stop', 'delay', 'pid'}


@pytest.mark.parametrize('by', ['ours', "Supervisor's"])
@pytest.mark.parametrize('inner', [Subprocess, InChild])
@pytest.mark.parametrize('outer', [Subprocess, InChild])
def test_who_hears_of_a_spawn_may_spawn_another_process(outer, inner, by, options, noted):
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    processes = {name: program(options, name, kind=kind, environment={'OWN': name})
                 for name, kind in (('outer', outer), ('inner', inner))}
    for process in processes.values():
        process.does = lambda process=process: (
            os.dup2(process.pipes['child_stdout'], 1),
            os.execve('/bin/sh', ['sh', '-c', 'echo $WHOSE$OWN'],
                      dict(os.environ, OWN=process.config.name)))

    def started(event):
        if event.process is processes['outer']:
            if by == 'ours':
                spawn(processes['inner'], {'WHOSE': 'the inner one: '})
            else:
                processes['inner'].spawn()
    events.subscribe(events.ProcessStateStartingEvent, started)
    spawn(processes['outer'], {'WHOSE': 'the outer one: '})
    assert ended(processes['outer']) == (0, 'the outer one: outer\n')
    assert ended(processes['inner']) == (
        0, 'the inner one: inner\n' if by == 'ours' else 'inner\n')
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    assert callable(signal.getsignal(signal.SIGTERM))
    assert 'fork' not in vars(options)
    assert all('get_execv_args' not in vars(process) for process in processes.values())
