"""Keeps a supervisord from starting that is configured wrongly."""

from typing import Any


def keep_from_starting(supervisord: Any, why: str) -> None:
    """Let supervisord log `why`, write it to its terminal, and exit with status 2.

    For a factory of [rpcinterface:x], which is to return then. What it raises would be logged with
    its traceback (supervisor/http.py: make_http_servers); so supervisord ends at its next step,
    before it becomes a daemon and starts a process (supervisor/supervisord.py: run).
    """
    options, sentence = supervisord.options, 'restarter: %s' % why
    if 'setsignals' not in vars(options):  # The factory is called for each HTTP server.
        options.logger.critical(sentence)
        options.setsignals = lambda: options.usage(sentence)
