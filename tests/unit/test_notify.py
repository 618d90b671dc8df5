"""What a process says of itself, and where its socket is."""

import gc
import math
import os
import socket
import stat
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from supervisor import events
from supervisor.states import ProcessStates

from supervisor_restarter.daemon.notify import Notification, Sockets
from tests.support.world import Clock
from tests.unit.loop import POLLERS, assert_nothing_is_left, fake_options, turn_the_loop


@pytest.fixture(params=POLLERS)
def options(request):
    return fake_options(request.param)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where temporary things go; it is empty in the end."""
    made = Path(tempfile.mkdtemp(prefix='t-', dir='/tmp'))
    made.chmod(0o755)
    monkeypatch.setattr(tempfile, 'tempdir', str(made))
    yield made
    assert list(made.iterdir()) == []
    made.rmdir()


@pytest.fixture
def sockets(options, folder):
    return Sockets(options)


@pytest.fixture
def hear(options, sockets):
    """Make notifications; in the end they are closed, and nothing is left."""
    made = []

    def hears(**of):
        made.append(Heard(options, of.pop('sockets', sockets), **of))
        return made[-1]
    yield hears
    for watch in made:
        watch.close()
        if watch.process.pid:
            watch.end()
    assert_nothing_is_left(options)


class Heard(Notification):
    """A notification with a fake clock, and what was told of it."""

    def __init__(self, options, sockets, user=None, pid=0):
        self.changes = []
        process = SimpleNamespace(pid=pid, backoff=0, config=SimpleNamespace(uid=user),
                                  get_state=lambda: 20, group=SimpleNamespace(processes={}))
        Notification.__init__(self, options, sockets, process, self.note, Clock())

    def note(self):
        self.changes.append((self.ready, self.extended_until - self.clock.now))


def send(watch, *messages, **options):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(5)
        sender.connect(watch.environment['NOTIFY_SOCKET'])
        for message in messages:
            sender.sendmsg([message], options.get('ancillary', []))


@pytest.mark.parametrize('message', [
    b'READY=1', b'READY=1\n', b'STATUS=Up.\nREADY=1\nMAINPID=7', b'MAINPID=7\nREADY=1'])
def test_ready_is_one_of_several_lines(options, message, hear):
    watch = hear()
    send(watch, b'STATUS=Starting', message)
    turn_the_loop(options)
    assert watch.ready and watch.changes == [(True, -math.inf)]


@pytest.mark.parametrize('message', [
    b'', b'READY=0', b'READY=1 ', b'READY=10', b'NOT_READY=1', b'STATUS=READY=1', b'\xff\0\n\n',
    b'x' * 100000, b'RELOADING=1', b'EXTEND_TIMEOUT_USEC=', b'EXTEND_TIMEOUT_USEC=-5',
    b'EXTEND_TIMEOUT_USEC=' + b'9' * 4000])
def test_all_else_is_ignored(options, message, hear):
    watch = hear()
    send(watch, message)
    turn_the_loop(options)
    assert (watch.ready, watch.changes, watch.seen) == (False, [], 'has not sent READY=1')


def test_one_that_asks_for_more_time_has_it_from_then_on(options, hear):
    watch = hear()
    watch.clock.forward(3.0)
    send(watch, b'STATUS=slow\nEXTEND_TIMEOUT_USEC=2500000')
    turn_the_loop(options)
    assert watch.changes == [(False, 2.5)]


def test_senders_do_not_wait_however_much_they_send(options, hear):
    watch = hear()
    for _ in range(20):
        send(watch, *[b'STATUS=%d' % number for number in range(8)])
        turn_the_loop(options)


def test_one_that_never_stops_sending_does_not_hold_the_main_loop(monkeypatch, hear):
    watch = hear()
    messages = iter([b'STATUS=again'] * 10000)
    endless = SimpleNamespace(fileno=watch._socket.fileno, recv=lambda size: next(messages))
    with monkeypatch.context() as patch:
        patch.setattr(watch, '_socket', endless)
        watch.handle_read_event()
    assert len(list(messages)) > 9000


def test_a_descriptor_that_comes_along_is_closed(options, hear):
    # systemd-notify waits until that is so.
    watch = hear()
    here, there = os.pipe()
    try:
        send(watch, b'BARRIER=1', ancillary=[
            (socket.SOL_SOCKET, socket.SCM_RIGHTS, there.to_bytes(4, 'little'))])
        os.close(there)
        turn_the_loop(options)
        assert os.read(here, 1) == b''  # nobody has its other end
    finally:
        os.close(here)


def test_a_look_sees_what_the_main_loop_has_not_come_to(hear):
    watch = hear()
    send(watch, b'READY=1')
    watch.look()
    assert watch.ready
    watch.look()


# How long it is there

@pytest.mark.parametrize('ended', [
    events.ProcessStateStoppedEvent, events.ProcessStateExitedEvent,
    events.ProcessStateBackoffEvent])
def test_it_is_there_and_read_as_long_as_its_process(options, ended, hear):
    watch = hear(pid=7)
    other = hear(pid=8)
    send(watch, b'READY=1')
    turn_the_loop(options)
    watch.close()
    for _ in range(20):  # workers that are started anew
        send(watch, *[b'READY=1', b'EXTEND_TIMEOUT_USEC=5000000'] * 4)
        watch.clock.forward(1.0)
        turn_the_loop(options)
    assert watch.changes == [(True, -math.inf)]
    for event in (events.ProcessStateStartingEvent, events.ProcessStateRunningEvent,
                  events.ProcessStateStoppingEvent):
        events.notify(event(watch.process, 0))
    send(watch, b'READY=1')
    events.notify(ended(watch.process, 0))
    with pytest.raises(OSError):
        send(watch, b'STATUS=late')
    assert list(options.socket_map.values()) == [other]
    send(other, b'READY=1')


def test_of_a_process_whose_end_is_never_seen_it_goes_with_supervisord(options, hear):
    watch = hear(pid=7)
    watch.close()
    events.notify(events.SupervisorStoppingEvent())
    send(watch, b'STATUS=stopping')  # it ends before supervisord does
    watch.process.get_state = lambda: ProcessStates.UNKNOWN
    events.notify(events.SupervisorStoppingEvent())
    assert_nothing_is_left(options)


def test_one_that_never_stops_sending_is_read_now_and_then_when_nobody_waits(hear):
    watch = hear(pid=7)
    assert watch.readable()
    watch.close()
    messages = iter([b'STATUS=again'] * 10000)
    real, watch._socket = watch._socket, SimpleNamespace(
        fileno=lambda: 99, recv=lambda size: next(messages))
    watch.handle_read_event()
    assert not watch.readable()
    watch.clock.forward(1.0)
    assert watch.readable()
    watch._socket = real
    watch.end()


# The socket and its folder

def test_the_socket_is_the_users_own_in_a_folder_that_nobody_can_list(hear):
    watch = hear()
    path = Path(watch.environment['NOTIFY_SOCKET'])
    # root's children may be of another user before they send (su, setpriv).
    assert stat.S_IMODE(path.stat().st_mode) == (0o666 if os.getuid() == 0 else 0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o711
    assert path.stat().st_uid == os.getuid()


@pytest.mark.skipif(os.getuid() != 0, reason='only root gives things away')
def test_the_socket_belongs_to_the_user_of_the_program(hear):
    watch = hear(user=65534)
    path = Path(watch.environment['NOTIFY_SOCKET'])
    assert (path.stat().st_uid, path.parent.stat().st_uid) == (65534, 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_spawn_has_a_socket_of_its_own_and_the_folder_goes_with_the_last(folder, hear):
    first, second = hear(), hear()
    assert first.environment != second.environment
    first.close()
    first.close()
    assert len(list(folder.iterdir())) == 1
    second.close()
    assert list(folder.iterdir()) == []
    third = hear()
    assert third.environment not in (first.environment, second.environment)
    third.close()


def test_a_mask_for_new_files_changes_nothing_and_is_as_it_was(hear):
    before = os.umask(0)
    try:
        watch = hear()
        path = Path(watch.environment['NOTIFY_SOCKET'])
        assert not stat.S_IMODE(path.stat().st_mode) & 0o111
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o711
        watch.close()
    finally:
        assert os.umask(before) == 0


def test_where_no_socket_is_to_be_had_nothing_is_left(options, monkeypatch, hear):
    def fail(path, user, group):
        raise PermissionError(1, 'Operation not permitted')
    monkeypatch.setattr(os, 'chown', fail)
    gc.collect()  # What other tests have left must not be closed in between.
    descriptors = os.listdir('/proc/self/fd')
    with pytest.raises(PermissionError):
        hear(user=65534)
    assert os.listdir('/proc/self/fd') == descriptors
    assert_nothing_is_left(options)


def test_what_somebody_has_removed_already_is_a_warning(options, hear):
    watch = hear()
    Path(watch.environment['NOTIFY_SOCKET']).unlink()
    watch.close()
    level, line = options.logger.lines.pop()
    assert level == 'warn' and 'cannot be removed' in line


@pytest.mark.parametrize('name, mode', [('d' * 90, 0o755), ('d', 0o700)])
def test_a_folder_with_a_long_name_or_that_others_cannot_search_is_not_used(
        options, folder, monkeypatch, name, mode, hear):
    inner = folder / name
    inner.mkdir()
    inner.chmod(mode)
    monkeypatch.setattr(tempfile, 'tempdir', str(inner))
    watch = hear(sockets=Sockets(options))
    path = watch.environment['NOTIFY_SOCKET']
    assert path.startswith('/tmp/restarter-notify-') and len(path) < 108
    watch.close()
    inner.rmdir()
    assert not os.path.exists(os.path.dirname(path))
