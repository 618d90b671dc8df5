"""The log files of a slot while it has two processes, and those of a process that has ended.

A process has handlers of its own for its log files, and a handler rotates its file by itself. Two
of them for one file lose lines: after a rotation one writes over what the other has appended
(supervisor/loggers.py: RotatingFileHandler.doRollover opens the new file without O_APPEND). So both
processes write through the handlers of the newer process, which has just opened the
file that has the name now. They write whole lines: what supervisord reads from a pipe may end
within one.
"""

import contextlib
import math
import os
import time
from typing import Any, Callable, Iterator, List, Sequence, Tuple

from supervisor.loggers import Handler, LogRecord

from supervisor_restarter.daemon.spawned import after_spawn

# How much of a line that does not end is held back, in bytes: as much as a pipe holds.
LONGEST_LINE = 1 << 16

# How long whole lines are held back for the end of a line of the other process, in seconds.
PATIENCE = 1.0


# What a dispatcher calls the log of what its process writes. In Supervisor 4.1 it is mainlog; an
# event listener's output has only a childlog (supervisor/dispatchers.py: POutputDispatcher,
# PEventListenerDispatcher).
_LOGS = ('normallog', 'mainlog', 'childlog')


def let_go(process: Any) -> None:
    """Let the log files of a process be closed that has ended, when supervisord closes its pipes.

    The main loop has the dispatchers until its turn ends, and with them two descriptors for each
    process (supervisor/supervisord.py: runforever, combined_map). What a restart starts in the same
    turn may need these.
    """
    for dispatcher in process.dispatchers.values():
        for name in (*_LOGS, 'capturelog'):
            if hasattr(dispatcher, name):
                setattr(dispatcher, name, None)


class SharedLogs:
    """What two processes of one slot write their output to.

        logs = SharedLogs('web_0', channels, changed)
        logs.join(old, new)    # right after the new one was spawned
        logs.look()            # when `due()` seconds have passed
        logs.part()            # when one of them is gone

    `channels` are those whose logs are the same for both, of stdout and stderr. Lines for syslog
    begin with `name`, whatever supervisord calls the process. `changed()` is called when something
    is held back: `due()` may have become shorter. The one of the two that is spawned again writes
    to the same files too.
    """

    def __init__(self, name: str, channels: Sequence[str], changed: Callable[[], None],
                 clock: Any = time):
        self.name = name
        self.clock = clock
        self._files = {channel: _SharedFile(changed, clock) for channel in channels}
        self._ends: List[Callable[[], None]] = []

    def join(self, *processes: Any) -> None:
        """Let processes write to the same files; the newest process stands last."""
        for process in processes:
            self._ends.append(after_spawn(process, lambda process=process: self._admit(process)))
            self._admit(process)

    def due(self) -> float:
        """Return the seconds until something has been held back for long enough."""
        since = [writer.since for shared in self._files.values() for writer in shared.writers
                 if writer.held]
        return max(0.0, min(since) + PATIENCE - self.clock.monotonic()) if since else math.inf

    def look(self) -> None:
        """Write what has been held back for long enough."""
        if self.due() <= 0:
            for shared in self._files.values():
                shared.look()

    def part(self) -> None:
        """Write what is held back, and let the process that is left go on alone."""
        while self._ends:
            self._ends.pop()()
        for shared in self._files.values():
            shared.give_back()
        self._files.clear()

    def _admit(self, process: Any) -> None:
        for channel, logger in _loggers(process):
            _name_in_syslog(process, logger, self.name)
            if channel in self._files:
                self._files[channel].admit(logger, process)


def _name_in_syslog(process: Any, logger: Any, name: str) -> None:
    own = '%s %%(message)s' % process.config.name  # supervisor/dispatchers.py: _init_normallog
    for handler in logger.handlers:
        if handler.fmt == own:
            handler.setFormat('%s %%(message)s' % name)


def _loggers(process: Any) -> Iterator[Tuple[str, Any]]:
    for dispatcher in process.dispatchers.values():
        for name in _LOGS:
            if hasattr(dispatcher, name):
                if getattr(dispatcher, name) is not None:
                    yield dispatcher.channel, getattr(dispatcher, name)
                break


class _SharedFile:
    """One log of a slot: its handlers, and the writers that stand for them in the loggers.

    `unfinished` is the writer that has begun a line in the file, and has yet to end it.
    """

    def __init__(self, changed: Callable[[], None], clock: Any) -> None:
        self.changed = changed
        self.clock = clock
        self.handlers: List[Any] = []
        self.writers: List[_Writer] = []
        self.unfinished: Any = None

    def admit(self, logger: Any, process: Any) -> None:
        if any(logger is writer.logger for writer in self.writers):
            return
        for writer in [writer for writer in self.writers if writer.process is process]:
            self.put(writer, len(writer.held))
            self.writers.remove(writer)
            if self.unfinished is writer:
                self.unfinished = None
        for handler in self.handlers:
            with contextlib.suppress(OSError):  # a full disk, which was told when it was written to
                handler.close()
        self.handlers = logger.handlers
        writer = _Writer(self, logger, process)
        if not self.writers and any(map(_ends_within_a_line, self.handlers)):
            self.unfinished = writer
        self.writers.append(writer)
        logger.handlers = [writer]

    def give_back(self) -> None:
        for writer in self._in_order():
            self.put(writer, len(writer.held))
            writer.logger.handlers = list(self.handlers)
        self.writers.clear()

    def look(self) -> None:
        now = self.clock.monotonic()
        for writer in self._in_order():
            if writer.held and writer.since + PATIENCE <= now:
                self.put(writer, writer.whole() or len(writer.held))

    def written(self, writer: '_Writer') -> None:
        """Note that a writer has more to write."""
        for waiting in [writer] + self._in_order():
            whole = waiting.whole()
            if len(waiting.held) > LONGEST_LINE:
                self.put(waiting, whole or len(waiting.held))
            elif whole and self.unfinished in (None, waiting):
                self.put(waiting, whole)

    def put(self, writer: '_Writer', size: int) -> None:
        """Write the first bytes of what a writer holds back."""
        data, writer.held = writer.held[:size], writer.held[size:]
        writer.since = self.clock.monotonic()
        if data:
            self.unfinished = None if data.endswith(b'\n') else writer
            for handler in self.handlers:
                handler.emit(LogRecord(handler.level, data))

    def _in_order(self) -> List['_Writer']:
        # Who has begun a line ends it first.
        return sorted(self.writers, key=lambda writer: writer is not self.unfinished)


class _Writer(Handler):
    """What stands in a process's logger for the handlers of the slot.

    `held` is what it holds back, since the monotonic time `since`.
    """

    def __init__(self, shared: _SharedFile, logger: Any, process: Any):
        super().__init__()
        self.shared = shared
        self.logger = logger
        self.process = process
        self.held = b''
        self.since = math.inf

    def whole(self) -> int:
        """Return how many bytes of what is held back are whole lines."""
        return self.held.rfind(b'\n') + 1

    def emit(self, record: Any) -> None:
        waits = bool(self.held)
        if not waits:
            self.since = self.shared.clock.monotonic()
        self.held += record.msg
        self.shared.written(self)
        if self.held and not waits:
            self.shared.changed()

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
