"""A line that shows how errands stand, redrawn in place and gone when they have ended."""

import contextlib
import shutil
import threading
from typing import Any, Callable, Iterator, List, TextIO

from supervisor_restarter.commands.connection import TROUBLE
from supervisor_restarter.commands.errands import RUNNING, Errand
from supervisor_restarter.commands.output import fitting
from supervisor_restarter.commands.standing import progress_line

PERIOD = 0.2  # seconds

_CLEAR = '\r\x1b[K'


@contextlib.contextmanager
def progress(errands: List[Errand], connect: Callable[[], Any], stream: TextIO) -> Iterator[None]:
    """Show on `stream`, a terminal, how the first of the errands stands, while the body runs.

    `connect` returns a new `xmlrpc.client.ServerProxy`, which this then uses alone.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_draw, args=(errands, connect, stream, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        # The line must be gone before anything else is written; a call that hangs is left behind.
        thread.join(1.0)
        with contextlib.suppress(OSError):
            stream.write(_CLEAR)
            stream.flush()


def _draw(errands: List[Errand], connect: Callable[[], Any], stream: TextIO,
          ended: threading.Event) -> None:
    # The call itself says what is wrong; an older server does not know getRestartInfo.
    with contextlib.suppress(*TROUBLE, ValueError):
        proxy = connect()
        while not ended.wait(PERIOD):
            going = [errand for errand in errands if not errand.ended]
            if not going:
                continue
            info = proxy.restarter.getRestartInfo(going[0].group)
            if info['state'] in RUNNING and not ended.is_set():
                line = progress_line(info, shutil.get_terminal_size().columns, len(going) - 1,
                                     going[0].queued)
                stream.write(_CLEAR + fitting(line, stream))
                stream.flush()
