"""May this one go down now? The two rules for how many processes are stopped when."""

from typing import Optional

from supervisor_restarter.restart.settings import Settings


class Staggered:
    """Batches over time: batch k goes down k times `delay` seconds after the first pass.

    The batches are of equal size, and the first ones take the remainder.
    """

    # Nothing waits for a process that comes up.
    one_up_lets_one_down = False

    def __init__(self, batches: int, delay: float):
        self.batches = batches
        self.delay = delay

    def __str__(self) -> str:
        if self.batches == 1:
            return 'all at once'
        return 'in %d batches, %g seconds apart' % (self.batches, self.delay)

    def allowance(self, elapsed: float, total: int, taken: int, unavailable: int) -> int:
        """Return how many more processes may go down now.

        `elapsed` are the seconds since the first pass; of `total` processes to stop, `taken` have
        had their turn.
        """
        begun = self._begun(elapsed)
        size, remainder = divmod(total, self.batches)
        return begun * size + min(begun, remainder) - taken

    def next_in(self, elapsed: float) -> Optional[float]:
        """Return the seconds until the next batch, or None where time alone allows no more."""
        begun = self._begun(elapsed)
        return None if begun == self.batches else begun * self.delay - elapsed

    def _begun(self, elapsed: float) -> int:
        past = int(min(elapsed / self.delay, self.batches - 1))
        # A quotient can be rounded down where the product, which `next_in` goes by, is not.
        if (past + 1) * self.delay <= elapsed:
            past += 1
        return min(past + 1, self.batches)

    def used_up(self, failed: int) -> bool:
        """Whether nothing may ever go down again after so many have failed."""
        return False


class Rolling:
    """A window: one goes down while fewer than `limit` of the group are not RUNNING."""

    # Each process that comes up makes room for the next.
    one_up_lets_one_down = True

    def __init__(self, limit: int):
        self.limit = limit

    def __str__(self) -> str:
        return 'rolling, at most %d down' % self.limit

    def allowance(self, elapsed: float, total: int, taken: int, unavailable: int) -> int:
        """Return how many more may go down when `unavailable` are not RUNNING or have failed."""
        return self.limit - unavailable

    def next_in(self, elapsed: float) -> Optional[float]:
        """Return None: only a process that comes up makes room."""
        return None

    def used_up(self, failed: int) -> bool:
        """Whether the failed ones have used the window up."""
        return failed >= self.limit


def pacing_for(settings: Settings, total: int):
    """Return the pacing that the settings ask for, for a group of `total` processes."""
    if settings.max_unavailable:
        return Rolling(settings.max_unavailable.of(total))
    return Staggered(settings.stagger_factor, settings.delay)
