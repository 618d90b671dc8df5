"""What programs declare of their readiness, and the watches that see it."""

import math
import time
from typing import Any, Callable, Dict, Iterable, List, Optional, Set

from supervisor_restarter.daemon import declaration, process_groups
from supervisor_restarter.daemon.declaration import Declaration
from supervisor_restarter.daemon.listeners import Listeners
from supervisor_restarter.daemon.listening import Listening, Noted, Own, note
from supervisor_restarter.daemon.notify import Notification, Sockets
from supervisor_restarter.daemon.probe import Probe


class Readiness:
    """Whether the processes of a supervisord are ready.

    `options` are those of supervisord, `clock` gives `monotonic()`.

        declared = readiness.declared(process.config)
        noted = readiness.note(process, declared, surge)  # before anything is done to it
        if noted is not None and noted.refusal:
            ...  # it cannot have a second process beside it
        process.stop()  # in a surge it runs on, and `process` is another one from here on
        watch = readiness.watch(process, declared, 0.2, changed, noted)
        process.spawn()  # with `watch.environment`
        while not watch.ready:
            ...  # the main loop turns; `changed` is called, and `look()` after `due()` seconds
        watch.close()

    What the old process says is never taken for what the new one does.
    """

    def __init__(self, options: Any, clock: Any = time):
        self.options = options
        self.clock = clock
        self._sockets = Sockets(options)
        self._listeners = Listeners(options.logger.warn)
        self._watched: Set[Any] = set()

    def declared(self, config: Any) -> Optional[Declaration]:
        """Return what a program declares, or None; `config` is that of a process.

        Raises ValueError for a value that is not allowed; its message says what is.
        """
        return declaration.declared(config.environment)

    def note(self, process: Any, declared: Optional[Declaration], surge: bool) -> Optional[Noted]:
        """Note where a process listens that is to get a successor; None where that is of no use.

        `surge`: the successor is started beside it. Then `refusal` of what is returned says, as the
        end of a sentence, why that cannot be; it is empty where it can. Takes 0.2 to 1 ms.
        """
        if not process.pid or not (surge or _listens(declared)):
            return None
        return note(self._listeners, process, declared, surge)

    def watch(self, process: Any, declared: Optional[Declaration], delay: float,
              changed: Callable[[], None], noted: Optional[Noted] = None) -> Any:
        """Return a watch for a process, which is about to be spawned or has been, or None.

        `noted` is what was noted of its predecessor. With None, RUNNING is all that can be seen.

        The watch has `awaited` and `seen`, as text; `ready`; `early`, whether one that is ready is
        up before it is RUNNING; `environment`, the variables that the process has to have;
        `extended_until`, the monotonic time until which it has asked to be waited for; `look()`,
        `due()` in seconds, or with `patient` later, when that of others is; `in_the_way()`, who
        else listens where the process is to listen, as a sentence; and `close()`. `delay` are the
        seconds between two looks at most.
        `changed()` is called when there is something new. Raises OSError where no socket is to be
        had; spawn the process all the same.
        """
        watches: List[Any] = []
        listens = _listens(declared)
        if declared is not None and declared.notifies:
            watches.append(Notification(self.options, self._sockets, process, changed,
                                        self.clock))
        elif declared is not None and not listens:
            watches.append(Probe(self.options, declared, delay, changed, self._watched,
                                 Own(self._listeners, process, declared, noted), self.clock))
        if noted is not None and noted.addresses and (noted.surge or listens):
            watches.insert(0, Listening(self._listeners, process, noted, listens, delay, changed,
                                        self._watched, self.clock))
        elif listens:
            watches.append(Running(noted))
        return Together(watches) if len(watches) > 1 else watches[0] if watches else None

    def group_lives(self, pid: int) -> bool:
        """Whether there are processes in the process group that a process leads, or has led."""
        return process_groups.has_anybody(pid)

    def groups_that_run(self, pids: Iterable[int]) -> Set[int]:
        """Return those of the ids whose process groups have processes that run."""
        return process_groups.that_run(pids)


class Running:
    """The watch for a process of which nothing can be seen but that it is RUNNING."""

    extended_until = -math.inf
    ready = patient = True
    early = False
    awaited = 'RUNNING'

    def __init__(self, noted: Optional[Noted]):
        self.environment: Dict[str, str] = {}
        self.seen = 'is ready when it is RUNNING: ' + (
            'it had no predecessor' if noted is None else
            'it cannot be seen who listens where: %s' % noted.why if noted.why else
            'its predecessor listened nowhere')

    def look(self) -> None:
        """There is nothing to see."""

    def due(self) -> float:
        """Return infinity: there is no time at which to look."""
        return math.inf

    def in_the_way(self) -> str:
        """Return '': it cannot be seen whether there is anybody."""
        return ''

    def close(self) -> None:
        """There is nothing to give back."""


class Together:
    """Several watches for one process, as one: it is ready when all say so."""

    def __init__(self, watches: List[Any]):
        self.watches = watches
        self.environment = {name: value for watch in watches
                            for name, value in watch.environment.items()}

    @property
    def ready(self) -> bool:
        """Whether all are ready."""
        return all(watch.ready for watch in self.watches)

    @property
    def patient(self) -> bool:
        """Whether all are patient."""
        return all(watch.patient for watch in self.watches)

    @property
    def early(self) -> bool:
        """Whether the program has declared what it is ready by."""
        return any(watch.early for watch in self.watches)

    @property
    def awaited(self) -> str:
        """What is awaited, of the first that is not ready."""
        return self._first().awaited

    @property
    def seen(self) -> str:
        """What was seen last, of the first that is not ready."""
        return self._first().seen

    @property
    def extended_until(self) -> float:
        """The time until which it has asked to be waited for."""
        return max(watch.extended_until for watch in self.watches)

    def look(self) -> None:
        """Let each look."""
        for watch in self.watches:
            watch.look()

    def due(self) -> float:
        """Return the seconds until the next look at a watch that is not ready."""
        return min((watch.due() for watch in self.watches if not watch.ready), default=math.inf)

    def in_the_way(self) -> str:
        """Return who else listens where the process is to listen."""
        return next(filter(None, (watch.in_the_way() for watch in self.watches)), '')

    def close(self) -> None:
        """Close each."""
        for watch in self.watches:
            watch.close()

    def _first(self) -> Any:
        return next((watch for watch in self.watches if not watch.ready), self.watches[-1])


def _listens(declared: Optional[Declaration]) -> bool:
    return declared is not None and declared.text == 'listen'
