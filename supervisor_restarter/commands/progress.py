"""A line that shows how a restart stands, redrawn in place and gone when it ends."""

import contextlib
import shutil
import threading
import xmlrpc.client
from typing import Any, Callable, Dict, Iterator, TextIO

from supervisor_restarter.commands.client import NO_ANSWER, NO_CONNECTION, NO_HTTP

PERIOD = 0.2  # seconds
BAR = 20  # characters

_CLEAR = '\r\x1b[K'
_SHOWN = ('waiting', 'stopping', 'starting', 'restarted', 'failed', 'removed')


def line(info: Dict[str, Any], width: int) -> str:
    """Return the line for the struct of `getRestartInfo`, narrower than `width` characters."""
    settled = info['restarted'] + info['failed'] + info['removed']
    filled = BAR * settled // max(1, info['total'])
    counts = ', '.join('%d %s' % (info[phase], phase) for phase in _SHOWN if info[phase])
    text = '%s [%s%s] %s, %.1f s' % (info['group'], '#' * filled, '.' * (BAR - filled), counts,
                                     info['elapsed'])
    return text[:max(0, width - 1)]


@contextlib.contextmanager
def progress(group: str, connect: Callable[[], Any], stream: TextIO) -> Iterator[None]:
    """Show on `stream`, a terminal, how the restart of `group` stands, while the body runs.

    `connect` returns a new `xmlrpc.client.ServerProxy`, which this then uses alone.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_draw, args=(group, connect, stream, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        # The line must be gone before anything else is written; a call that hangs is left behind.
        thread.join(1.0)
        stream.write(_CLEAR)
        stream.flush()


def _draw(group: str, connect: Callable[[], Any], stream: TextIO, ended: threading.Event) -> None:
    try:
        proxy = connect()
        while not ended.wait(PERIOD):
            info = proxy.restarter.getRestartInfo(group)
            if info['state'] in ('RESTARTING', 'SETTLING') and not ended.is_set():
                stream.write(_CLEAR + line(info, shutil.get_terminal_size().columns))
                stream.flush()
    except (xmlrpc.client.Error, *NO_CONNECTION, *NO_HTTP, *NO_ANSWER):
        pass  # The call itself says what is wrong; an older server does not know getRestartInfo.
