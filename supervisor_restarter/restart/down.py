"""What is down, and who of it is to be spawned first."""

import heapq
from typing import Dict, List, Tuple

from supervisor_restarter.restart.slot import Slot


class Down:
    """Slots whose processes are down and can be spawned."""

    def __init__(self) -> None:
        self._slots: Dict[str, Slot] = {}
        self._heap: List[Tuple[Tuple[int, str], Slot]] = []  # and some that are dropped

    def __bool__(self) -> bool:
        return bool(self._slots)

    def __contains__(self, slot: Slot) -> bool:
        return slot.name in self._slots

    def put(self, slot: Slot) -> None:
        """Add a slot, unless it is there."""
        if slot not in self:
            self._slots[slot.name] = slot
            heapq.heappush(self._heap, (slot.rank(), slot))

    def drop(self, slot: Slot) -> None:
        """Remove a slot, if it is there."""
        self._slots.pop(slot.name, None)

    def take(self, count: int) -> List[Slot]:
        """Remove so many that come first, and return them in their order."""
        taken: List[Slot] = []
        while self._heap and len(taken) < count:
            slot = heapq.heappop(self._heap)[1]
            if self._slots.pop(slot.name, None) is not None:
                taken.append(slot)
        return taken
