"""Restarts Supervisor's process groups in the time that the processes themselves need."""

from typing import Any

__version__ = '2.0.0'


def __getattr__(name: str) -> Any:
    # supervisord asks for the factory while it is still root, and calls it when it has become the
    # user of its configuration, who may not be allowed to read modules (supervisor/options.py:
    # get_plugins, supervisor/supervisord.py: main). The commands, which only speak XML-RPC, do not
    # ask for it, and so do not load the server side.
    if name == 'make_rpcinterface':
        from supervisor_restarter.rpcinterface import make_rpcinterface
        return make_rpcinterface
    raise AttributeError('module %r has no attribute %r' % (__name__, name))
