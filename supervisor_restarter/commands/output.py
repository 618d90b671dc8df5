"""Writing to outputs that may not take it: that is told, and is no failed restart."""

import contextlib
import errno
import os
from typing import Iterable, Optional, TextIO


def fitting(text: str, stream: TextIO) -> str:
    """Return text in the characters that a stream can have, others escaped as `\\xfc`."""
    encoding = getattr(stream, 'encoding', None) or 'utf-8'
    return text.encode(encoding, 'backslashreplace').decode(encoding)


def write(lines: Iterable[str], stream: TextIO) -> Optional[OSError]:
    """Write lines; return why they could not be written, or None."""
    try:
        for line in lines:
            stream.write(fitting(line, stream) + '\n')
        stream.flush()
    except OSError as why:
        discard(stream)
        return why
    return None


def cannot_be_written(what: str, why: OSError) -> str:
    """Return the sentence for an output that cannot be written; empty where nobody reads it."""
    if why.errno == errno.EPIPE:
        return ''
    return '%s: cannot be written: %s' % (what, why.strerror or why)


def discard(stream: TextIO) -> None:
    """Let a stream lead nowhere, so that what is left in it does no harm as the program ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
