"""A program that runs at once, and is ready a while later: `slow_starter.py SECONDS KIND [WHERE]`.

SECONDS is `go` for as soon as the file of that name is in the current folder. KIND is how it can be
seen that it is ready: `notify`; `again`, which is the same, but it and a child of it say so again
and again, as long as somebody hears it; `http` or `tcp` at the port WHERE of the loopback
interface; `unix` at the path WHERE; `never`. An HTTP request is answered with the status in the
file `status` of the current folder, 200 without one. With a file `reuse_port` there, several may
listen on one port; with one `broken` it exits when it is to become ready. When it is ready it adds
a line with the time and its process id to the file `ready` there.
"""

import contextlib
import os
import socket
import sys
import time
from pathlib import Path


def listen(family, address):
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if Path('reuse_port').exists():
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_UNIX:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address)
    listening.bind(address)
    listening.listen(16)
    return listening


def status():
    with contextlib.suppress(FileNotFoundError):
        return Path('status').read_text().strip()
    return '200'


def notify(message=b'STATUS=started\nREADY=1'):
    path = os.environ.get('NOTIFY_SOCKET')
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(message, path)


def again():
    own = os.fork()
    with contextlib.suppress(OSError):
        while 'NOTIFY_SOCKET' in os.environ:
            for message in (b'READY=1', b'RELOADING=1', b'READY=1\nSTATUS=up'):
                notify(message)
            time.sleep(0.02)
    if own:
        os.waitpid(own, 0)


def main(seconds, kind, where=''):
    while seconds == 'go' and not Path('go').exists():
        time.sleep(0.02)
    time.sleep(0 if seconds == 'go' else float(seconds))
    if kind == 'never':
        time.sleep(100000)
    if Path('broken').exists():
        sys.exit(1)
    listening = None
    if kind == 'unix':
        listening = listen(socket.AF_UNIX, where)
    elif kind in ('http', 'tcp'):
        listening = listen(socket.AF_INET, ('127.0.0.1', int(where)))
    with open('ready', 'a') as notes:
        notes.write('%.6f %d\n' % (time.time(), os.getpid()))
    if kind in ('notify', 'again'):
        notify() if kind == 'notify' else again()
        time.sleep(100000)
    while True:
        with contextlib.suppress(OSError), listening.accept()[0] as connection:
            if kind == 'http':
                connection.recv(4096)
                body = b'%d\n' % os.getpid()
                connection.sendall(b'HTTP/1.1 %s x\r\nContent-Length: %d\r\n'
                                   b'Connection: close\r\n\r\n%s' % (
                                       status().encode(), len(body), body))


if __name__ == '__main__':
    main(*sys.argv[1:])
