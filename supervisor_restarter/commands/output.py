"""Writes to outputs. Where that cannot be done it is told; the restart has not failed by that."""

import contextlib
import errno
import os
from typing import Iterable, Optional, TextIO


def fitting(text: str, stream: TextIO) -> str:
    """Return text with the characters escaped (`\\xfc`) that a stream cannot have."""
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
    """Let a stream lead to /dev/null, so that what it still holds is no error at the end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
