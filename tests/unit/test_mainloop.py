"""What is put into supervisord while a restart runs, and that all of it is taken out again."""

import gc
import os
import signal
import socket
import threading
import time
import weakref
from types import SimpleNamespace

import pytest
from supervisor import events

from supervisor_restarter.daemon.mainloop import LONGEST, LONGEST_HOLD, MainLoop
from tests.support.world import Clock
from tests.unit.loop import POLLERS, fake_options, turn_the_loop


class FakeRestarts:
    """Restarts that need a number of passes, each of them `seconds` after the other.

    `then` is called at the end of each with the number of passes so far.
    """

    passes_left, seconds = 0, 0.0

    def __init__(self):
        self.passes = 0
        self.then = lambda number: None

    def advance(self):
        self.passes += 1
        self.passes_left = max(0, self.passes_left - 1)
        self.then(self.passes)

    def due(self):
        return self.seconds

    @property
    def finished(self):
        return self.passes_left == 0


@pytest.fixture(params=POLLERS)
def options(request):
    made = fake_options(request.param)
    yield made
    assert [line for level, line in made.logger.lines if level == 'critical'] == []
    events.clear()


@pytest.fixture
def mainloop(options):
    before = signal.getsignal(signal.SIGALRM)
    made = MainLoop(options, FakeRestarts())
    yield made
    made.restarts.passes_left = 0
    made.make_pass()
    assert signal.getsignal(signal.SIGALRM) == before


def begin(mainloop, passes, seconds):
    mainloop.prepare()
    mainloop.restarts.passes_left = passes
    mainloop.restarts.seconds = seconds
    mainloop.make_pass()


def wakeup_descriptor():
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    return descriptor


def residue(options):
    return (options.socket_map, signal.getsignal(signal.SIGALRM),
            signal.getitimer(signal.ITIMER_REAL), set(options.poller.readables),
            set(options.poller.writables), wakeup_descriptor())


NOTHING = ({}, signal.SIG_DFL, (0.0, 0.0), set(), set(), -1)


def test_when_the_last_restart_ends_nothing_is_left(mainloop, options):
    gc.collect()  # What other tests have left must not be closed in between.
    descriptors = os.listdir('/proc/self/fd')
    begin(mainloop, 3, 0.01)
    assert residue(options) != NOTHING
    while options.socket_map:
        turn_the_loop(options)
    assert residue(options) == NOTHING
    assert os.listdir('/proc/self/fd') == descriptors


def test_a_restart_that_ends_in_its_first_pass_or_could_not_begin_leaves_nothing(
        mainloop, options):
    begin(mainloop, 1, 0.0)
    assert residue(options) == NOTHING
    mainloop.prepare()
    mainloop.rest()
    assert residue(options) == NOTHING
    begin(mainloop, 2, 50.0)
    mainloop.rest()
    assert residue(options) != NOTHING


def test_when_supervisord_stops_nothing_is_left(mainloop, options):
    begin(mainloop, 2, 50.0)
    turn_the_loop(options, 0)
    events.notify(events.SupervisorStoppingEvent())
    assert residue(options) == NOTHING


def wakeup_descriptor_of_a_child():
    pid = os.fork()
    if pid == 0:
        os._exit(signal.set_wakeup_fd(-1) + 1)
    return os.WEXITSTATUS(os.waitpid(pid, 0)[1]) - 1


def test_what_supervisord_forks_meanwhile_does_not_write_to_the_pipe(
        mainloop, options, asyncio_keeps_out):
    begin(mainloop, 5, 60)
    ours = wakeup_descriptor()
    assert wakeup_descriptor_of_a_child() == -1
    mainloop.restarts.passes_left = 0
    mainloop.make_pass()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.dup2(writing, ours)  # somebody else's, with the same number
    signal.set_wakeup_fd(ours)
    try:
        assert wakeup_descriptor_of_a_child() == ours
    finally:
        signal.set_wakeup_fd(-1)
        for descriptor in {reading, writing, ours}:
            os.close(descriptor)


# When the loop turns, and how long it is held

def test_a_signal_turns_the_loop_and_a_pass_is_made(mainloop, options):
    old = signal.signal(signal.SIGCHLD, lambda signum, frame: None)
    try:
        begin(mainloop, 100, 50.0)
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGCHLD))
        timer.start()
        before = time.monotonic()
        assert turn_the_loop(options, 20.0)[0]
        assert time.monotonic() - before < 10
        turn_the_loop(options, 20.0)
        assert mainloop.restarts.passes == 2
        timer.join()
    finally:
        signal.signal(signal.SIGCHLD, old)


def test_time_alone_turns_the_loop(mainloop, options):
    begin(mainloop, 100, 0.05)
    before = time.monotonic()
    assert turn_the_loop(options, 20.0)[0]
    assert 0.04 < time.monotonic() - before < 10


def test_the_timer_takes_any_time(mainloop, options):
    begin(mainloop, 100, 1e300)
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= LONGEST


def test_signals_that_come_while_the_loop_is_busy_are_no_complaint(mainloop, options, capfd):
    begin(mainloop, 100, 50.0)
    with pytest.raises(BlockingIOError):
        while True:
            mainloop._pair[1].send(bytes(4096))
    for _ in range(3):
        signal.raise_signal(signal.SIGALRM)
    assert capfd.readouterr().err == ''
    turn_the_loop(options)
    turn_the_loop(options)
    assert mainloop.restarts.passes == 2


def test_the_loop_sleeps_unless_something_is_due(mainloop, options):
    begin(mainloop, 1000, 50.0)
    turn_the_loop(options, 0)
    assert turn_the_loop(options, 0.01) == ([], [])
    assert mainloop.restarts.passes == 1
    begin(mainloop, 1000, 0.0)
    assert turn_the_loop(options, 20.0)[1]


def test_passes_that_are_due_follow_each_other_until_somebody_else_waits(mainloop, options):
    begin(mainloop, 1000, 0.0)
    other, theirs = os.pipe()
    options.socket_map[other] = SimpleNamespace(
        readable=lambda: True, writable=lambda: False,
        handle_read_event=lambda: os.read(other, 1))
    mainloop.restarts.then = lambda number: number == 5 and os.write(theirs, b'.')
    turn_the_loop(options)
    assert mainloop.restarts.passes == 5
    del options.socket_map[other]
    options.poller.unregister_readable(other)
    os.close(other)
    os.close(theirs)


def test_what_was_closed_in_this_turn_is_left_to_supervisord(mainloop, options):
    # A client that leaves: its channel can be written to as well, and closes when it is read.
    theirs, client = socket.socketpair()
    number = theirs.fileno()
    channel = SimpleNamespace(
        readable=lambda: theirs.fileno() != -1, writable=lambda: theirs.fileno() != -1,
        handle_read_event=theirs.close, handle_write_event=lambda: None)
    begin(mainloop, 1000, 0.0)
    options.socket_map[number] = channel
    client.close()
    mainloop.restarts.then = lambda number: setattr(
        mainloop.restarts, 'seconds', 50.0 * (number == 5))
    turn_the_loop(options)
    assert mainloop.restarts.passes == 5
    assert number not in options.poller.readables | options.poller.writables


def test_the_loop_is_not_held_for_long_though_nobody_waits(mainloop, options, monkeypatch):
    clock = Clock()
    monkeypatch.setattr('supervisor_restarter.daemon.mainloop.time', clock)
    begin(mainloop, 1000, 0.0)
    mainloop.restarts.then = lambda number: clock.forward(0.05)
    turn_the_loop(options)
    assert clock.now - 1000 == pytest.approx(LONGEST_HOLD, abs=0.051)


def test_where_the_system_has_no_poll_others_have_their_turn_after_each_pass(
        mainloop, options, monkeypatch):
    begin(mainloop, 1000, 0.0)
    monkeypatch.delattr('select.poll')
    mainloop.handle_write_event()
    assert mainloop.restarts.passes == 2


def test_there_is_no_pass_within_a_pass(mainloop, options):
    begin(mainloop, 1000, 0.0)
    # It is heard by another plugin, which calls.
    mainloop.restarts.then = lambda number: (
        mainloop.prepare(), mainloop.make_pass(), mainloop.polled())
    for passes in (2, 3):
        mainloop.make_pass()
        assert mainloop.restarts.passes == passes


def test_after_a_pass_that_raises_there_are_others(mainloop, options):
    begin(mainloop, 1000, 0.0)
    mainloop.restarts.then = lambda number: 1 / (number - 2)
    with pytest.raises(ZeroDivisionError):
        mainloop.make_pass()
    mainloop.make_pass()
    assert mainloop.restarts.passes == 3


def test_without_a_loop_each_poll_makes_a_pass_and_with_one_it_does_not(mainloop, options):
    mainloop.prepare()
    mainloop.restarts.passes_left, mainloop.restarts.seconds = 100, 50.0
    for _ in range(3):
        mainloop.polled()
    assert mainloop.restarts.passes == 3
    turn_the_loop(options, 0)
    mainloop.polled()
    assert mainloop.restarts.passes == 3


# Who waits for an answer

class Channel:
    """One of supervisord's HTTP channels; it has these to send."""

    delay = 0.2

    class Fifo(list):
        def first(self):
            return self[0]

    def __init__(self, *producers):
        self.producer_fifo = self.Fifo(producers)

    def readable(self):
        return False

    writable = readable


def test_the_channel_that_waits_for_the_answer_is_polled_next_and_its_callback_let_go(
        mainloop, options):
    def answer():
        pass

    ours = Channel(SimpleNamespace(callback=answer))
    others = [Channel(SimpleNamespace(callback=lambda: None)), Channel(b'text'), Channel(),
              Channel(SimpleNamespace(callback=None))]
    restart = SimpleNamespace(outcome=None)
    begin(mainloop, 3, 50.0)
    options.socket_map.update(enumerate([ours, *others], 1000))
    mainloop.hand_over(restart, answer)
    mainloop.make_pass()
    assert ours.delay == 0.2
    restart.outcome = True
    mainloop.make_pass()
    assert (ours.delay, {channel.delay for channel in others}) == (0, {0.2})
    kept = weakref.ref(answer)
    ours.producer_fifo.clear()
    del answer
    assert kept() is None


# What else there is

def another_alarm_handler():
    signal.signal(signal.SIGALRM, lambda signum, frame: None)
    return lambda: signal.signal(signal.SIGALRM, signal.SIG_DFL)


def another_timer():
    signal.setitimer(signal.ITIMER_REAL, 1000)
    return lambda: signal.setitimer(signal.ITIMER_REAL, 0)


def another_wakeup_descriptor():
    ends = socket.socketpair()
    ends[1].setblocking(False)
    signal.set_wakeup_fd(ends[1].fileno())

    def undo():
        assert signal.set_wakeup_fd(-1) == ends[1].fileno()
        for end in ends:
            end.close()
    return undo


@pytest.mark.parametrize('occupy, why', [
    (another_alarm_handler, 'something else uses the alarm signal'),
    (another_timer, 'something else uses the alarm signal'),
    (another_wakeup_descriptor, 'something else uses the wakeup descriptor of signals'),
])
def test_what_something_else_uses_is_left_alone_and_said_once(options, occupy, why):
    mainloop = MainLoop(options, FakeRestarts())
    undo = occupy()
    try:
        in_use = signal.getsignal(signal.SIGALRM)
        for _ in range(2):
            begin(mainloop, 2, 0.0)
            turn_the_loop(options)
        assert mainloop.restarts.finished and not options.socket_map
        assert signal.getsignal(signal.SIGALRM) == in_use
    finally:
        undo()
    assert options.logger.lines == [
        ('warn', "restarter: %s, so restarts go at supervisord's own pace" % why)]


def test_outside_of_the_main_thread_a_restart_works_all_the_same(options):
    mainloop = MainLoop(options, FakeRestarts())

    def run():
        begin(mainloop, 3, 0.0)
        while options.socket_map:
            turn_the_loop(options)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert mainloop.restarts.finished
    assert [level for level, _ in options.logger.lines] == ['warn']


def test_a_trouble_of_ours_is_logged_and_does_not_leave_the_loop(mainloop, options):
    try:
        raise RuntimeError('oops')
    except RuntimeError:
        mainloop.handle_error()
    level, line = options.logger.lines.pop()
    assert level == 'critical' and 'RuntimeError: oops' in line
