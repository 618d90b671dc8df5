"""Events have the names that processes had when the events were made.

A listener that is busy gets an event later, with the name that its process has by then
(supervisor/events.py: ProcessStateEvent.payload). A surge gives processes other names. To look for
their events at each hand-over would take time for each event that any listener has yet to get.
"""

import functools
from typing import Any

from supervisor import events

ABOUT_PROCESSES = (events.ProcessStateEvent, events.ProcessLogEvent,
                   events.ProcessCommunicationEvent)


class EventNames:
    """Keeps the names in the events of a supervisord, from `keep` until `rest`."""

    def __init__(self, supervisord: Any):
        self.supervisord = supervisord
        self._kept = False
        # Until events.clear(); see `Restarts` for why it is not unsubscribed.
        for kind in ABOUT_PROCESSES:
            events.subscribe(kind, self._on_event)

    def keep(self) -> None:
        """From now on, let events have the names that processes have when they are made.

        Those that listeners have yet to get keep the names that processes have now.
        """
        if self._kept:
            return
        self._kept = True
        pools = list(self.supervisord.process_groups.values())
        named = {id(process): _Named(process) for group in pools
                 for process in group.processes.values()}
        for pool in pools:
            if hasattr(pool, 'event_buffer'):
                # What is handled may be rejected, and is then to be sent again.
                handled = [listener.event for listener in pool.processes.values()]
                for event in pool.event_buffer + handled:
                    now = named.get(id(getattr(event, 'process', None)))
                    if now is not None:
                        event.process = now

    def rest(self) -> None:
        """Leave events as supervisord makes them: no process gets another name any more."""
        self._kept = False

    def _on_event(self, event: Any) -> None:
        if self._kept:
            event.payload = functools.partial(str, event.payload())


class _Named:
    """What the payload of an event asks of its process, as it is now."""

    def __init__(self, process: Any):
        self.config = process.config
        self.group = process.group
