"""What a child does between fork and exec, and that nobody else does it."""

import fcntl
import gc
import os
import signal
import threading
from types import SimpleNamespace

import pytest
from supervisor.options import ServerOptions
from supervisor.process import FastCGISubprocess, Subprocess

from supervisor_restarter.daemon.child import spawning


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
    made.minfds = 300
    yield made
    os.closerange(200, 350)


def process(kind, options, number):
    """A process of Supervisor's whose pipes, and whose socket, are all the same descriptor."""
    pipes = {'child_stdin': number, 'child_stdout': number, 'child_stderr': number}
    return kind, SimpleNamespace(
        config=SimpleNamespace(options=options, redirect_stderr=False), pipes=pipes,
        fcgi_sock=SimpleNamespace(fileno=lambda: number))


def open_inheritable(number):
    """Open /dev/null with this number."""
    null = os.open(os.devnull, os.O_RDWR)
    assert fcntl.fcntl(null, fcntl.F_DUPFD, number) == number
    os.close(null)


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def status_of_child(child):
    """Fork, run `child` in the child, and return its wait status."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_a_signal_that_comes_before_exec_ends_the_child(noted, options):
    def child():
        os.kill(os.getpid(), signal.SIGTERM)
    with spawning(options):
        status = status_of_child(child)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM


def test_other_forks_keep_their_handlers(noted):
    def child():
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(len(noted))
    status = status_of_child(child)
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1


def test_the_child_has_the_mask_and_no_wakeup_descriptor_of_its_parent(noted, options):
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])

    def child():
        same = signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
        os._exit(42 if same and signal.set_wakeup_fd(-1) == -1 else 1)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    try:
        with spawning(options):
            status = status_of_child(child)
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reading)
        os.close(writing)
    assert os.WEXITSTATUS(status) == 42


def test_the_child_alone_has_the_environment_that_it_is_given(options):
    def child():
        os._exit(42 if os.environ.get('RESTARTER_TEST') == 'given' else 1)
    with spawning(options) as given:
        given.environment = {'RESTARTER_TEST': 'given'}
        assert os.WEXITSTATUS(status_of_child(child)) == 42
    assert 'RESTARTER_TEST' not in os.environ


@pytest.mark.parametrize('kind', [Subprocess, FastCGISubprocess])
def test_the_child_closes_what_supervisor_would_close(kind, options):
    for number in (200, 299, 300):
        open_inheritable(number)
    kind, made = process(kind, options, 200)

    def child():
        open_inheritable(250)  # nobody could have noted it before the fork
        kind._prepare_child_fds(made)
        os._exit(sum(is_open(number) << bit for bit, number in enumerate(
            (0, 1, 2, 200, 250, 299, 300))))
    by_supervisor = os.WEXITSTATUS(status_of_child(child))
    with spawning(options):
        ours = os.WEXITSTATUS(status_of_child(child))
    assert bin(ours) == bin(by_supervisor) == '0b1000111'


def test_the_child_does_not_try_each_number(options):
    closed = []
    options.close_fd = closed.append
    options.minfds = 10 ** 6
    kind, made = process(Subprocess, options, 200)
    open_inheritable(200)

    def child():
        turns = len(range(3, options.minfds))
        kind._prepare_child_fds(made)
        os._exit(42 if turns == 1 and not closed else 1)
    with spawning(options):
        assert os.WEXITSTATUS(status_of_child(child)) == 42


@pytest.mark.parametrize('minfds', [0, 3])
def test_where_supervisor_would_close_nothing_the_child_closes_nothing(options, minfds):
    options.minfds = minfds
    open_inheritable(200)
    kind, made = process(Subprocess, options, 200)

    def child():
        kind._prepare_child_fds(made)
        os._exit(42 if is_open(200) else 1)
    with spawning(options):
        assert os.WEXITSTATUS(status_of_child(child)) == 42


def test_other_forks_and_the_parent_close_as_before(options):
    def child():
        os._exit(42 if options.minfds == 300 and 'close_fd' not in vars(options) else 1)
    with spawning(options):
        assert os.WEXITSTATUS(status_of_child(lambda: None)) == 0
    assert os.WEXITSTATUS(status_of_child(child)) == 42
    assert options.minfds == 300 and 'close_fd' not in vars(options)


def test_the_parent_gets_its_signals_and_its_mask_back(noted, options):
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(ZeroDivisionError), spawning(options):
        # To this thread: as one to the process it could go to another one, of the test runner.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        assert noted == []
        raise ZeroDivisionError
    assert noted == [signal.SIGTERM]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    assert callable(signal.getsignal(signal.SIGTERM))


@pytest.mark.parametrize('collects', [True, False])
def test_no_garbage_is_collected_meanwhile_and_then_as_before(options, collects):
    before = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        with pytest.raises(ZeroDivisionError), spawning(options):
            assert not gc.isenabled()
            raise ZeroDivisionError
        assert gc.isenabled() == collects
    finally:
        (gc.enable if before else gc.disable)()
