"""What programs declare of their readiness, and the watches that see it."""

from typing import Any, Callable, Optional, Set

from supervisor_restarter.daemon import declaration
from supervisor_restarter.daemon.declaration import Declaration
from supervisor_restarter.daemon.notify import Notification, Sockets
from supervisor_restarter.daemon.probe import Probe


class Readiness:
    """Whether the processes of a supervisord are ready; `options` are those of supervisord.

        watch = readiness.watch(process, readiness.declared(process.config), 0.2, changed)
        process.spawn()  # with `watch.environment`
        while not watch.ready:
            ...  # the main loop turns; `changed` is called, and `look()` after `due()` seconds
        watch.close()
    """

    def __init__(self, options: Any):
        self.options = options
        self._sockets = Sockets(options)
        self._asked: Set[Probe] = set()

    def declared(self, config: Any) -> Optional[Declaration]:
        """Return what a program declares, or None; `config` is that of a process.

        Raises ValueError for a value that cannot be; its message says what is allowed.
        """
        return declaration.declared(config.environment)

    def watch(self, process: Any, declared: Declaration, delay: float,
              changed: Callable[[], None]) -> Any:
        """Return a watch for a process, which is about to be spawned or has been.

        The watch has `awaited` and `seen`, as text; `ready`; `environment`, the variables that the
        process has to have; `extended_until`, the monotonic time until which it has asked to be
        waited for; `look()`, `due()` in seconds, and `close()`. `delay` are the seconds between two
        looks at most. `changed()` is called when there is something new. Raises OSError where no
        socket is to be had.
        """
        if declared.can_be_asked:
            return Probe(self.options, declared, delay, changed, self._asked)
        return Notification(self.options, self._sockets, process.config.uid, changed)
