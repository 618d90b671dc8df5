"""What a process has written last, for the fault that says that it has not come up."""

import re
import weakref
from typing import Any, Callable, Dict, List, Tuple

from supervisor.dispatchers import stripEscapes

from supervisor_restarter.daemon.spawned import after_spawn
from supervisor_restarter.text import shown_ends

LINES = 3

# How much of a line is kept, in bytes, and shown, in characters: of a longer one both ends, since
# the reason stands at its begin, as in an exception, or at its end, as in `level=error err="..."`.
LONGEST_LINE = 400
LONGEST_SHOWN = 200
CUT = b'\0'

# What is said after the line that says why: by Supervisor's own child (supervisor/process.py:
# _spawn_as_child), and by node.
SAYS_NOTHING = re.compile(rb'supervisor: child process was not spawned|Node\.js v\d')

# Where a program explains its options. Many do so below the line that says which one is wrong.
USAGE = re.compile(rb'\s*(?:usage\b|use:)', re.IGNORECASE)

# What called what, below that line: of Ruby, of JavaScript, Java and .NET, of PHP, of Go; and how
# many of these were left out.
CALLED_FROM = re.compile(rb'\s+from \S+:\d+:in |\s+at .*[:(]|#\d+ |goroutine \d+ \[|\t\S+\.go:\d+'
                         rb'|\s+\.\.\. \d+ ')


def listen_to(process: Any) -> 'LastWords':
    """Return what listens to a process from its next spawn on; it has to be closed.

    Where the process runs already, what it writes from now on is heard too.
    """
    return LastWords(process)


class LastWords:
    """Listens to what one process writes, whether supervisord keeps a log of it or not.

        words = listen_to(process)
        process.spawn()
        ...
        fault = '...; it said last: ' + words.text()
        words.close()

    When the process is spawned again, what it wrote before is forgotten. No more is kept than the
    last three lines of stdout and of stderr, of each 200 characters, without those that say what
    called what, and the line before a text that explains the options. A process that has ended
    has been heard to the end: supervisord empties its pipes first (supervisor/process.py: finish).
    """

    def __init__(self, process: Any):
        self._process = process
        self._channels: Dict[str, _Channel] = {}
        self._ears: List[Tuple[weakref.ref, str, Any]] = []
        self._end = after_spawn(process, self._attach)
        self._attach()

    def text(self) -> str:
        """Return the last three lines, those of stderr first; '' where nothing was heard."""
        lines: List[str] = []
        for name in ('stderr', 'stdout'):
            heard = self._channels[name].lines() if name in self._channels else []
            lines += heard[max(0, len(heard) - (LINES - len(lines))):]
        return ' | '.join(lines)

    def close(self) -> None:
        """Listen no more, and forget what was heard."""
        self._end()
        self._detach()

    def _attach(self) -> None:
        self._detach()
        for dispatcher in self._process.dispatchers.values():
            for method, ear in (('_log', _OutputEar), ('handle_listener_state_change', _EventEar)):
                if hasattr(dispatcher, method):
                    channel = self._channels.setdefault(dispatcher.channel, _Channel())
                    made = ear(weakref.ref(dispatcher), channel.hear)
                    setattr(dispatcher, method, made)
                    self._ears.append((made.dispatcher, method, made))

    def _detach(self) -> None:
        for reference, method, ear in self._ears:
            dispatcher = reference()
            if dispatcher is not None and vars(dispatcher).get(method) is ear:
                delattr(dispatcher, method)
        self._ears.clear()
        self._channels.clear()


# An ear stands for a method of one dispatcher. It must not keep the dispatcher, which holds a log
# file open for as long as it is there.

class _OutputEar:
    """For `_log`, which gets all that a program writes (supervisor/dispatchers.py: _log)."""

    def __init__(self, dispatcher: weakref.ref, hear: Callable[[bytes], None]):
        self.dispatcher = dispatcher
        self._hear = hear

    def __call__(self, data: bytes) -> None:
        dispatcher = self.dispatcher()
        if not dispatcher.capturemode:  # else it is an event, and not for people
            self._hear(data)
        type(dispatcher)._log(dispatcher, data)


class _EventEar:
    """For what comes after each read of an event listener's stdout.

    Its dispatcher has no other place for what was read (supervisor/dispatchers.py:
    PEventListenerDispatcher.handle_read_event); the method calls itself while it works that off.
    """

    def __init__(self, dispatcher: weakref.ref, hear: Callable[[bytes], None]):
        self.dispatcher = dispatcher
        self._hear = hear
        self._left = len(dispatcher().state_buffer)
        self._inside = False

    def __call__(self) -> None:
        dispatcher, outermost = self.dispatcher(), not self._inside
        if outermost:
            self._inside = True
            self._hear(dispatcher.state_buffer[self._left:])
        try:
            type(dispatcher).handle_listener_state_change(dispatcher)
        finally:
            if outermost:
                self._inside = False
                self._left = len(dispatcher.state_buffer)


class _Channel:
    """The end of what was written to stdout, or stderr."""

    def __init__(self) -> None:
        self._lines: List[str] = []
        self._before_usage: List[str] = []
        self._begun = b''

    def hear(self, data: bytes) -> None:
        text = self._begun + data
        *whole, begun = text.split(b'\n')
        self._begun = _ends(begun)
        if any(word in text for word in (b'sage', b'SAGE', b'se:')):  # to look at each line is dear
            for at in [at for at, line in enumerate(whole) if USAGE.match(line)][-1:]:
                self._before_usage = (self._lines + _last(whole[:at]))[-1:]
        self._lines = (self._lines + _last(whole))[-LINES:]

    def lines(self) -> List[str]:
        lines = (self._lines + _last([self._begun]))[-LINES:]
        if len(lines) == LINES and self._before_usage and self._before_usage[0] not in lines:
            lines[0] = self._before_usage[0]
        return lines


def _ends(line: bytes) -> bytes:
    """Return a line, or both ends of a long one."""
    if len(line) <= LONGEST_LINE:
        return line
    half = LONGEST_LINE // 2
    return line[:half] + CUT + line[half:].replace(CUT, b'')[-half:]


def _last(lines: List[bytes]) -> List[str]:
    """Return the last three of some lines that say something, as a message shows them.

    The list is used up.
    """
    found: List[str] = []
    while lines and len(found) < LINES:
        line = lines.pop()
        words = b' '.join(stripEscapes(_ends(line)).split())
        text = words.decode('utf-8', 'replace').replace(CUT.decode(), '...')
        if words == b'}' or words.startswith(b'note: Some details are omitted'):
            _pop_block(lines)
        elif CALLED_FROM.match(line):
            if b'.go:' in line and lines:
                lines.pop()  # the function; its place stands below it
        elif not SAYS_NOTHING.match(words) and any(map(str.isalnum, text)):
            found.insert(0, shown_ends(text, LONGEST_SHOWN))
    return found


def _pop_block(lines: List[bytes]) -> None:
    """Remove what stands above the end of a JavaScript error's properties, or of Rust's frames."""
    for at in range(len(lines) - 1, -1, -1):
        line = lines[at]
        if line == b'stack backtrace:' or (CALLED_FROM.match(line) and line.endswith(b' {')):
            del lines[at:]
            break
        if not line.startswith(b' '):
            break
