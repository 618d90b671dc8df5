"""A server that talks to each connection in its own way: `talker.py PORT WAY`, a function here."""

import contextlib
import os
import socket
import ssl
import sys
import threading
import time


def says_nothing(connection):
    connection.recv(4096)
    time.sleep(60)


def a_megabyte(connection):
    connection.sendall(b'x' * 1000000)


def a_megabyte_of_headers(connection):
    connection.sendall(b'HTTP/1.1 200 OK\r\n' + b'X-Header: more\r\n' * 65536)


def a_byte_at_a_time(connection):
    for byte in b'HTTP/1.1 200 OK\r\n' + b'X-Header: more\r\n' * 65536:
        connection.sendall(bytes([byte]))
        time.sleep(0.01)


def rubbish(connection):
    connection.sendall(bytes(range(256)))


def a_tls_record(connection):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(here, there).do_handshake()
    connection.sendall(there.read())


def a_reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')


def a_redirect(connection):
    connection.recv(4096)
    connection.sendall(b'HTTP/1.1 301 Moved\r\nLocation: https://192.0.2.1/\r\n\r\n')


def does_not_accept(listening):
    """Once its queue is full, the system does not answer."""
    waiting = [socket.socket() for _ in range(4)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(listening.getsockname())
    time.sleep(100000)


def talk(how, connection):
    with connection, contextlib.suppress(OSError):
        how(connection)


def main(port, way):
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(('127.0.0.1', int(port)))
    listening.listen(0 if way == 'does_not_accept' else 512)
    if way == 'does_not_accept':
        does_not_accept(listening)
    while os.getppid() != 1:
        connection = listening.accept()[0]
        threading.Thread(target=talk, args=(globals()[way], connection), daemon=True).start()


if __name__ == '__main__':
    main(*sys.argv[1:])
