"""A web application: it answers with the id of the process that serves it."""

import contextlib
import os
import socket
from typing import Any, Awaitable, Callable, Dict

Message = Dict[str, Any]

HEADERS = [(b'content-type', b'text/plain')]


async def app(scope: Message, receive: Callable[[], Awaitable[Message]],
              send: Callable[[Message], Awaitable[None]]) -> None:
    """Start and stop, or serve one request, as https://asgi.readthedocs.io says."""
    if scope['type'] == 'lifespan':
        await receive()
        # What takes time before a request can be served belongs here.
        await send({'type': 'lifespan.startup.complete'})
        tell_that_it_is_ready()
        await receive()
        await send({'type': 'lifespan.shutdown.complete'})
        return
    body = b'%d\n' % os.getpid()
    length = (b'content-length', b'%d' % len(body))
    await send({'type': 'http.response.start', 'status': 200, 'headers': HEADERS + [length]})
    await send({'type': 'http.response.body', 'body': body})


def tell_that_it_is_ready() -> None:
    """Send READY=1, as sd_notify(3) does, to whoever has started this process and waits for it."""
    if 'NOTIFY_SOCKET' in os.environ:
        with contextlib.suppress(OSError), socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])
