"""Faults that a test cannot cause from outside: an RPC namespace in the supervisord of a test.

    [rpcinterface:saboteur]
    supervisor.rpcinterface_factory = tests.programs.saboteur:make_rpcinterface
"""

import contextlib
import errno
import itertools
import os
import pwd
import resource
import subprocess
import time
import types
from unittest import mock

from supervisor.process import Subprocess

from supervisor_restarter.daemon import listeners


class SaboteurRPCInterface:
    def __init__(self, supervisord):
        self._supervisord, self._options = supervisord, supervisord.options
        self._fork, self._time, self._spawn = os.fork, time.time, Subprocess.spawn

    def failForks(self, count):
        """Let the next forks of processes fail, as with the process limit reached."""
        left = [count]

        def fork():
            if left[0]:
                left[0] -= 1
                raise OSError(errno.EAGAIN, 'Resource temporarily unavailable')
            return self._fork()
        self._options.fork = fork
        return True

    def failSpawns(self, nth):
        """Let each nth spawn fail, with 0 none: no descriptor, no process, no memory, in turn."""
        spawns = itertools.count(1)

        def spawn(process):
            number, rest = divmod(next(spawns), nth)
            if rest:
                return self._spawn(process)
            with _refused(*[
                    (errno.EMFILE, number // 3 % 3, (os, 'pipe')),  # the first pipe, or a later one
                    (errno.EAGAIN, 0, (os, 'fork'), (subprocess, '_fork_exec')),
                    (errno.ENOMEM, 0, (os, 'fork'), (subprocess, '_fork_exec'))][number % 3]):
                return self._spawn(process)
        Subprocess.spawn = spawn if nth else self._spawn
        return True

    def becomeUser(self, name):
        """Let this supervisord go on as another user, to whom limits apply."""
        user = pwd.getpwnam(name)
        os.setgroups([])
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
        return True

    def limitProcesses(self, count):
        """Set how many processes the user may have; -1 for as many as it is allowed to allow."""
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        resource.setrlimit(resource.RLIMIT_NPROC, (hard if count == -1 else count, hard))
        return True

    def leaveLinux(self):
        """Let who listens where not be told, as on a system that is not Linux."""
        listeners.sys = types.SimpleNamespace(platform='darwin')
        return True

    def setStartsecs(self, group, names, seconds):
        """Let some processes of a group have another startsecs, STARTING ones as well."""
        for name in set(names) & set(self._supervisord.process_groups[group].processes):
            self._supervisord.process_groups[group].processes[name].config.startsecs = seconds
        return True

    def setClock(self, seconds):
        """Set the system clock, as this supervisord sees it, forward or back."""
        time.time = lambda: self._time() + seconds
        return True


@contextlib.contextmanager
def _refused(number, after, *calls):
    """After so many, let these calls raise an error of a system that has too little."""
    def refuse(function):
        left = [after]

        def call(*arguments, **options):
            left[0] -= 1
            if left[0] >= 0:
                return function(*arguments, **options)
            raise OSError(number, os.strerror(number))
        return call
    with contextlib.ExitStack() as stack:
        for module, name in calls:
            if hasattr(module, name):  # a Python that forks has no other
                stack.enter_context(mock.patch.object(
                    module, name, refuse(getattr(module, name))))
        yield


def make_rpcinterface(supervisord):
    return SaboteurRPCInterface(supervisord)
