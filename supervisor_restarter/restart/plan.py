"""What a restart is to do with each slot: keep it, replace its process, add it, remove it."""

from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple

from supervisor_restarter.daemon.states import OFF_ON_PURPOSE


class Action:
    """What becomes of a slot."""

    KEEP = 'keep'
    REPLACE = 'replace'
    ADD = 'add'
    REMOVE = 'remove'


class Planned(NamedTuple):
    """What is to become of one slot.

    `config` is the configuration that it is to have, or has until it is removed; `changed` are the
    names of the options in which that differs from the one it has. `runs` says whether there is to
    be a process in the end.
    """

    name: str
    action: str
    config: Any
    changed: Tuple[str, ...] = ()
    runs: bool = True

    def struct(self) -> Dict[str, Any]:
        """Return it as an entry of the array that a caller gets: no values, they may be secret."""
        return {'name': self.name, 'action': self.action, 'changed': list(self.changed)}


class Plan(NamedTuple):
    """What is to become of all slots; `config` is the group's in the file, None if not looked at.

    The slots stand in the order of the file, and after them the slots that are removed.
    """

    slots: Tuple[Planned, ...]
    config: Any = None

    @property
    def size(self) -> int:
        """How many processes the group is to have."""
        return len(self.slots) - len(self.having(Action.REMOVE))

    @property
    def to_do(self) -> List[Planned]:
        """The slots with which something is done."""
        return self.having(Action.REPLACE, Action.ADD, Action.REMOVE)

    def having(self, *actions: str) -> List[Planned]:
        """Return the slots with which one of these is to be done."""
        return [slot for slot in self.slots if slot.action in actions]

    def only(self, names: Iterable[str], group: Any) -> 'Plan':
        """Return the plan that does something with these slots alone, and keeps the others."""
        names = set(names)
        return self._with(lambda slot: slot if slot.name in names else _kept(slot, group))

    def only_running(self, group: Any) -> 'Plan':
        """Return the plan that starts none of the group's processes that are down on purpose."""
        def planned(slot: Planned) -> Planned:
            process = group.processes.get(slot.name)
            if process is None or process.get_state() not in OFF_ON_PURPOSE:
                return slot
            if slot.changed:
                return slot._replace(runs=False)
            return slot if slot.action == Action.REMOVE else _kept(slot, group)
        return self._with(planned)

    def _with(self, planned: Callable[[Planned], Optional[Planned]]) -> 'Plan':
        slots = map(planned, self.slots)
        return self._replace(slots=tuple(slot for slot in slots if slot is not None))

    def __str__(self) -> str:
        counts = [(len(self.having(action)), action) for action in (
            Action.REPLACE, Action.ADD, Action.REMOVE, Action.KEEP)]
        return ', '.join('%d to %s' % pair for pair in counts if pair[0]) or 'no processes'


def to_restart(group: Any) -> Plan:
    """Return the plan that replaces every process, with the configuration that it has."""
    return Plan(tuple(Planned(name, Action.REPLACE, process.config)
                      for name, process in group.processes.items()))


def _kept(slot: Planned, group: Any) -> Optional[Planned]:
    """Return the slot as it is now; None where the group has no such process."""
    process = group.processes.get(slot.name)
    return process and Planned(slot.name, Action.KEEP, process.config,
                               runs=process.get_state() not in OFF_ON_PURPOSE)
