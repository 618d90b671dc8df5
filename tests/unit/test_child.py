"""No stop signal is lost between fork and exec."""

import os
import signal
import threading

import pytest

from supervisor_restarter.daemon.child import spawning


@pytest.fixture
def noted():
    """A Python handler for SIGTERM, as supervisord has one."""
    received = []
    old = signal.signal(signal.SIGTERM, lambda signum, frame: received.append(signum))
    yield received
    signal.signal(signal.SIGTERM, old)


def status_of_child(child):
    """Fork, run `child` in the child, and return its wait status."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_a_signal_that_comes_before_exec_ends_the_child(noted):
    def child():
        os.kill(os.getpid(), signal.SIGTERM)
    with spawning(None):
        status = status_of_child(child)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM


def test_other_forks_keep_their_handlers(noted):
    def child():
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(len(noted))
    status = status_of_child(child)
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 1


def test_the_child_has_the_mask_and_no_wakeup_descriptor_of_its_parent(noted):
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])

    def child():
        same = signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
        os._exit(42 if same and signal.set_wakeup_fd(-1) == -1 else 1)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    try:
        with spawning(None):
            status = status_of_child(child)
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reading)
        os.close(writing)
    assert os.WEXITSTATUS(status) == 42


def test_the_child_alone_has_the_environment_that_it_is_given():
    def child():
        os._exit(42 if os.environ.get('RESTARTER_TEST') == 'given' else 1)
    with spawning(None) as given:
        given.environment = {'RESTARTER_TEST': 'given'}
        assert os.WEXITSTATUS(status_of_child(child)) == 42
    assert 'RESTARTER_TEST' not in os.environ


def test_the_parent_gets_its_signals_and_its_mask_back(noted):
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(ZeroDivisionError), spawning(None):
        # To this thread: as one to the process it could go to another one, of the test runner.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        assert noted == []
        raise ZeroDivisionError
    assert noted == [signal.SIGTERM]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    assert callable(signal.getsignal(signal.SIGTERM))
