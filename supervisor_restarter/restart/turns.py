"""Whose turn it is: the slots that a restart has begun something with."""

from typing import Dict, Optional

from supervisor_restarter.restart.slot import Slot, Window


class Turns:
    """The slots that are active, and those of them that hold a place in a window.

    Both stand in the order in which their turns began.
    """

    def __init__(self):
        self.active: Dict[str, Slot] = {}
        self._held: Dict[str, Dict[str, Slot]] = {Window.DOWN: {}, Window.SURGE: {}}

    def note(self, slot: Slot, now: float) -> None:
        """Note where a slot stands now, in monotonic seconds; a turn that begins, begins now."""
        if not slot.active:
            self.active.pop(slot.name, None)
        elif slot.name not in self.active:
            slot.began = now
            self.active[slot.name] = slot
        windows = slot.windows
        for window, slots in self._held.items():
            if window in windows:
                slots.setdefault(slot.name, slot)
            else:
                slots.pop(slot.name, None)

    def held(self, window: str) -> int:
        """Return how many places in a window are taken."""
        return len(self._held[window])

    def deadline(self, seconds: float) -> Optional[float]:
        """Return when the first of those that hold a place will have taken so many seconds.

        That is a monotonic time; None where nobody holds a place.
        """
        times = []
        for slots in self._held.values():
            for slot in slots.values():
                times.append(slot.deadline(slot.began + seconds))
                if times[-1] == slot.began + seconds:
                    break  # the others have begun later
        return min(times, default=None)
