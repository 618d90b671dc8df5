"""The slots of a restart, and which of them stand where."""

from collections import Counter
from typing import Any, Dict, Iterable, Iterator, List

from supervisor.options import make_namespec
from supervisor.states import ProcessStates

from supervisor_restarter.restart.down import Down
from supervisor_restarter.restart.hands import PREDECESSOR, SUCCESSOR
from supervisor_restarter.restart.plan import Action, Plan
from supervisor_restarter.restart.settings import Settings
from supervisor_restarter.restart.slot import PENDING, PHASES, Phase, Slot
from supervisor_restarter.restart.turns import Turns
from supervisor_restarter.restart.ways import ConfigureOnly, StartOnly, StopOnly, Waiting


class CannotRestart(ValueError):
    """Why a restart cannot begin, as a sentence that names the process."""


class Roster:
    """All slots with which something is to be done, and of these: the `waiting` ones, the next to
    have its turn standing last; in `at_once` those that have no turn to wait for; those that are
    `down` and can be spawned; those found STARTING, which are `not_up_yet`; and in `turns` those
    with which something was begun.
    """

    def __init__(self, slots: Iterable[Slot]):
        self.slots: Dict[str, Slot] = {slot.name: slot for slot in slots}
        waiting = sorted(slot for slot in self.slots.values() if not slot.found_down)
        # What is removed goes last: until then it serves.
        self.waiting = ([slot for slot in waiting if slot.is_to_go]
                        + [slot for slot in waiting if not slot.is_to_go])
        self.at_once = [slot for slot in self.slots.values() if slot.found_down]
        self.with_turns = len(self.waiting)
        self.not_up_yet = {slot.name for slot in self.waiting
                           if slot.state != ProcessStates.RUNNING and not slot.is_to_go}
        self.down = Down()
        self.turns = Turns()

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def taken(self) -> int:
        """How many of those that were up have had their turn."""
        return self.with_turns - len(self.waiting)

    def put(self, slot: Slot, phase: str, now: float) -> None:
        """Let a slot be in another phase, from now, a monotonic time, on."""
        self.not_up_yet.discard(slot.name)
        self.down.drop(slot)
        if phase != slot.phase:
            slot.changes.append((phase, now))
        slot.phase = phase
        self.turns.note(slot, now)

    def drop_settled(self) -> None:
        """Let the next one to have its turn be one that waits for it."""
        while self.waiting and self.waiting[-1].phase != Phase.WAITING:
            self.waiting.pop()

    def unsettled(self) -> List[Slot]:
        """Return those that nobody has given up on, and that are not restarted."""
        return [slot for slot in self.slots.values()
                if slot.phase in PENDING or slot.beside is not None]

    def in_phase(self, phase: str) -> List[Slot]:
        """Return those in a phase."""
        return [slot for slot in self.slots.values() if slot.phase == phase]

    def done(self) -> int:
        """Return how many are as it was planned."""
        return sum(slot.phase == (Phase.REMOVED if slot.is_to_go else Phase.RESTARTED)
                   for slot in self.slots.values())

    def left_as_they_were(self) -> int:
        """Return how many have the process of the call, which nobody has told to stop."""
        return sum(slot.has_old for slot in self.slots.values())

    def count(self) -> Counter:
        """Return how many are in which phase."""
        return Counter(slot.phase for slot in self.slots.values())

    def pending(self) -> str:
        """Return, for a message, how many are pending in which phase."""
        phases = self.count()
        pending = ['%d %s' % (phases[phase], phase) for phase in PENDING if phases[phase]]
        return '%d of %d processes pending (%s)' % (
            sum(phases[phase] for phase in PENDING), len(self), ', '.join(pending))

    def info(self) -> Dict[str, Any]:
        """Return what `getRestartInfo` tells of the slots."""
        phases, active = self.count(), list(self.turns.active.values())
        return dict({phase: phases[phase] for phase in PHASES}, total=len(self),
                    surging=sum(slot.beside is not None for slot in active),
                    awaiting=[{'name': slot.name, 'awaited': slot.watch.awaited,
                               'seen': slot.watch.seen} for slot in active if slot.is_awaited])

    def history(self, began: float) -> List[Dict[str, Any]]:
        """Return what `getRestartInfo` tells of each slot, in seconds since `began`."""
        told = []
        for name, slot in self.slots.items():
            changes = [] if slot.found_down else [(Phase.WAITING, began)]
            told.append({'name': name, 'phase': slot.phase, 'changes': [
                [phase, round(when - began, 3)] for phase, when in changes + slot.changes]})
        return told


def slots_of(group: Any, plan: Plan, readiness: Any, settings: Settings) -> Iterator[Slot]:
    """Make a slot for each process with which something is to be done.

    See `GroupRestart` for `readiness`. Raises CannotRestart.
    """
    names = {*group.processes, *(planned.name for planned in plan.slots)}
    for planned in plan.having(Action.REPLACE, Action.ADD, Action.REMOVE):
        name = planned.name
        try:
            declared = readiness and planned.runs and readiness.declared(planned.config)
        except ValueError as why:
            raise CannotRestart('%s: %s' % (make_namespec(group.config.name, name), why)) from None
        for taken in (name + SUCCESSOR, name + PREDECESSOR):
            if settings.max_surge and planned.action == Action.REPLACE and taken in names:
                raise CannotRestart('%s: with max_surge a second process of %s would have this name'
                                    % (make_namespec(group.config.name, taken), name))
        process = group.processes.get(name) or planned.config.make_process(group)
        slot = Slot(planned, process, Waiting, declared or None)
        if slot.is_to_go:
            slot.way = StopOnly
        elif slot.found_down:
            slot.way = StartOnly if planned.runs else ConfigureOnly
        yield slot
