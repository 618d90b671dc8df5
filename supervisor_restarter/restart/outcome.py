"""What a restart has come to: the faults of processes, why it settles, and the caller's answer."""

from typing import Any, Dict, List, Optional, Union

from supervisor_restarter.restart.faults import Fault, RPCError


class Outcome:
    """What the caller of a restart gets.

    `answer` is None until there is one: then True, a list of faults (as structs), or an RPCError to
    raise. `faults` are those of processes, `ending` why nothing more is begun: the restart settles.
    """

    def __init__(self, group: str):
        self.group = group
        self.answer: Union[None, bool, List[Dict[str, Any]], RPCError] = None
        self.faults: List[Fault] = []
        self.ending: Optional[Fault] = None

    def fail(self, name: str, code: int, explanation: str) -> Fault:
        """Note a fault of a process, and return it."""
        self.faults.append(Fault(code, explanation, self.group, name))
        return self.faults[-1]

    def settle(self, code: int, explanation: str) -> Fault:
        """Note why nothing more is begun, and return it."""
        self.ending = Fault(code, explanation, self.group)
        return self.ending

    def give_answer(self) -> None:
        """Answer with what there is, unless there is an answer already."""
        if self.answer is None:
            if self.ending is not None and not self.faults:
                self.answer = self.ending.error()
            else:
                self.answer = self.structs() or True

    def break_off(self, code: int, explanation: str) -> Fault:
        """Answer with one fault about the whole group, whatever else there is, and return it."""
        reason = self.settle(code, explanation)
        self.answer = self.answer or reason.error()
        return reason

    def structs(self) -> List[Dict[str, Any]]:
        """Return all faults, that of the group being the last."""
        return [fault.struct() for fault in self.faults + ([self.ending] if self.ending else [])]
