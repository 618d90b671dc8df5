"""The place of the plugin until 1.1.0, for configurations that still name it."""

from supervisor_restarter import rpcinterface

_OLD = 'supervisor.plugins.restarter:make_rpcinterface'
_NEW = 'supervisor_restarter:make_rpcinterface'


def make_rpcinterface(supervisord, **config):
    """Make the restarter namespace, and log its new place once for each supervisord.

    See `supervisor_restarter.rpcinterface.make_rpcinterface`.
    """
    interface = rpcinterface.make_rpcinterface(supervisord, **config)
    # supervisord calls this once for each of its HTTP servers (supervisor/http.py:
    # make_http_servers).
    if not hasattr(supervisord, 'restarter_old_name_logged'):
        supervisord.restarter_old_name_logged = True
        supervisord.options.logger.warn(
            'restarter: %s is the old name of this plugin and still works; the new one is '
            'supervisor.rpcinterface_factory = %s' % (_OLD, _NEW))
    return interface
