"""Whether a process listens at an address: itself, and not its predecessor or somebody else."""

import contextlib
import math
import os
import socket
import time
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Optional, Set, Tuple

from supervisor_restarter.daemon.declaration import Declaration
from supervisor_restarter.daemon.listeners import (
    AT_A_TIME,
    PASS,
    Address,
    CannotSee,
    Listeners,
    Table,
    accepted,
    fixed,
    target,
)
from supervisor_restarter.daemon.pace import LEAST, Pace
from supervisor_restarter.daemon.process_groups import is_there

# How many processes are looked at, at once, for the one that is in the way of a failed process.
AT_END = 500


class Noted(NamedTuple):
    """Where a process listened before its successor was there, with the sockets `inodes`.

    `surge`: it serves on beside its successor. `refusal`: why it cannot have one beside it, as the
    end of a sentence; empty where it can. `why`: why it cannot be seen where it listens.
    """

    pid: int
    config: Any
    surge: bool
    addresses: Tuple[Address, ...] = ()
    inodes: FrozenSet[int] = frozenset()
    refusal: str = ''
    why: str = ''


def note(listeners: Listeners, process: Any, declared: Any, surge: bool) -> Noted:
    """Return where a process listens that is to get a successor."""
    pid, config = process.pid, process.config
    addresses: List[Address] = []
    try:
        table = listeners.table(PASS)
        # Between fork and exec a child has the sockets of the HTTP servers too.
        inodes = (listeners.held(pid, table.inodes) - _of_supervisord(process)
                  - _of_http_servers(config.options))
        if inodes:
            words = ' '.join([config.command, *(config.environment or {}).values()])
            addresses = fixed({table.addresses[inode] for inode in inodes}, pid, words,
                              table.given_away)
    except (CannotSee, OSError) as why:
        asked = declared is not None and declared.family is not None
        refusal = ('with max_surge it cannot be seen whether the new process answers at %s, or the '
                   'old one: %s' % (target(declared.family, declared.address), why)
                   if surge and asked else '')
        return Noted(pid, config, surge, refusal=refusal, why=str(why))
    refusal = ''
    if surge:
        # What serves on a port, or on supervisord's socket, may have a path beside it, such as
        # gunicorn's control socket: the next one takes it over, as in any restart.
        paths = [address for address in addresses if address.is_path]
        addresses = [address for address in addresses if not address.is_path]
        if paths and not _of_supervisord(process) and not any(
                address.port for address in addresses):
            refusal = ('with max_surge its successor would take %s away, on which pid %d listens'
                       % (paths[0], pid))
    return Noted(pid, config, surge, tuple(addresses), frozenset(inodes), refusal)


class Own:
    """Whether a process, or a descendant of it, listens at the address of a declaration.

    `blind`: that cannot be seen. `others_too`: others have a socket there as well, or the same one,
    so that it has to be asked of each connection (SO_REUSEPORT, an `[fcgi-program]`).
    """

    def __init__(self, listeners: Listeners, process: Any, declaration: Declaration,
                 noted: Optional[Noted] = None):
        self.listeners = listeners
        self.process = process
        self.noted = noted
        self.address = target(declaration.family, declaration.address)
        self.blind = False
        self.others_too = False
        self._listened = False
        self._before: Set[int] = set()
        try:
            self._before = listeners.table().at(self.address)
        except CannotSee:
            self.blind = True
        except OSError:
            pass  # no descriptor; whatever it is, an obstacle later tells

    def obstacle(self) -> str:
        """Return why an answer says nothing of the process, as a sentence; empty if it does."""
        try:
            return self._obstacle(self.listeners.table().at(self.address))
        except CannotSee:
            return ''
        except OSError as why:
            return 'cannot be seen: %s' % why.strerror

    def _obstacle(self, at: Set[int]) -> str:
        if not at:
            return 'nobody listens on %s' % str(self.address)
        shared = _of_supervisord(self.process)
        self.others_too = False
        try:
            held = self.listeners.held(self.process.pid, at)
        except CannotSee:
            # A socket that was not there before is the new process's.
            return '' if at - self._before else self._whose(at)
        if held:
            self._listened = True
            self.others_too = held != at or bool(held & shared)
            return ''
        return self._whose(at)

    def accepts(self, connection: socket.socket) -> Optional[bool]:
        """Return whether the process has accepted a connection; None while nobody has."""
        inode = accepted(connection)
        return bool(self.listeners.held(self.process.pid, {inode})) if inode else None

    def others(self) -> str:
        """Return who else listens at the address, as a sentence; empty where nobody does."""
        try:
            at = self.listeners.table().at(self.address)
            return self._whose(at, AT_END) if at and not self._listened else ''
        except (CannotSee, OSError):
            return ''

    def _whose(self, at: Set[int], most: int = AT_A_TIME) -> str:
        if self.noted is not None and at & self.noted.inodes and is_there(self.noted.pid):
            return '%s is listened on by pid %d' % (self.address, self.noted.pid)
        owners = [owner for owner in (self.listeners.owner(inode, most) for inode in at) if owner]
        if any(_leads(self.process.pid, owner) for owner in owners):
            return ''
        return '%s is listened on by %s' % (
            self.address, 'pid %d' % owners[0] if owners else 'another process')


class Listening:
    """The watch for a process that is to listen where its predecessor did, or does.

    As `Readiness.watch` returns it. `watched` has all watches of a supervisord that have to look.
    """

    extended_until = -math.inf
    patient = True

    def __init__(self, listeners: Listeners, process: Any, noted: Noted, early: bool, delay: float,
                 changed: Callable[[], None], watched: Set[Any], clock: Any = time):
        self.listeners = listeners
        self.process = process
        self.noted = noted
        self.early = early
        self.changed = changed
        self.watched = watched
        self.clock = clock
        self.pace = Pace(delay, watched, clock)
        self._began = clock.monotonic()
        self.pace.next = self._began + LEAST  # no program listens before
        self.environment: Dict[str, str] = {}
        self.ready = False
        self._others = ''
        self.awaited = 'listens on %s' % ', '.join(map(str, noted.addresses))
        self.seen = 'does not listen on %s, where pid %d %s' % (
            noted.addresses[0], noted.pid, 'does' if noted.surge else 'did')
        watched.add(self)

    def look(self) -> None:
        """See whether it listens, if it is time for that."""
        if self.ready or not self.pace.is_due():
            return
        try:
            missing = self._missing(self.listeners.table())
        except CannotSee as why:
            self.seen = 'it cannot be seen whether it listens: %s' % why
            # While the old process serves on, it does not stop for a process that may not listen.
            missing = list(self.noted.addresses) if self.noted.surge else []
        except OSError as why:
            self.seen, missing = 'cannot be seen: %s' % why.strerror, list(self.noted.addresses)
        if not missing:
            self.seen, self._others = self.awaited, ''
            self.ready = True
            self.watched.discard(self)
            self.changed()

    def due(self) -> float:
        """Return the seconds until the next look."""
        return max(0.0, self.pace.next - self.clock.monotonic())

    def close(self) -> None:
        """Look no more."""
        self.watched.discard(self)

    def in_the_way(self) -> str:
        """Return who else listens where it is to listen, as a sentence; empty where nobody does."""
        if self.noted.surge:
            return '' if self.ready else self.seen
        if not self.ready and not self._others:
            with contextlib.suppress(CannotSee, OSError):
                self._missing(self.listeners.table(), AT_END)
        return self._others

    def _missing(self, table: Table, most: int = AT_A_TIME) -> List[Address]:
        """Return on which addresses it does not listen; and say so of the first."""
        noted = self.noted
        others = noted.inodes | _of_supervisord(self.process)
        changed = _what_it_is(noted.config) != _what_it_is(self.process.config)
        theirs = {address: table.covering(address) - others for address in noted.addresses}
        missing = [address for address in noted.addresses if not theirs[address]]
        if not missing or changed:
            held = self.listeners.held(self.process.pid, table.inodes - others if changed else
                                       set().union(*theirs.values()))
            listens = {table.addresses[inode] for inode in held}
            missing = [address for address in noted.addresses
                       if not any(each.covers(address) for each in listens)]
            if changed and len(listens) >= len(noted.addresses):
                return []  # with another configuration it may be elsewhere
        if missing:
            others = []
            # What was read before there was a new process has the sockets of the old one.
            if not noted.surge and self.listeners.began_to_read >= self._began:
                others = list(filter(None, (self.listeners.owner(inode, most)
                                            for inode in table.covering(missing[0]))))
            self.seen = 'does not listen on %s, where pid %d %s' % (
                missing[0], others[0] if others else noted.pid,
                'does' if others or noted.surge else 'did')
            self._others = self.seen if others else ''
        return missing


def _what_it_is(config: Any) -> Tuple[Any, ...]:
    """Return what of a configuration says where a program listens."""
    environment = dict(config.environment or {})
    environment.pop('SUPERVISOR_PROCESS_NAME', None)  # which a successor is given
    return config.command, config.directory, environment


def _leads(pid: int, other: int) -> bool:
    """Whether a process leads the process group of another."""
    try:
        return os.getpgid(other) == pid
    except ProcessLookupError:
        return False


def _of_supervisord(process: Any) -> Set[int]:
    """Return the inode of the socket that supervisord shares with a process.

    Others it does not inherit (supervisor/process.py: _prepare_child_fds).
    """
    manager = getattr(process.group, 'socket_manager', None)
    if manager is None or not manager.is_prepared():
        return set()
    return {os.fstat(manager.socket.fileno()).st_ino}


def _of_http_servers(options: Any) -> Set[int]:
    """Return the inodes of the sockets on which supervisord itself listens."""
    return {os.fstat(server.socket.fileno()).st_ino for _, server in options.httpservers}
