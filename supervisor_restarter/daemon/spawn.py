"""Starts a program: without forking supervisord where that can be done, else with a safe fork.

A fork of supervisord copies its page tables and then runs Python in the copy; that is most of what
a start takes. A child of subprocess.Popen shares supervisord's memory until exec (vfork) and runs
no Python. What it is to be is said by Supervisor's own code for the child: that runs in
supervisord, and what it wants done is noted.

What cannot be started this way is forked. Of such a child:

Signals: no stop signal is lost. It still has supervisord's Python signal handlers: a stop signal
that arrives before exec is noted by a handler, and forgotten by exec. So the signals that have one
are blocked around the fork, and the child takes the handlers away before it lets the signals in.

Descriptors: Supervisor closes all numbers from 3 up to `minfds`, each with a call of its own in
Python. Here one call closes the same ones.
"""

import contextlib
import os
import signal
import subprocess
import sys
from typing import Any, Callable, Dict, Iterator, List, Optional

# Those with a name: what `stopsignal` can be (supervisor/datatypes.py: signal_number).
_SIGNALS = tuple(signal.Signals)

# Elsewhere a child of Popen can lose a stop signal before exec (Modules/_posixsubprocess.c:
# VFORK_USABLE), or cannot have a process group of its own.
WITHOUT_FORK = sys.platform == 'linux' and sys.version_info >= (3, 11)


def spawn(process: Any, environment: Dict[str, str]) -> None:
    """Let Supervisor spawn a process.

    `environment` are variables that this process has, and nobody else; those that are configured
    for its program win. Raises what `process.spawn()` raises.
    """
    options = process.config.options
    fork_as_before = getattr(options, 'fork', None)
    program: List[Any] = []

    def get_execv_args() -> Any:
        program[:] = [type(process).get_execv_args(process)]
        return program[0]

    def fork() -> int:
        # A listener that is told that the process is STARTING may spawn another one. This one is
        # forked when it has its arguments (supervisor/process.py: Subprocess.spawn).
        if not program:
            return fork_as_before()
        filename, argv = program.pop()
        pid = None
        if WITHOUT_FORK and _is_supervisors(fork_as_before):
            pid = _pid_without_fork(process, environment, filename, argv)
        return pid or _fork_safely(fork_as_before, options, environment)

    with _replaced(process, 'get_execv_args', get_execv_args), _replaced(options, 'fork', fork):
        process.spawn()
    if not process.pid:
        # Their pipes are closed, and the numbers are somebody else's next: of a client with one of
        # them the request would be taken for what the program says, and nobody would answer it
        # (supervisor/process.py: spawn; supervisor/supervisord.py: runforever).
        process.dispatchers, process.pipes = {}, {}


@contextlib.contextmanager
def _replaced(thing: Any, name: str, value: Any) -> Iterator[None]:
    its_own = name in vars(thing)
    before = getattr(thing, name, None)
    setattr(thing, name, value)
    try:
        yield
    finally:
        if its_own:
            setattr(thing, name, before)
        else:
            delattr(thing, name)


# without a fork

class _Child:
    """What a child is to be: in the place of supervisord's options it notes what it is told.

    It has what supervisor/process.py: Subprocess._spawn_as_child asks of them, and nothing else: in
    a Supervisor that asks for more, programs are forked.
    """

    minfds = 3  # Popen closes descriptors

    def __init__(self, serverurl: Optional[str]):
        self.serverurl = serverurl
        self.descriptors: Dict[int, Any] = {}
        self.directory: Optional[str] = None
        self.umask = -1
        self.environment: Optional[Dict[str, str]] = None

    def setpgrp(self) -> None:
        pass

    def dup2(self, descriptor: Any, number: int) -> None:
        self.descriptors[number] = descriptor

    def drop_privileges(self, user: Any) -> Optional[str]:
        return None if user == os.getuid() else 'by a fork only'

    def chdir(self, directory: str) -> None:
        self.directory = directory

    def setumask(self, mask: int) -> None:
        self.umask = mask

    def execve(self, filename: str, argv: List[str], environment: Dict[str, str]) -> None:
        self.environment = environment

    def write(self, descriptor: int, text: str) -> None:
        pass

    def _exit(self, status: int) -> None:
        pass


# Where somebody else's code stands for one of these, it runs in a fork.
_IN_CHILD = ('_spawn_as_child', '_prepare_child_fds', 'set_uid')
_ASKED = tuple(name for name, value in vars(_Child).items() if callable(value) and name[:2] != '__')


def _pid_without_fork(process: Any, environment: Dict[str, str], filename: str,
                      argv: List[str]) -> Optional[int]:
    """Start a program; return its process id, or None where it has to be forked."""
    config = process.config
    if not all(_is_supervisors(getattr(thing, name))
               for thing, names in ((process, _IN_CHILD), (config.options, _ASKED))
               for name in names):
        return None
    child = _Child(config.options.serverurl)
    try:
        with _replaced(config, 'options', child):
            process._spawn_as_child(filename, argv)
        # To Popen a number below 0 means something else, and it looks for a name without a folder.
        if child.environment is None or not os.path.dirname(filename) or any(
                child.descriptors[number] < 0 for number in (0, 1, 2)):
            return None
        started = subprocess.Popen(
            argv, executable=filename, cwd=child.directory, umask=child.umask, process_group=0,
            env={**child.environment, **environment, **(config.environment or {})},
            stdin=child.descriptors[0], stdout=child.descriptors[1], stderr=child.descriptors[2],
            restore_signals=False)  # Supervisor's children ignore SIGPIPE, as it does itself
    except Exception:  # whatever it is, the fork meets it too, and says it as Supervisor does
        return None
    started.returncode = 0  # supervisord collects it, and not subprocess
    return started.pid


def _is_supervisors(function: Any) -> bool:
    module = getattr(function, '__globals__', {}).get('__name__')
    return module in ('supervisor.process', 'supervisor.options')


# with a fork

def _fork_safely(fork: Callable[[], int], options: Any, environment: Dict[str, str]) -> int:
    # Without a Python handler a signal does in the child what it should.
    handled = [signum for signum in _SIGNALS if callable(signal.getsignal(signum))]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, handled)
    try:
        pid = fork()
        if pid == 0:
            for signum in handled:
                signal.signal(signum, signal.SIG_DFL)
            os.environ.update(environment)
            _close_in_one_call(options)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _close_in_one_call(options: Any) -> None:
    # When the child has made its 0, 1 and 2 from the pipes, it calls close_fd for each number from
    # 3 to minfds (supervisor/process.py: Subprocess._prepare_child_fds, and FastCGISubprocess's).
    # Only then may they be closed; so its loop is left one turn, which closes them all. Nobody has
    # to know which ones there are: what somebody opened just before the fork is closed as well.
    minfds = options.minfds
    options.minfds = min(minfds, 4)
    options.close_fd = lambda first: os.closerange(first, minfds)


# for every child of supervisord

_wakeup_descriptor = -1


def keep_from_children(wakeup_descriptor: int) -> None:
    """Let no child of supervisord write to this wakeup descriptor of signals; -1: there is none.

    supervisord forks for others while a restart runs. Such a child closes the descriptor, and a
    signal that comes before exec would be a traceback in the log of its program.
    """
    global _wakeup_descriptor
    _wakeup_descriptor = wakeup_descriptor


def _in_child() -> None:
    if _wakeup_descriptor != -1:
        other = signal.set_wakeup_fd(-1)
        if other != _wakeup_descriptor:
            signal.set_wakeup_fd(other)


os.register_at_fork(after_in_child=_in_child)
