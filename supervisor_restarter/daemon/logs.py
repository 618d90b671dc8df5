"""The log files of a slot while it has two processes.

A process has handlers of its own for its log files, and a handler rotates its file by itself. Two
of them for one file lose lines: after a rotation one writes over what the other has appended
(supervisor/loggers.py: RotatingFileHandler.doRollover opens the new file without O_APPEND). So both
processes write through the handlers of the one that was there first. They write whole lines: what
supervisord reads from a pipe may end within one.
"""

import os
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from supervisor.loggers import Handler, LogRecord

# How much of a line that does not end is held back, in bytes: as much as a pipe holds.
LONGEST_LINE = 1 << 16

# How much of what a process has said last is kept, in bytes.
LAST_WORDS = 1000


class SharedLogs:
    """What two processes of one slot write their output to.

        logs = SharedLogs()
        logs.join(old, new)    # whenever one of them may have been spawned again
        logs.part()            # when one of them is gone

    The handlers of the process that is named first are those of the slot from then on. `channels`
    are those whose logs are the same for both, of stdout and stderr.
    """

    def __init__(self, channels: Sequence[str] = ('stdout', 'stderr')) -> None:
        self.channels = channels
        self._files: Dict[str, _SharedFile] = {}

    def join(self, *processes: Any) -> None:
        """Let processes write to the same files, if they do not yet."""
        for process in processes:
            for channel, logger in _loggers(process):
                if channel in self.channels:
                    self._files.setdefault(channel, _SharedFile()).admit(logger, process)

    def last_words(self, process: Any) -> str:
        """Return the last line that a process has written; empty where that is not known."""
        for channel in ('stderr', 'stdout'):
            if channel in self._files:
                lines = self._files[channel].said_by(process).split(b'\n')
                for line in filter(None, map(bytes.strip, reversed(lines))):
                    return line.decode('utf-8', 'replace')
        return ''

    def part(self) -> None:
        """Write what is held back, and let whoever is left go on alone."""
        for shared in self._files.values():
            shared.give_back()
        self._files.clear()


def name_in_logs(process: Any, name: str) -> None:
    """Let the lines that a process writes to syslog begin with a name."""
    own = '%s %%(message)s' % process.config.name  # supervisor/dispatchers.py: _init_normallog
    for _, logger in _loggers(process):
        for handler in logger.handlers:
            if handler.fmt == own:
                handler.setFormat('%s %%(message)s' % name)


def _loggers(process: Any) -> Iterator[Tuple[str, Any]]:
    for dispatcher in process.dispatchers.values():
        # In Supervisor 4.1 it is called mainlog; an event listener's output has only a childlog
        # (supervisor/dispatchers.py: POutputDispatcher, PEventListenerDispatcher).
        for name in ('normallog', 'mainlog', 'childlog'):
            if hasattr(dispatcher, name):
                if getattr(dispatcher, name) is not None:
                    yield dispatcher.channel, getattr(dispatcher, name)
                break


class _SharedFile:
    """One log of a slot: its handlers, and the loggers that write to it.

    `unfinished` is the writer that has begun a line, and has yet to end it.
    """

    def __init__(self) -> None:
        self.handlers: List[Any] = []
        self.loggers: List[Any] = []
        self.unfinished: Any = None

    def admit(self, logger: Any, process: Any) -> None:
        if any(logger is known for known in self.loggers):
            return
        writer = _Writer(self, process)
        if self.handlers:
            for handler in logger.handlers:
                handler.close()
        else:
            self.handlers = logger.handlers
            self.unfinished = writer if any(map(_ends_within_a_line, self.handlers)) else None
        logger.handlers = [writer]
        self.loggers.append(logger)

    def give_back(self) -> None:
        for writer in self._writers():
            self.put(writer, len(writer.held))
        for logger in self.loggers:
            logger.handlers = self.handlers

    def written(self, writer: '_Writer') -> None:
        """Note that a writer has more to write."""
        for waiting in [writer] + self._writers():
            whole = waiting.held.rfind(b'\n') + 1
            if len(waiting.held) > LONGEST_LINE:
                self.put(waiting, whole or len(waiting.held))
            elif whole and self.unfinished in (None, waiting):
                self.put(waiting, whole)

    def put(self, writer: '_Writer', size: int) -> None:
        """Write the first bytes of what a writer holds back."""
        data, writer.held = writer.held[:size], writer.held[size:]
        if data:
            self.unfinished = None if data.endswith(b'\n') else writer
            for handler in self.handlers:
                handler.emit(LogRecord(handler.level, data))

    def said_by(self, process: Any) -> bytes:
        """Return the end of what a process has written."""
        return b''.join(writer.said for writer in self._writers() if writer.process is process)

    def _writers(self) -> List['_Writer']:
        # Who has begun a line ends it first.
        return sorted((logger.handlers[0] for logger in self.loggers),
                      key=lambda writer: writer is not self.unfinished)


class _Writer(Handler):
    """What stands in a process's logger for the handlers of the slot."""

    def __init__(self, shared: _SharedFile, process: Any):
        super().__init__()
        self.shared = shared
        self.process = process
        self.held = self.said = b''

    def emit(self, record: Any) -> None:
        self.held += record.msg
        self.said = (self.said + record.msg)[-LAST_WORDS:]
        self.shared.written(self)

    def reopen(self) -> None:
        for handler in self.shared.handlers:
            handler.reopen()

    def remove(self) -> None:
        self.shared.unfinished = None
        for handler in self.shared.handlers:
            handler.remove()


def _ends_within_a_line(handler: Any) -> bool:
    path = getattr(handler, 'baseFilename', None)
    try:
        if path is None or not os.path.isfile(path) or not os.path.getsize(path):
            return False
        with open(path, 'rb') as log:
            log.seek(-1, os.SEEK_END)
            return log.read() != b'\n'
    except OSError:  # It is only a matter of how its lines look.
        return False
