"""A line that shows how a restart stands, redrawn in place and gone when it ends."""

import contextlib
import shutil
import threading
import xmlrpc.client
from typing import Any, Callable, Iterator, TextIO

from supervisor_restarter.commands.client import NO_ANSWER, NO_CONNECTION, NO_HTTP
from supervisor_restarter.commands.standing import progress_line

PERIOD = 0.2  # seconds

_CLEAR = '\r\x1b[K'


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
                stream.write(_CLEAR + progress_line(info, shutil.get_terminal_size().columns))
                stream.flush()
    except (xmlrpc.client.Error, *NO_CONNECTION, *NO_HTTP, *NO_ANSWER):
        pass  # The call itself says what is wrong; an older server does not know getRestartInfo.
