"""Restarts Supervisor's process groups in the time that the processes themselves need."""

__version__ = '2.0.0'


def make_rpcinterface(supervisord, **config):
    """Make the restarter namespace for one of supervisord's HTTP servers.

    See `supervisor_restarter.rpcinterface.make_rpcinterface`; the import waits until here, so
    that the commands, which only speak XML-RPC, do not load the server side.
    """
    from supervisor_restarter import rpcinterface
    return rpcinterface.make_rpcinterface(supervisord, **config)
