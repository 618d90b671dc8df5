"""What a program may declare of its readiness, and what is said of all else."""

import socket

import pytest

from supervisor_restarter.daemon.declaration import ALLOWED, ALLOWED_HOST, Declaration, declared


def declare(value):
    return declared({'RESTARTER_READY': value})


@pytest.mark.parametrize('environment', [None, {}, {'PATH': '/bin'}])
def test_where_nothing_is_declared_there_is_nothing_to_wait_for(environment):
    assert declared(environment) is None


@pytest.mark.parametrize('value, family, address', [
    ('notify', None, None),
    ('listen', None, None),
    ('tcp://127.0.0.1:80', socket.AF_INET, ('127.0.0.1', 80)),
    ('tcp://localhost:8001', socket.AF_INET, ('127.0.0.1', 8001)),
    ('tcp://[::1]:65535', socket.AF_INET6, ('::1', 65535)),
    ('unix:///run/web.sock', socket.AF_UNIX, '/run/web.sock'),
    ('unix:///run/a b?c#d', socket.AF_UNIX, '/run/a b?c#d'),
])
def test_an_address_is_what_is_connected_to(value, family, address):
    made = declare(value)
    assert made == (Declaration(value, family, address, b'') if family else Declaration(value))
    assert made.can_be_asked == (value != 'notify')


@pytest.mark.parametrize('value, target, host', [
    ('http://127.0.0.1:8001/health', '/health', '127.0.0.1:8001'),
    ('http://127.0.0.1:8001', '/', '127.0.0.1:8001'),
    ('http://127.0.0.1:8001?deep=1', '/?deep=1', '127.0.0.1:8001'),
    ('http://localhost:8001/a/b?c=d&e=%20', '/a/b?c=d&e=%20', 'localhost:8001'),
    ('http://[::1]:8001//x', '//x', '[::1]:8001'),
    ('http://unix:/run/web.sock:/health?a=b:c', '/health?a=b:c', 'localhost'),
    ('http://unix:/run/web.sock', '/', 'localhost'),
    ('http://unix:/run/web.sock:', '/', 'localhost'),
])
def test_an_http_address_is_asked_for_what_it_names(value, target, host):
    lines = declare(value).request.decode('ascii').split('\r\n')
    assert lines[0] == 'GET %s HTTP/1.1' % target
    assert 'Host: %s' % host in lines
    assert lines[-2:] == ['', '']


@pytest.mark.parametrize('value, family, address', [
    ('http://127.0.0.1:8001/', socket.AF_INET, ('127.0.0.1', 8001)),
    ('http://unix:/run/a b.sock:/', socket.AF_UNIX, '/run/a b.sock')])  # as for nginx
@pytest.mark.parametrize('host', ['www.example.org', 'localhost:8001'])
def test_a_server_is_asked_by_the_name_that_it_knows(value, family, address, host):
    made = declared({'RESTARTER_READY': value, 'RESTARTER_READY_HOST': host})
    assert (made.family, made.address) == (family, address)
    assert b'\r\nHost: %s\r\n' % host.encode() in made.request


@pytest.mark.parametrize('host', ['', 'a b', 'http://www.example.org', 'a\r\nX: y', 'ü', 'a:b'])
def test_a_name_that_cannot_be_is_one_sentence(host):
    with pytest.raises(ValueError) as raised:
        declared({'RESTARTER_READY': 'http://127.0.0.1:1/', 'RESTARTER_READY_HOST': host})
    assert str(raised.value) == 'RESTARTER_READY_HOST = %r: it %s' % (host, ALLOWED_HOST)


NO_PORT = 'the port is no number from 1 to 65535'
NO_ADDRESS = NO_PORT + ', or the host is no address'
WRONG_CHARACTERS = 'the address has characters that must not be there'
NOT_ABSOLUTE = 'the path is not absolute'


@pytest.mark.parametrize('value, why', [
    ('', 'the value is empty'),
    ('ready', 'there is no scheme'),
    ('NOTIFY', 'there is no scheme'),
    ('127.0.0.1:80', 'there is no scheme'),
    ('https://127.0.0.1:8443/health', 'https:// is not supported'),
    ('ftp://127.0.0.1:21/', 'ftp:// is not supported'),
    ('://127.0.0.1:21/', ':// is not supported'),
    ('http://', 'there is no host'),
    ('http://:80/', 'there is no host'),
    ('http://example.com:80/', 'example.com is no IP address'),
    ('http://127.0.0.1.:80/', '127.0.0.1. is no IP address'),
    ('tcp://0x7f.1:80', '0x7f.1 is no IP address'),
    ('http://127.0.0.1/', 'there is no port'),
    ('tcp://[::1]', 'there is no port'),
    ('tcp://127.0.0.1:0', NO_PORT),
    *((value, NO_ADDRESS) for value in (
        'tcp://127.0.0.1:65536', 'http://127.0.0.1:http/', 'http://[::1:80/')),
    ('http://me:secret@127.0.0.1:80/', 'a user has no meaning here'),
    *((value, WRONG_CHARACTERS) for value in (
        'http://127.0.0.1:80/a b', 'http://127.0.0.1:80/\r\nX-Header: 1', 'http://127.0.0.1:80/ü',
        'http://unix:/run/web.sock:/a b')),
    ('http://127.0.0.1:80/#top', 'a fragment is not for the server'),
    ('tcp://127.0.0.1:80/', 'tcp has no path'),
    ('tcp://127.0.0.1:80?x', 'tcp has no path'),
    *((value, NOT_ABSOLUTE) for value in (
        'unix://run/web.sock', 'unix://', 'http://unix:', 'http://unix:run/web.sock:/')),
    ('http://unix:/run/web.sock:health', 'the path to ask for does not begin with /'),
    ('http://unix:/run/web.sock:/#top', 'a fragment is not for the server'),
    ('unix:///' + 'x' * 103, 'the path is longer than 103 bytes'),
])
def test_anything_else_is_one_sentence_that_names_it_and_what_is_allowed(value, why):
    with pytest.raises(ValueError) as raised:
        declare(value)
    shown = repr(value) if len(value) < 99 else repr(value)[:97] + '...'
    assert str(raised.value) == 'RESTARTER_READY = %s: %s; it %s' % (shown, why, ALLOWED)


def test_a_zone_is_no_part_of_an_address():
    with pytest.raises(ValueError, match='zone|no IP address'):  # Python 3.8 knows none
        declare('tcp://[fe80::1%eth0]:80')


def test_a_program_that_has_a_socket_for_its_message_already_is_told_so():
    with pytest.raises(ValueError, match='NOTIFY_SOCKET is in the environment'):
        declared({'RESTARTER_READY': 'notify', 'NOTIFY_SOCKET': '/run/other'})
    assert declared({'RESTARTER_READY': 'tcp://127.0.0.1:1', 'NOTIFY_SOCKET': '/run/other'})
