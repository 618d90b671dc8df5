"""The web application of the demo: it answers with its release, the text of the file it is given.

It serves the socket that is its descriptor 0, one request at a time, and answers each that it has
accepted before it ends.
"""

import contextlib
import os
import select
import signal
import socket
import sys

with open(sys.argv[1]) as file:
    release = file.read()
if release == 'broken':
    raise SystemExit('database.Error: no such column: users.email')

listening = socket.socket(fileno=0)
listening.setblocking(False)
told_to_stop, wake = socket.socketpair()
wake.setblocking(False)
signal.set_wakeup_fd(wake.fileno())
signal.signal(signal.SIGTERM, lambda signum, frame: None)

if 'NOTIFY_SOCKET' in os.environ:  # it is started by a restart
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, contextlib.suppress(OSError):
        notify.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])

while told_to_stop not in select.select([listening, told_to_stop], [], [])[0]:
    with contextlib.suppress(OSError):  # another process has taken it; the client has gone
        connection = listening.accept()[0]
        with connection:
            connection.settimeout(5)
            connection.recv(4096)
            connection.sendall(b'HTTP/1.0 200 OK\r\n\r\n' + release.encode())
