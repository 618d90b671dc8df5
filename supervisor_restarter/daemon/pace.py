"""How often a watch looks whether its process is ready."""

import math
import time
from typing import Any, Set

# Seconds between two looks: at least, and for each process that is looked at. A look costs about
# 0.1 ms, so all together take a fifth of a core, and a few are seen soon.
LEAST = 0.01
EACH = 0.0005
# What part of the time that has passed since the first may pass until the next one.
PART = 1 / 8


class Pace:
    """When the next look at one of the `watched` processes is due; `delay` seconds are the most.

    `watched` has all watches of a supervisord that have to look.
    """

    def __init__(self, delay: float, watched: Set[Any], clock: Any = time):
        self.delay = delay
        self.watched = watched
        self.clock = clock
        self.next = -math.inf
        self._began = math.inf

    def is_due(self) -> bool:
        """Whether it is time for a look, which is then made."""
        now = self.clock.monotonic()
        if now < self.next:
            return False
        self._began = min(self._began, now)
        self.next = now + min(self.delay, max(
            LEAST, PART * (now - self._began), EACH * len(self.watched)))
        return True
