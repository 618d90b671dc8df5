"""Who listens where, as the kernel tells it.

Linux alone does. The sockets come from a dump of all listening sockets (sock_diag(7)), 0.2 ms; who
has them from /proc/PID/fd (proc(5)), 0.1 ms for a process and a descendant.
"""

import contextlib
import errno
import functools
import os
import re
import socket
import struct
import sys
import time
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h, linux/unix_diag.h
NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY = 4, 20
REQUEST_ONE, REQUEST_DUMP = 1, 0x301
ERROR, DONE = 2, 3
TCP_LISTEN = 10
LISTENING, EVERY = 1 << TCP_LISTEN, 0xffffffff
ANY, MAPPED = b'\0' * 16, b'\0' * 10 + b'\xff\xff'
V6ONLY, NAME, VFS, PEER = 11, 0, 1, 2  # attributes
_HEADER, _ATTRIBUTE = struct.Struct('=IHHII'), struct.Struct('=HH')
_INET = struct.Struct('!4xH2x16s')  # of inet_diag_msg: the port, the address
_INODE = struct.Struct('=I')
INET_INODE, INET_SIZE, UNIX_SIZE = 68, 72, 16

# A table of listening sockets serves for so many seconds, and for so many times as long as it took;
# for longer where it is asked about a process that has been there for a while.
FRESH, PART, PASS = 0.002, 10, 0.05

# How many descriptors, threads and descendants are looked at, in one look at a process: 1 ms. A
# server opens what it listens on before the connections of its clients.
MOST = 600

# The search for who else has a socket looks at so many processes at a time (0.03 ms each). When it
# has looked at all, it begins anew after so many seconds at the earliest.
AT_A_TIME, AGAIN = 16, 1.0

# A path that each run of a program names anew, such as that of Python's multiprocessing.
_OF_ONE_RUN = re.compile(r'/pymp-[^/]+/')
_AUTOBIND = re.compile('@[0-9a-f]{5}')  # unix(7)


class CannotSee(Exception):
    """Why it cannot be seen who listens where, as the end of a sentence."""


class Address(NamedTuple):
    """Where a socket listens: an IP address and a port; or a path, or `@name`, with port 0.

    `v6only`: it is `::`, and IPv4 is not meant.
    """

    host: str
    port: int = 0
    v6only: bool = False

    @property
    def is_path(self) -> bool:
        """Whether it is a file."""
        return not self.port and not self.host.startswith('@')

    def covers(self, other: 'Address') -> bool:
        """Whether who listens here gets all connections to another address."""
        if self.port != other.port:
            return False
        if self.host == '::':
            return not self.v6only or other.v6only or ':' in other.host and other.host != '::'
        return self.host == other.host or (self.host == '0.0.0.0' and ':' not in other.host)

    def __str__(self) -> str:
        if not self.port:
            return 'unix:' + self.host
        return ('[%s]:%d' if ':' in self.host else '%s:%d') % (self.host, self.port)


def target(family: int, address: Any) -> Address:
    """Return what listens where a socket of a family is connected to an address."""
    if family == socket.AF_UNIX:
        return Address(address)
    host, port = address[:2]
    raw = socket.inet_pton(family, host)
    if not any(raw):  # such a connection goes to the machine itself
        return Address('::1' if family == socket.AF_INET6 else '127.0.0.1', port)
    return _tcp(raw, port)


@functools.lru_cache(4096)  # the same ones are read again and again
def _tcp(raw: bytes, port: int, v6only: bool = False) -> Address:
    if len(raw) == 16 and raw.startswith(MAPPED):
        raw = raw[12:]
    family = socket.AF_INET6 if len(raw) == 16 else socket.AF_INET
    return Address(socket.inet_ntop(family, raw), port, v6only and raw == ANY)


class Table:
    """The sockets that listen: `addresses` by inode; `inodes` are those of all.

    `files` has the numbers of the file and of its device for sockets that are bound to a path.
    """

    def __init__(self, addresses: Dict[int, Address], files: Dict[int, Tuple[int, int]]):
        self.addresses = addresses
        self.inodes = frozenset(addresses)
        self.files = files
        self._by_port: Dict[int, List[int]] = {}
        for inode, address in addresses.items():
            self._by_port.setdefault(address.port, []).append(inode)

    def at(self, address: Address) -> Set[int]:
        """Return the inodes of those of which one gets a connection to an address."""
        if not address.port:
            return self._at_path(address)
        found: Dict[Tuple[bool, bool], Set[int]] = {}
        for inode in self._by_port.get(address.port, ()):
            listens = self.addresses[inode]
            if listens.covers(address):
                # The nearest gets it (net/ipv4/inet_hashtables.c: __inet_lookup_listener).
                rank = listens.host == address.host, (':' in listens.host) == (':' in address.host)
                found.setdefault(rank, set()).add(inode)
        return found[max(found)] if found else set()

    def covering(self, address: Address) -> Set[int]:
        """Return the inodes of the sockets that listen on an address, or on more."""
        return {inode for inode in self._by_port.get(address.port, ())
                if self.addresses[inode].covers(address)}

    @functools.cached_property
    def given_away(self) -> Tuple[int, int, FrozenSet[int]]:
        """The first and the last port that the system gives away, and those between that it keeps.
        """
        return _given_away()

    def _at_path(self, address: Address) -> Set[int]:
        inodes = self._by_port.get(0, ())
        named = {inode for inode in inodes if self.addresses[inode].host == address.host}
        if address.is_path and self.files:
            # A path may be relative, or lead over a link; and what was bound to it may be another
            # file by now.
            try:
                file = os.stat(address.host)
            except OSError:
                return set()
            # The kernel's own form of a device (linux/kdev_t.h).
            numbers = file.st_ino, os.major(file.st_dev) << 20 | os.minor(file.st_dev)
            # A file system of several layers gives other numbers; there the name has to do.
            return {inode for inode in inodes if self.files.get(inode) == numbers} or named
        return named


class Listeners:
    """Tells which sockets listen, and which a process has; `warn` is called once where it cannot.

        listeners.table().at(address)       # inodes
        listeners.held(pid, inodes)         # which of these it has, with all its descendants
        listeners.owner(inode)              # the id of a process that has it

    All raise CannotSee, and OSError where there are no descriptors left. A process that it may not
    look into, such as one of another user without CAP_SYS_PTRACE, is a CannotSee of `held`.
    """

    def __init__(self, warn: Any = lambda message: None, clock: Any = time):
        self.warn = warn
        self.clock = clock
        self._warned = False
        self._table = Table({}, {})
        self.began_to_read = self._read_at = float('-inf')
        self._took = 0.0
        self._network = 0
        self._owners: Dict[int, int] = {}
        self._search: Optional[Iterator[None]] = None
        self._search_again = float('-inf')

    def table(self, age: float = FRESH) -> Table:
        """Return the sockets that listen, as they were at most `age` seconds ago.

        On a machine with so many sockets that it takes long to read them, the table may be older.
        """
        began = self.clock.monotonic()
        if began >= self._read_at + max(age, PART * self._took):
            self._table, self.began_to_read = self._read(), began
            self._read_at = self.clock.monotonic()
            self._took = self._read_at - began
        return self._table

    def held(self, pid: int, inodes: Iterable[int]) -> Set[int]:
        """Return which sockets a process or one of its descendants has."""
        wanted = frozenset(inodes)
        if not wanted or not pid:
            return set()
        try:
            if not self._network:
                self._network = os.stat('/proc/self/ns/net').st_ino
            if os.stat('/proc/%d/ns/net' % pid).st_ino != self._network:
                self._cannot('pid %d is in another network namespace' % pid)
            found, hidden = _look_into(pid, wanted)
        except FileNotFoundError:  # it has ended; or /proc hides it (proc(5), hidepid)
            found, hidden = set(), pid if _is_hidden(pid) else 0
        except PermissionError:
            found, hidden = set(), pid
        if hidden and not found:
            self._cannot('supervisord may not look into pid %d (that takes CAP_SYS_PTRACE)'
                         % hidden)
        return found

    def owner(self, inode: int, most: int = AT_A_TIME) -> int:
        """Return the id of a process that has a socket, and whose parent does not have it.

        0 where none has been found: each call goes on with the search, and looks at `most`
        processes. Where that is more than the default, the search begins anew.
        """
        known = self._owners.get(inode, 0)
        if known and inode in _of_one(known, {inode}):
            return _oldest(known, inode)
        self._owners.pop(inode, None)
        now = self.clock.monotonic()
        if most > AT_A_TIME or (self._search is None and now >= self._search_again):
            self._search = self._look_everywhere()
        for _ in range(most):
            if self._search is None or inode in self._owners:
                break
            if next(self._search, 'end') == 'end':
                self._search, self._search_again = None, now + AGAIN
        found = self._owners.get(inode, 0)
        return found and _oldest(found, inode)

    def _cannot(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            self.warn('restarter: it cannot be seen who listens where: %s' % why)
        raise CannotSee(why)

    def _read(self) -> Table:
        if not sys.platform.startswith('linux'):
            self._cannot('this is not Linux')
        try:
            addresses = {inode: address for family in (socket.AF_INET, socket.AF_INET6)
                         for inode, address in _tcp_listeners(family)}
            files = {}
            for inode, name, file in _unix_listeners():
                addresses[inode] = Address(name)
                if file:
                    files[inode] = file
        except OSError as why:
            if why.errno in (errno.EMFILE, errno.ENFILE):
                raise
            self._cannot('the system does not tell which sockets listen (%s)' % why.strerror)
        return Table(addresses, files)

    def _look_everywhere(self) -> Iterator[None]:
        for pid in sorted((int(name) for name in os.listdir('/proc') if name.isdigit()),
                          reverse=True):
            for inode in _of_one(pid, self.table().addresses):
                self._owners[inode] = pid
            yield


def fixed(addresses: Iterable[Address], pid: int, words: str,
          given_away: Tuple[int, int, FrozenSet[int]]) -> List[Address]:
    """Return the addresses that the next process of a program will listen on as well.

    Not a port that the system has given away, unless it stands in `words`, a program's command and
    environment; nor a name that has the id of the process in it, or is made for one run.
    """
    first, last, reserved = given_away

    def is_fixed(address: Address) -> bool:
        if address.port:
            return (not first <= address.port <= last or address.port in reserved
                    or re.search(r'\b%d\b' % address.port, words) is not None)
        return not (re.search(r'(?<!\d)%d(?!\d)' % pid, address.host)
                    or _OF_ONE_RUN.search(address.host) or _AUTOBIND.fullmatch(address.host))
    return sorted({address for address in addresses if is_fixed(address)})


def _given_away() -> Tuple[int, int, FrozenSet[int]]:
    try:
        with open('/proc/sys/net/ipv4/ip_local_port_range') as file:
            first, last = map(int, file.read().split())
        with open('/proc/sys/net/ipv4/ip_local_reserved_ports') as file:
            ranges = [part.split('-') for part in file.read().strip().split(',') if part]
    except OSError:
        return 32768, 60999, frozenset()
    return first, last, frozenset(port for each in ranges
                                  for port in range(int(each[0]), int(each[-1]) + 1))


def accepted(connection: socket.socket) -> int:
    """Return the inode of the other end of a connection on this machine; 0 while nobody has it.

    Raises OSError.
    """
    if connection.family == socket.AF_UNIX:
        inode = os.fstat(connection.fileno()).st_ino
        request = struct.pack('=BxxxIIIII', socket.AF_UNIX, EVERY, inode, 4, EVERY, EVERY)
        attributes = dict(_attributes(_one(request), UNIX_SIZE))
        return _INODE.unpack(attributes[PEER])[0] if PEER in attributes else 0
    here, there = connection.getsockname()[:2], connection.getpeername()[:2]
    raw = [socket.inet_pton(connection.family, host) for host, _ in (there, here)]
    request = struct.pack('=BBBxI', connection.family, socket.IPPROTO_TCP, 0, EVERY)
    request += struct.pack('!HH16s16s', there[1], here[1], *raw)
    message = _one(request + struct.pack('=III', 0, EVERY, EVERY))
    # Where there is no such connection, the kernel tells of the socket that listens.
    return 0 if message[1] == TCP_LISTEN else _INODE.unpack_from(message, INET_INODE)[0]


# sockets

def _one(request: bytes) -> bytes:
    return next(_dump(request, REQUEST_ONE))


def _dump(request: bytes, flags: int = REQUEST_DUMP) -> Iterator[bytes]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(1.0)
        kernel.send(_HEADER.pack(_HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, flags, 1, 0)
                    + request)
        while True:
            data, at = kernel.recv(1 << 17), 0
            while at < len(data):
                size, kind = _HEADER.unpack_from(data, at)[:2]
                if kind == DONE:
                    return
                if kind == ERROR:
                    code = -struct.unpack_from('=i', data, at + _HEADER.size)[0]
                    raise OSError(code, os.strerror(code))
                yield data[at + _HEADER.size:at + size]
                at += (size + 3) & ~3


def _attributes(message: bytes, at: int) -> Iterator[Tuple[int, bytes]]:
    while at + _ATTRIBUTE.size <= len(message):
        size, kind = _ATTRIBUTE.unpack_from(message, at)
        yield kind, message[at + _ATTRIBUTE.size:at + size]
        at += max(4, (size + 3) & ~3)


def _tcp_listeners(family: int) -> Iterator[Tuple[int, Address]]:
    request = struct.pack('=BBBxI48x', family, socket.IPPROTO_TCP, 0, LISTENING)
    for message in _dump(request):
        port, raw = _INET.unpack_from(message)
        if family == socket.AF_INET:
            address = _tcp(raw[:4], port)
        else:
            v6only = raw == ANY and dict(_attributes(message, INET_SIZE)).get(V6ONLY) == b'\1'
            address = _tcp(raw, port, v6only)
        yield _INODE.unpack_from(message, INET_INODE)[0], address


def _unix_listeners() -> Iterator[Tuple[int, str, Any]]:
    """Return the inode, the name, and the numbers of file and device (None: not known), of each."""
    request = struct.pack('=BxxxII', socket.AF_UNIX, LISTENING, 0) + struct.pack('=I8x', 3)
    try:
        messages = list(_dump(request))
    except OSError as why:
        if why.errno != errno.ENOENT:
            raise
        yield from _unix_listeners_by_name()  # a kernel without unix_diag
        return
    for message in messages:
        attributes = dict(_attributes(message, UNIX_SIZE))
        name, file = attributes.get(NAME, b''), attributes.get(VFS)
        abstract = name.startswith(b'\0')
        shown = os.fsdecode(name[1:] if abstract else name.rstrip(b'\0'))
        yield (_INODE.unpack_from(message, 4)[0], '@' + shown if abstract else shown,
               struct.unpack('=II', file) if file else None)


def _unix_listeners_by_name() -> Iterator[Tuple[int, str, Any]]:
    with open('/proc/net/unix', errors='surrogateescape') as file:
        next(file)
        for line in file:
            fields = line.split(None, 7)
            if int(fields[3], 16) & 0x10000:  # __SO_ACCEPTCON
                yield int(fields[6]), fields[7].rstrip('\n') if len(fields) > 7 else '', None


# processes

@contextlib.contextmanager
def _opened(path: str, inside: Optional[int] = None, flags: int = 0) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=inside)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _look_into(pid: int, wanted: FrozenSet[int]) -> Tuple[Set[int], int]:
    """Return which of the wanted a process and its descendants have.

    And the id of one of them that is hidden, or 0.
    """
    found: Set[int] = set()
    hidden, left = 0, MOST
    todo: List[Tuple[int, int]] = [(pid, 0)]
    for one, parent in todo:
        if found == wanted or left <= 0:
            break
        # What is read below an open folder is of that process, though its id may come again.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with _opened('/proc/%d' % one, flags=os.O_DIRECTORY) as folder:
                if parent and _parent(folder) != parent:
                    continue
                try:
                    left -= _sockets(folder, wanted, found, left)
                except PermissionError:
                    hidden = one
                if found != wanted:
                    threads, children = _children(one, folder)
                    todo += [(child, one) for child in children]
                    left -= threads
    return found, hidden


def _sockets(folder: int, wanted: Any, found: Set[int], most: int) -> int:
    """Add to `found` those of the wanted that a process has; return how many were looked at."""
    count = 0
    with _opened('fd', folder, os.O_DIRECTORY) as descriptors, os.scandir(descriptors) as entries:
        for entry in entries:
            count += 1
            if count > most:
                break
            try:
                link = os.readlink(entry.name, dir_fd=descriptors)
            except FileNotFoundError:
                continue  # closed meanwhile
            if link.startswith('socket:[') and int(link[8:-1]) in wanted:
                found.add(int(link[8:-1]))
    return count


def _of_one(pid: int, wanted: Any) -> Set[int]:
    """Return which of the wanted a process has, without its descendants; none if it is hidden."""
    found: Set[int] = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        with _opened('/proc/%d' % pid, flags=os.O_DIRECTORY) as folder:
            _sockets(folder, wanted, found, MOST)
    return found


def _oldest(pid: int, inode: int) -> int:
    """Return the id of the process from which one has a socket: a worker has its master's."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while True:
            with _opened('/proc/%d' % pid, flags=os.O_DIRECTORY) as folder:
                parent = _parent(folder)
            if inode not in _of_one(parent, {inode}):
                break
            pid = parent
    return pid


def _read_file(path: str, inside: Optional[int]) -> bytes:
    with _opened(path, inside) as file:
        return os.read(file, 1 << 16)


def _parent(folder: int) -> int:
    # The name of a program may hold anything.
    return int(_read_file('stat', folder).rpartition(b')')[2].split()[1])


def _children(pid: int, folder: int) -> Tuple[int, List[int]]:
    """Return how many threads were looked at, and the children of a process."""
    with _opened('task', folder, os.O_DIRECTORY) as task:
        threads = os.listdir(task)[:MOST]
        children: List[int] = []
        for thread in threads:
            try:
                children += map(int, _read_file(thread + '/children', task).split())
            except FileNotFoundError:  # the thread has ended, or the kernel does not tell
                if not os.path.exists('/proc/thread-self/children'):
                    return len(threads), _children_by_parent(pid)
            except ProcessLookupError:
                continue
    return len(threads), children


def _children_by_parent(pid: int) -> List[int]:
    children = []
    for name in os.listdir('/proc'):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            with _opened('/proc/%d' % int(name), flags=os.O_DIRECTORY) as folder:
                if _parent(folder) == pid:
                    children.append(int(name))
    return children


def _is_hidden(pid: int) -> bool:
    if os.path.exists('/proc/%d' % pid):
        return False  # a process that has ended, and that nobody has waited for yet
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    return True
