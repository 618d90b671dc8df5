"""May this one go down, or this one come, now? The rules for how many at a time."""

from typing import Any, NamedTuple, Optional

from supervisor_restarter.restart.settings import Settings
from supervisor_restarter.restart.ways import StartFirst, StopFirst, StopOnly


class Progress(NamedTuple):
    """How far a restart has come.

    `elapsed` are the seconds since the first pass. Of `total` processes to replace or remove,
    `taken` have had their turn, `failed` of the group have failed. `down` are not up, `surging` are
    too many. `removing`: the next one is to be removed.
    """

    elapsed: float
    total: int
    taken: int
    down: int
    surging: int
    failed: int
    removing: bool = False


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

    def next_way(self, progress: Progress) -> Any:
        """Return in which of the `ways` the next one may go now; None where it may not."""
        begun = self._begun(progress.elapsed)
        size, remainder = divmod(progress.total, self.batches)
        if progress.taken >= begun * size + min(begun, remainder):
            return None
        return StopOnly if progress.removing else StopFirst

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
    """Two windows: how many of the group may be down, and how many there may be too many.

    One goes down while fewer than `max_unavailable` are not up; one comes while there are fewer
    than `max_surge` more than the group has.
    """

    # Each process that comes up makes room for the next.
    one_up_lets_one_down = True

    def __init__(self, max_unavailable: int, max_surge: int = 0):
        self.max_unavailable = max_unavailable
        self.max_surge = max_surge

    def __str__(self) -> str:
        bounds = []
        if self.max_unavailable:
            bounds.append('at most %d down' % self.max_unavailable)
        if self.max_surge:
            bounds.append('at most %d more than there are' % self.max_surge)
        return 'rolling, ' + ', '.join(bounds)

    def next_way(self, progress: Progress) -> Any:
        """Return in which of the `ways` the next one may go now; None where it may not."""
        if progress.removing:
            # The group is to have fewer, so one may go where none may be down; but while one is
            # down, or has yet to come in its place, it has to serve.
            room = max(1, self.max_unavailable - progress.failed)
            return StopOnly if progress.down < room else None
        if progress.down + progress.failed < self.max_unavailable:
            return StopFirst
        if progress.surging + progress.failed < self.max_surge:
            return StartFirst
        return None

    def next_in(self, elapsed: float) -> Optional[float]:
        """Return None: only a process that comes up makes room."""
        return None

    def used_up(self, failed: int) -> bool:
        """Whether the failed ones have used a window up."""
        return any(0 < limit <= failed for limit in (self.max_unavailable, self.max_surge))


def pacing_for(settings: Settings, total: int):
    """Return the pacing that the settings ask for, for a group of `total` processes."""
    if settings.rolling:
        return Rolling(settings.max_unavailable.of(total), settings.max_surge.of(total))
    return Staggered(settings.stagger_factor, settings.delay)
