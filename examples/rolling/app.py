"""A web application in one function: it answers with the id of the process that serves it."""

import os
from typing import Any, Awaitable, Callable, Dict

HEADERS = [(b'content-type', b'text/plain')]


async def app(scope: Dict[str, Any], receive: Callable[[], Awaitable[Dict[str, Any]]],
              send: Callable[[Dict[str, Any]], Awaitable[None]]) -> None:
    """Serve one request, as https://asgi.readthedocs.io says."""
    body = b'%d\n' % os.getpid()
    length = (b'content-length', b'%d' % len(body))
    await send({'type': 'http.response.start', 'status': 200, 'headers': HEADERS + [length]})
    await send({'type': 'http.response.body', 'body': body})
