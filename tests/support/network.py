"""The network of a simulated machine, and what the plugin sees of it.

The plugin's own `Readiness` runs here, with its watches; what is not real is the kernel below them.
"""

import itertools
from types import SimpleNamespace
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Set

from supervisor_restarter.daemon import readiness
from supervisor_restarter.daemon.listeners import Address, Table, target
from supervisor_restarter.restart.group_restart import LOOK_EVERY

# Added to the id of a process, it is that of its child, which is in the same process group.
CHILD = 10 ** 6


class Socket(NamedTuple):
    """A process listens. It may share the address with others that do, and answer, or not."""

    pid: int
    address: Address
    shares: bool = False
    answers: bool = True
    since: float = 0.0


class Network:
    """Who listens where, as the plugin's `Listeners` tells it; and which processes there are, as
    the module os does.

    Who wants an address that somebody has and does not share waits until it is free.
    """

    path = SimpleNamespace(exists=lambda path: False)  # there is no /proc

    def __init__(self, machine: Any):
        self.machine = machine
        self.sockets: Dict[int, Socket] = {}
        self._inodes: Dict[Any, Set[int]] = {}  # of a process, and at an address
        self._wanted: Dict[Address, Dict[int, Socket]] = {}  # by process
        self._count, self.turns = itertools.count(1), itertools.count()

    def listen(self, pid: int, address: Address, shares: bool = False,
               answers: bool = True) -> None:
        """Let a process listen on an address, as soon as it can."""
        self._wanted.setdefault(address, {})[pid] = Socket(pid, address, shares, answers)
        self._give(address)

    def close(self, pid: int) -> None:
        """Let a process listen nowhere."""
        for wanted in self._wanted.values():
            wanted.pop(pid, None)
        for inode in self._inodes.pop(pid, ()):
            address = self.sockets.pop(inode).address
            self._inodes[address].remove(inode)
            self._give(address)

    def clear(self) -> None:
        """Let nobody listen."""
        self.sockets, self._inodes, self._wanted = {}, {}, {}

    def _give(self, address: Address) -> None:
        there = self._inodes.setdefault(address, set())
        wanted = self._wanted.get(address, {})
        for pid, each in list(wanted.items()):
            one = next(iter(there), None)  # where there are several, all share
            if one is not None and not self.sockets[one].shares:
                break
            if one is None or each.shares:
                inode = next(self._count)
                self.sockets[inode] = wanted.pop(pid)._replace(since=self.machine.now)
                there.add(inode)
                self._inodes.setdefault(pid, set()).add(inode)

    def at(self, address: Address) -> List[Socket]:
        """Return who listens on an address."""
        return [self.sockets[inode] for inode in self._inodes.get(address, ())]

    def of(self, pid: int) -> Dict[int, Socket]:
        """Return where a process listens, or its child, as long as the process is there."""
        pids = (pid, pid + CHILD) if pid in self.machine.children else ()
        return {inode: self.sockets[inode] for each in pids for inode in self._inodes.get(each, ())}

    # as the plugin's Listeners

    began_to_read = float('inf')  # a table is always of now

    def table(self, age: float = 0.0) -> Table:
        return Table({inode: each.address for inode, each in self.sockets.items()}, {})

    def held(self, pid: int, inodes: Iterable[int]) -> Set[int]:
        return set(self.of(pid)) & set(inodes)

    def owner(self, inode: int, most: int = 1) -> int:
        return self.sockets[inode].pid if inode in self.sockets else 0

    # as the module os

    def getpgid(self, pid: int) -> int:
        self.kill(pid, 0)
        return pid % CHILD

    def kill(self, pid: int, signum: int) -> None:
        machine = self.machine
        if not (pid in machine.children or any(pid == zombie for zombie, _ in machine.zombies)
                or pid < machine.first_pid or pid - CHILD in machine.wrappers):
            raise ProcessLookupError

    def killpg(self, group: int, signum: int) -> None:
        if group not in self.machine.wrappers:
            self.kill(group, signum)


class Attempt:
    """A connection, as `supervisor_restarter.daemon.probe` makes it; of several who share an
    address, each gets one in turn.
    """

    def __init__(self, options: Any, declaration: Any, group: Any,
                 ended: Callable[[bool, str], None], accepts: Any = None):
        self.network, self.ended, self.accepts = options.network, ended, accepts
        self.address = target(declaration.family, declaration.address)
        self.asks = bool(declaration.request)
        self.refused = self.waits = False
        self.inode = 0

    def begin(self) -> None:
        there = [inode for inode, each in self.network.sockets.items()
                 if each.address == self.address]
        self.refused = not there
        if self.refused:
            self.ended(False, 'refused the connection')
            return
        self.inode = there[next(self.network.turns) % len(there)]
        self.waits = self.accepts is not None
        if not self.waits:
            self._ask()

    def _ask(self) -> None:
        if self.network.sockets[self.inode].answers or not self.asks:
            self.ended(True, 'answered 200' if self.asks else 'accepts connections')

    def go_on(self) -> bool:
        if self.inode not in self.network.sockets:
            self.ended(False, 'closed the connection without an answer')
        elif self.waits:
            self.waits = False
            if self.accepts(self):
                self._ask()
                return True
            self.ended(False, 'was answered by another process')
        return False

    def end(self, seen: str) -> None:
        self.ended(False, seen)


class Watched:
    """What is watched of the process `pid`; `told` is how often something was new."""

    def __init__(self, process: Any, noted: Any):
        self.process, self.pid, self.noted = process, process.pid, noted
        self.watch: Any = None
        self.told = 0

    @property
    def parts(self) -> List[Any]:
        return getattr(self.watch, 'watches', [self.watch] if self.watch is not None else [])

    @property
    def ready(self) -> bool:
        return self.watch is None or self.watch.ready


class Readiness(readiness.Readiness):
    """The plugin's own. `last` has what was watched last of each process; `seen` is told of each
    that something is new.
    """

    def __init__(self, machine: Any):
        super().__init__(machine, machine)
        self._listeners = machine.network
        self.last: Dict[int, Watched] = {}
        self.seen: Callable[[Watched], None] = lambda watched: None

    def watch(self, process: Any, declared: Any, delay: float, changed: Callable[[], None],
              noted: Optional[Any] = None) -> Any:
        watched = Watched(process, noted)

        def is_new() -> None:
            watched.told += 1
            self.seen(watched)
            changed()
        watched.watch = super().watch(process, declared, delay, is_new, noted)
        self.last[id(process)] = watched
        return watched.watch

    def forked(self, process: Any, pid: int) -> None:
        """Note which process it is that a restart has spawned."""
        watched = self.last.get(id(process))
        if watched is not None and not watched.pid:
            watched.pid = pid
            path = watched.watch.environment.get('NOTIFY_SOCKET') if watched.watch else None
            if path:
                self.options.paths[pid] = path

    def is_ready(self, process: Any) -> bool:
        """Whether that is known of a process. Where somebody else has spawned one that was to
        notify, its state has to do; and of one that is down, that another one was.
        """
        watched, declares = self.last.get(id(process)), process.config.declares
        if watched is not None and (watched.pid == process.last_pid or not process.pid):
            return watched.ready
        noted = watched.noted if watched is not None else None
        return not (declares and declares != 'notify' or noted is not None and noted.addresses)

    def is_late(self, process: Any, seconds: float) -> bool:
        """Whether it has not been looked at when it was due, nor in so many seconds after that.

        A patient look may wait for those at others, but for no longer than supervisord's own.
        """
        watched = self.last.get(id(process))
        return watched is not None and watched.pid == process.pid and any(
            part in self._watched and self.clock.now > part.pace.next + seconds + (
                LOOK_EVERY if part.patient else 0.0)
            for part in watched.parts)

    @property
    def sockets(self) -> List[Any]:
        """The notifications that are there, each with a socket."""
        return list(self._sockets._living.values())

    @property
    def rests(self) -> bool:
        """Whether nothing is looked at, and nothing waited for."""
        return not self._watched and all(each._closed for each in self.sockets)

    def end(self) -> None:
        """Give all back."""
        for notification in self.sockets:
            notification.end()
