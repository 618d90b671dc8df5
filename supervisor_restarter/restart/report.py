"""What a restart tells: to its caller the outcome, and to all others how it stands."""

import itertools
from typing import Any, Callable, Dict, Iterable, List, Optional, Set, Union

from supervisor_restarter.daemon.states import BROKEN_STATES
from supervisor_restarter.restart.faults import Failed, Fault, RPCError
from supervisor_restarter.restart.slot import PENDING, PHASES, Phase, Slot, count

# For how many processes at most `getRestartInfo` tells what they wait for.
LONGEST = 200


class Report:
    """What is to be told of one restart.

    `slots` are all with which something is done, by name; `began` and `ended` are monotonic
    seconds, `ended` is None while it runs. `faults` are those of processes, `warnings` are what the
    caller should know besides. `failed` counts the processes with a fault that were not FATAL or in
    BACKOFF at the call. `ending` is why nothing more is begun: the restart settles. `outcome` is
    what the caller gets, None until that is known: True, a list of faults (as structs), or an
    RPCError to raise. `log(level, message)` writes to supervisord's log.
    """

    def __init__(self, group: str, slots: Dict[str, Slot], began: float,
                 log: Callable[[str, str], None]):
        self.group = group
        self.slots = slots
        self.began = began
        self.ended: Optional[float] = None
        self.faults: List[Fault] = []
        self.failed = 0
        self.warnings: List[Fault] = []
        self.ending: Optional[Fault] = None
        self.outcome: Union[None, bool, List[Dict[str, Any]], RPCError] = None
        self._log = log

    @property
    def settles(self) -> bool:
        """Whether nothing more is begun."""
        return self.ending is not None

    def fail(self, slot: Slot, why: Failed) -> None:
        """Note the fault of a slot."""
        self.faults.append(Fault(why.code, why.explanation, self.group, slot.name))
        self.failed += slot.state_at_call not in BROKEN_STATES
        self._log('warn', '%s: %s' % (slot.name, self.faults[-1].text))

    def warn(self, slot: Slot, code: int, explanation: str) -> None:
        """Note what the caller should know of a slot, though it may have been restarted."""
        self.warnings.append(Fault(code, explanation, self.group, slot.name))
        self._log('warn', '%s: %s' % (slot.name, self.warnings[-1].text))

    def settle(self, code: int, explanation: str) -> None:
        """Note why nothing more is begun."""
        self.ending = Fault(code, explanation, self.group)
        self._log('warn', self.ending.text)

    def give_answer(self) -> None:
        """Answer the caller with what there is, unless there is an answer already."""
        if self.outcome is None:
            if self.ending is not None and not self.faults:
                self.outcome = self.ending.error()
            else:
                self.outcome = self._faults() or True

    def break_off(self, code: int, explanation: str) -> None:
        """Answer the caller with one fault about the whole group, whatever else there is."""
        self.settle(code, explanation)
        self.outcome = self.outcome or self.ending.error()

    def left_as_they_were(self) -> int:
        """Return how many processes of the call are up, and were not told to stop."""
        return sum(slot.has_old for slot in self.slots.values())

    def pending(self) -> str:
        """Return, for a message, how many slots are pending in which phase."""
        phases = count(self.slots.values())
        pending = ['%d %s' % (phases[phase], phase) for phase in PENDING if phases[phase]]
        return '%d of %d processes pending (%s)' % (
            sum(phases[phase] for phase in PENDING), len(self.slots), ', '.join(pending))

    def summary(self, verb: str) -> str:
        """Return, for a message, how many slots are as it was planned, and in what time."""
        done = sum(slot.phase == (Phase.REMOVED if slot.is_removed else Phase.RESTARTED)
                   for slot in self.slots.values())
        return '%s %d of %d processes in %.3f seconds' % (
            verb, done, len(self.slots), self.ended - self.began)

    def info(self, now: float, active: Iterable[Slot],
             awaiting: Iterable[Dict[str, Any]]) -> Dict[str, Any]:
        """Return the struct of `getRestartInfo`.

        `now` are monotonic seconds; `awaiting` tells what each `active` slot waits for, {} for
        nothing.
        """
        state = ('FINISHED' if self.ended is not None else
                 'SETTLING' if self.settles else 'RESTARTING')
        return dict(count(self.slots.values()), group=self.group, state=state,
                    total=len(self.slots),
                    elapsed=(now if self.ended is None else self.ended) - self.began,
                    surging=sum(slot.second is not None for slot in active),
                    awaiting=list(itertools.islice(filter(None, awaiting), LONGEST)),
                    faults=self._faults(),
                    warnings=[warning.struct() for warning in self.warnings])

    def restarted(self) -> Set[str]:
        """Return the names of the slots that have a new process, which is up."""
        return {name for name, slot in self.slots.items() if slot.phase == Phase.RESTARTED}

    def ended_as(self) -> str:
        """Return the outcome in a word: restarted, FAILED, or the fault of the whole group."""
        if self.outcome is True:
            return 'restarted'
        return self.ending.text.split(':')[0] if self.ending is not None else 'FAILED'

    def history(self) -> List[Dict[str, Any]]:
        """Return the array `slots` of that struct: the phases of each, in seconds since it began.
        """
        return [{'name': name, 'phase': slot.phase, 'changes': [
            [phase, round(when - self.began, 3)] for phase, when in
            ([] if slot.found_down else [(Phase.WAITING, self.began)]) + slot.changes]}
            for name, slot in self.slots.items()]

    def _faults(self) -> List[Dict[str, Any]]:
        """Return all faults, the group's being the last."""
        return [fault.struct() for fault in self.faults + ([self.ending] if self.ending else [])]


def nothing_of(group: str) -> Dict[str, Any]:
    """Return the struct of `getRestartInfo` for a group that was never restarted."""
    return dict(dict.fromkeys(PHASES, 0), group=group, state='IDLE', total=0, elapsed=0.0,
                surging=0, awaiting=[], faults=[], warnings=[])
