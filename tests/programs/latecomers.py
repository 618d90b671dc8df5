"""Tells what the supervisord of a test reads after it has read its configuration.

    [rpcinterface:latecomers]
    supervisor.rpcinterface_factory = tests.programs.latecomers:make_rpcinterface
"""

import os
import sys
from pathlib import Path

import supervisor_restarter

LIBRARIES = tuple(str(Path(module.__file__).resolve().parent) + os.sep
                  for module in (os, supervisor_restarter))

opened = set()


def _note(event, arguments):
    if event == 'open' and isinstance(arguments[0], str):
        path = os.path.realpath(arguments[0])
        if path.startswith(LIBRARIES):
            opened.add(path)


class LatecomersRPCInterface:
    def getOpened(self):
        """Return which files of the plugin and of Python's library have been opened."""
        return sorted(opened)


def make_rpcinterface(supervisord):
    return LatecomersRPCInterface()


sys.addaudithook(_note)
