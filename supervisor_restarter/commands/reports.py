"""What supervisord said of each group, as lines and as a document."""

from collections import Counter
from typing import Any, Dict, List, NamedTuple, Optional

from supervisor.options import make_namespec

from supervisor_restarter.commands.standing import awaited, summary

PLANNED = 'planned'  # the outcome of a dry run
_PAST = {'keep': 'kept', 'add': 'added', 'remove': 'removed', 'replace': 'replaced'}


class Line(NamedTuple):
    """One line about a group, or about one of its processes; `code` is 0 without a fault.

    With an empty subject it is about all groups.
    """

    subject: str
    text: str
    code: int = 0

    @property
    def statement(self) -> str:
        """What is said of the subject."""
        return 'ERROR (%s)' % self.text if self.code else self.text

    def __str__(self) -> str:
        return ': '.join(text for text in (self.subject, self.statement) if text)


class Report(NamedTuple):
    """What became of a call for one group.

    `outcome` is its result where it has no fault, and `said` the text for that where it is
    another. `faults` and `warnings` are structs of code, text, group and name, `plan` is that of
    an update, and `info` the answer of getRestartInfo where the command asks for it.
    """

    group: str
    outcome: str = ''
    said: str = ''
    faults: List[Dict[str, Any]] = []
    warnings: List[Dict[str, Any]] = []
    plan: Optional[List[Dict[str, Any]]] = None
    info: Optional[Dict[str, Any]] = None

    def lines(self) -> List[Line]:
        """Return the lines to print. That of the group is the last one; of `info`, the first."""
        if self.info is not None:
            return _info_lines(self.group, self.info)
        if self.faults:
            return fault_lines(self.group, self.faults)
        slots = plan_lines(self.group, self.plan or []) if self.outcome == PLANNED else []
        return [*slots, Line(self.group, self.said or self.outcome)]

    def warning_lines(self) -> List[Line]:
        """Return a line for each warning."""
        return [Line(_subject(self.group, warning), 'warning: %s' % warning['text'])
                for warning in self.warnings]

    def document(self) -> Dict[str, Any]:
        """Return it as an entry of the JSON document."""
        if self.info is not None:
            return self.info
        about = {'group': self.group, 'outcome': 'failed' if self.faults else self.outcome,
                 'faults': self.faults, 'warnings': self.warnings}
        return about if self.plan is None else dict(about, plan=self.plan)


def failed(group: str, code: int, text: str) -> Report:
    """Return the report of one fault about the group as a whole."""
    return Report(group, faults=[{'code': code, 'text': text, 'group': group, 'name': ''}])


def told(group: str, plan: List[Dict[str, Any]]) -> Report:
    """Return the report of a plan that is not carried out."""
    numbers = _numbers([slot['action'] for slot in plan], '%d to %s')
    return Report(group, PLANNED, numbers if _changes(plan) else 'nothing to do', plan=plan)


def carried_out(group: str, plan: List[Dict[str, Any]]) -> Report:
    """Return the report of a plan that was carried out."""
    outcome = 'updated' if _changes(plan) else 'nothing to do'
    numbers = _numbers([_PAST.get(slot['action'], slot['action']) for slot in plan], '%d %s')
    return Report(group, outcome, ', '.join(text for text in (outcome, numbers) if text), plan=plan)


def _changes(plan: List[Dict[str, Any]]) -> bool:
    return any(slot['action'] != 'keep' for slot in plan)


def _numbers(actions: List[str], form: str) -> str:
    return ', '.join(form % (count, action) for action, count in sorted(Counter(actions).items()))


def plan_lines(group: str, plan: List[Dict[str, Any]]) -> List[Line]:
    """Return a line for each process that would not be kept."""
    return [Line(make_namespec(group, slot['name']), slot['action'] + (
                 ' (%s)' % ', '.join(slot['changed']) if slot['changed'] else ''))
            for slot in plan if slot['action'] != 'keep']


def fault_lines(group: str, faults: List[Dict[str, Any]]) -> List[Line]:
    """Return a line for each fault of a list, the group's own being the last."""
    return [Line(_subject(group, fault), fault['text'], fault['code'])
            for fault in sorted(faults, key=lambda fault: not fault['name'])]


def _subject(group: str, about: Dict[str, Any]) -> str:
    return make_namespec(about['group'], about['name']) if about['name'] else group


def _info_lines(group: str, info: Dict[str, Any]) -> List[Line]:
    about = [Line(make_namespec(group, entry['name']),
                  ('awaiting ' if entry['awaited'] else '') + awaited(entry))
             for entry in info['awaiting']] + fault_lines(group, info['faults'])
    return [Line(group, summary(info)),
            *(Line('  ' + line.subject, line.statement) for line in about)]
