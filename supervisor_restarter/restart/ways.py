"""How one slot gets what is planned for it: a few ways with one face.

    begin(slot, hands)       what is done when its turn comes; the standing after it
    standing(slot, now)      where it stands; `now` is Supervisor's time, `time.time()`
    moved(slot, hands)       it has got to another phase
    down(slot, hands)        its old process is down: the standing after it; None if the new one
                             is to be spawned

A restart drives its slots without knowing which way they go.
"""

from typing import Any, Optional

from supervisor.states import ProcessStates

from supervisor_restarter.restart.faults import Faults
from supervisor_restarter.restart.slot import Phase, Slot, Standing


class StartOnly:
    """What is down is started."""

    @staticmethod
    def begin(slot: Slot, hands: Any) -> Standing:
        hands.configs.prepare(slot)
        return Standing(Phase.STOPPING)

    @staticmethod
    def standing(slot: Slot, now: float) -> Standing:
        if slot.phase in (Phase.STARTING, Phase.RESTARTED) or slot.replaced():
            return slot.standing_of_new(slot.process, now)
        return slot.standing_of_old()

    @staticmethod
    def moved(slot: Slot, hands: Any) -> None:
        """Nothing to do: one that is down is spawned when there is time."""

    @staticmethod
    def down(slot: Slot, hands: Any) -> Optional[Standing]:
        hands.configs.install(slot)  # whoever starts it from now on
        return None


class ConfigureOnly(StartOnly):
    """What is down, and is not to run, gets its configuration."""

    @staticmethod
    def begin(slot: Slot, hands: Any) -> Standing:
        hands.configs.prepare(slot)
        hands.configs.put_in_anew(slot)
        return Standing(Phase.RESTARTED)

    @staticmethod
    def standing(slot: Slot, now: float) -> Standing:
        return Standing(Phase.RESTARTED)


class StopOnly(StartOnly):
    """The old process is stopped, and the slot removed when it is down."""

    @staticmethod
    def begin(slot: Slot, hands: Any) -> Standing:
        up = slot.state in (ProcessStates.RUNNING, ProcessStates.STARTING)
        return up and hands.stop(slot.process) or Standing(Phase.STOPPING)

    @staticmethod
    def standing(slot: Slot, now: float) -> Standing:
        return slot.standing_of_old()

    @staticmethod
    def down(slot: Slot, hands: Any) -> Optional[Standing]:
        hands.configs.take_out(slot)
        return Standing(Phase.REMOVED)


class StopFirst(StartOnly):
    """The old process is stopped, and the new one started as soon as it is down."""

    @staticmethod
    def begin(slot: Slot, hands: Any) -> Standing:
        hands.configs.prepare(slot)
        return hands.stop(slot.process) or Standing(Phase.STOPPING)


class StartFirst(StartOnly):
    """The new process is started beside the old one, which is stopped when the new one is up."""

    @staticmethod
    def begin(slot: Slot, hands: Any) -> Standing:
        hands.configs.prepare(slot)
        return hands.spawn_successor(slot) or Standing(Phase.STARTING)

    @staticmethod
    def standing(slot: Slot, now: float) -> Standing:
        if slot.phase == Phase.STARTING and slot.beside is not None:
            return StartFirst._standing_before(slot, now)
        standing = slot.standing_of_new(slot.process, now)
        if slot.beside is not None and standing.phase != Phase.FAILED:
            return Standing(Phase.STOPPING)
        return standing

    @staticmethod
    def _standing_before(slot: Slot, now: float) -> Standing:
        old, new = slot.process, slot.beside
        if old.get_state() == ProcessStates.UNKNOWN:
            return Standing(Phase.FAILED, Faults.BAD_STATE, 'its state became UNKNOWN')
        if slot.stopped_by_somebody_else():
            theirs = slot.standing_of_new(old, now)
            return theirs if theirs.phase == Phase.FAILED else Standing(Phase.STARTING)
        if slot.ready and slot.watch is not None and new.get_state() == ProcessStates.STARTING:
            return Standing(Phase.STOPPING)
        standing = slot.standing_of_new(new, now)
        if standing.phase == Phase.RESTARTED:
            return Standing(Phase.STOPPING)
        return standing

    @staticmethod
    def moved(slot: Slot, hands: Any) -> None:
        if slot.phase == Phase.STOPPING and slot.beside is not None:
            hands.hand_over(slot)


class Waiting(StartOnly):
    """No way yet: the old process is up, and its turn has not come."""

    @staticmethod
    def standing(slot: Slot, now: float) -> Standing:
        if slot.phase == Phase.WAITING and slot.stopped_by_somebody_else():
            return slot.standing_of_new(slot.process, now)
        return StartOnly.standing(slot, now)
