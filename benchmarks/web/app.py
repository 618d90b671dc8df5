"""A web application that answers with the id of its process, and says when it is ready."""

import os
import socket
from typing import Any, Awaitable, Callable, Dict

HEADERS = [(b'content-type', b'text/plain')]


async def app(scope: Dict[str, Any], receive: Callable[[], Awaitable[Dict[str, Any]]],
              send: Callable[[Dict[str, Any]], Awaitable[None]]) -> None:
    """Serve a request, or the process's start and end, as https://asgi.readthedocs.io says."""
    if scope['type'] == 'lifespan':
        while (await receive())['type'] == 'lifespan.startup':
            say_ready()
            await send({'type': 'lifespan.startup.complete'})
        await send({'type': 'lifespan.shutdown.complete'})
        return
    body = b'%d\n' % os.getpid()
    length = (b'content-length', b'%d' % len(body))
    await send({'type': 'http.response.start', 'status': 200, 'headers': HEADERS + [length]})
    await send({'type': 'http.response.body', 'body': body})


def say_ready() -> None:
    """Tell whoever has started the process, as sd_notify(3) does."""
    path = os.environ.get('NOTIFY_SOCKET')
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b'READY=1', path)
