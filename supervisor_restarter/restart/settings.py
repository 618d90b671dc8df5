"""The options of a restart."""

import math
from typing import NamedTuple, Optional


class Limit(NamedTuple):
    """How many processes: a number, or a percentage of the group."""

    number: float
    percentage: bool = False

    def __bool__(self) -> bool:
        return self.number > 0

    def __str__(self) -> str:
        return '%g%%' % self.number if self.percentage else '%d' % self.number

    def of(self, total: int) -> int:
        """Return how many of `total` processes that is; a percentage is at least one."""
        if not self.percentage:
            return int(self.number)
        return max(1, math.ceil(total * self.number / 100))


class Settings(NamedTuple):
    """The options of one restart; `delay`, `timeout` and `min_ready_seconds` are in seconds.

    Without a `timeout` the configurations of the processes say how long they may take.
    """

    delay: float = 0.2
    timeout: Optional[float] = None
    stagger_factor: int = 1
    max_unavailable: Limit = Limit(0)
    max_surge: Limit = Limit(0)
    min_ready_seconds: float = 0.0
    only_running: bool = False

    @property
    def rolling(self) -> str:
        """Which option makes a restart rolling, with its value; empty where none does."""
        for name in ('max_unavailable', 'max_surge'):
            if getattr(self, name):
                return '%s = %s' % (name, getattr(self, name))
        return ''
