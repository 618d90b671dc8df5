"""supervisord's main loop for unit tests, as far as entries of its socket map can see it."""

import time
from types import SimpleNamespace

from supervisor.poller import PollPoller, SelectPoller

from tests.unit.fakes import FakeLogger

POLLERS = [PollPoller, SelectPoller]


def fake_options(poller=PollPoller):
    """supervisord's options, with an empty socket map."""
    made = SimpleNamespace(logger=FakeLogger(), socket_map={}, pidhistory={})
    made.get_socket_map = lambda: made.socket_map
    made.poller = poller(made)
    return made


def turn_the_loop(options, seconds=5.0):
    """One turn, as supervisor/supervisord.py: runforever makes it; return what was ready."""
    combined = dict(options.socket_map)
    poller = options.poller
    for descriptor, dispatcher in combined.items():
        if dispatcher.readable():
            poller.register_readable(descriptor)
        if dispatcher.writable():
            poller.register_writable(descriptor)
    readable, writable = poller.poll(seconds)
    for descriptors, handle, wants, unregister in (
            (readable, 'handle_read_event', 'readable', poller.unregister_readable),
            (writable, 'handle_write_event', 'writable', poller.unregister_writable)):
        for descriptor in descriptors:
            dispatcher = combined[descriptor]
            try:
                getattr(dispatcher, handle)()
            except Exception:
                dispatcher.handle_error()
                continue
            # It must not be unregistered a second time, which supervisord would take for an error.
            if not getattr(dispatcher, wants)():
                unregister(descriptor)
    return readable, writable


def turn_until(options, condition):
    """Turn the loop until a condition is true."""
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline, 'not within 10 seconds'
        turn_the_loop(options, 0.01)


def assert_nothing_is_left(options):
    """Nothing is in the socket map and the poller, and no error was logged."""
    assert options.socket_map == {}
    assert (set(options.poller.readables), set(options.poller.writables)) == (set(), set())
    assert [line for level, line in options.logger.lines if level in ('warn', 'critical')] == []
