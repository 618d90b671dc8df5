"""What the page is told: each group in a few words, and the processes of those that are open."""

import time
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

from supervisor.states import ProcessStates, getProcessStateDescription

from supervisor_restarter.options import Configured
from supervisor_restarter.restart.faults import RPCError
from supervisor_restarter.restart.pacing import pacing_for
from supervisor_restarter.restart.slot import PREDECESSOR, SUCCESSOR

# The main loop of supervisord waits while an answer is made. So an answer has at most so many
# groups, processes of one group, processes of all groups, and faults of one group.
GROUPS, OF_ONE, OF_ALL, FAULTS = 200, 200, 300, 20

TROUBLE = {ProcessStates.BACKOFF, ProcessStates.FATAL, ProcessStates.UNKNOWN}

# While a slot has two processes, the second one is named after it.
SECOND = (SUCCESSOR, PREDECESSOR)

OUT, ERR = 1, 2


class Row(NamedTuple):
    """What is told of one process; it becomes an array.

    `since`: when it was started, or else stopped, in seconds since the epoch, 0 for never; `logs`:
    which logs of its own it has, OUT or ERR or both; `note`: why it is in this state; `second`: the
    pid of the other process of its slot; `slot`: the phase and the changes of `getRestartInfo`.
    """

    name: str
    state: str
    pid: int = 0
    since: int = 0
    logs: int = 0
    note: str = ''
    second: int = 0
    slot: Any = None


class Status:
    """What the page is told of a supervisord; it changes nothing."""

    def __init__(self, supervisord: Any, restarts: Any, configured: Configured, clock: Any = time):
        self.supervisord = supervisord
        self.restarts = restarts
        self.configured = configured
        self.clock = clock

    def tell(self, open_groups: Iterable[str] = (), text: str = '') -> Dict[str, Any]:
        """Return the groups in the order in which they need a look, and the numbers of all.

        Those among `open_groups` have their processes with them. With `text` there are only those
        groups that have it in their name, or have processes with it in theirs or in this state.
        """
        told, running = [], set(self.restarts.groups())
        states: Dict[int, int] = {}
        failed = 0
        for name, group in self.supervisord.process_groups.items():
            one = _Group(name, group.processes, self.restarts.info(name, name in running))
            for state, number in one.states.items():
                states[state] = states.get(state, 0) + number
            failed += one.faults > 0
            if not text or one.find(text.lower()):
                told.append(one)
        told.sort(key=lambda one: (one.rank, one.name))
        wanted, room = set(open_groups), OF_ALL
        groups = []
        for one in told[:GROUPS]:
            settings = self.configured.of(one.name)
            groups.append(dict(one.summary(), way=str(pacing_for(settings, one.total))))
            if one.info['state'] == 'FINISHED':
                groups[-1]['restart'].update(self._left(one))
            if one.name in wanted:
                if not one.restarts:
                    one.info = self.restarts.info(one.name, True)
                groups[-1].update(one.details(min(room, OF_ONE)))
                room -= len(groups[-1]['rows'])
        return {'now': int(self.clock.time()), 'groups': groups, 'left_out': len(told[GROUPS:]),
                'all': len(self.supervisord.process_groups), 'states': _named(states),
                'restarting': len(running), 'failed': failed}

    def _left(self, group: '_Group') -> Dict[str, Any]:
        # What can be resumed, and in which way that goes.
        try:
            left = self.restarts.left(group.name)
        except RPCError:
            return {'left': 0}
        if left.reread and not group.info['waiting'] + group.info['failed']:
            return {'left': 0}  # What an update keeps is as the file says.
        number = len(left.names)
        return {'left': number, 'left_way': str(pacing_for(left.settings, number))}


class _Group:
    # One group as it is now. `processes` are those of its slots, `second` has the others. `found`
    # are the names to be told of, None for all. `rank`: 0 some fail now, 1 the last restart has, 2
    # it is being restarted, 3 all else.

    def __init__(self, name: str, processes: Dict[str, Any], info: Dict[str, Any]):
        self.name, self.info = name, info
        self.restarts = info['state'] not in ('IDLE', 'FINISHED')
        self.faults = len(info['faults'])
        self.second: Dict[str, Any] = {}
        self.processes = processes
        if self.restarts and info['surging']:
            self._part()
        self.total = len(self.processes)
        self.found: Optional[List[str]] = None
        self.states: Dict[int, int] = {}
        fails = False
        for process in self.processes.values():
            state = process.get_state()
            self.states[state] = self.states.get(state, 0) + 1
            fails = fails or _fails(state, process)
        self.rank = 0 if fails else 1 if self.faults else 2 if self.restarts else 3

    def _part(self) -> None:
        slots = {slot['name'] for slot in self.info['slots']}
        twice = {name for name in self.processes
                 if name.endswith(SECOND) and name not in slots and name[:-4] in slots}
        self.second = {name[:-4]: self.processes[name] for name in twice}
        self.processes = {name: process for name, process in self.processes.items()
                          if name not in twice}

    def find(self, text: str) -> bool:
        if text not in self.name.lower():
            self.found = [name for name, process in self.processes.items()
                          if text in name.lower() or text == _state(process).lower()]
        return self.found is None or bool(self.found)

    def summary(self) -> Dict[str, Any]:
        told = {'name': self.name, 'total': self.total, 'states': _named(self.states),
                'rank': self.rank}
        if self.found is not None:
            told['found'] = len(self.found)
        if self.info['state'] != 'IDLE':
            told['restart'] = dict(
                {key: value for key, value in self.info.items()
                 if key not in ('group', 'faults', 'warnings', 'awaiting', 'slots')},
                faults=self.faults, warnings=len(self.info['warnings']))
        return told

    def details(self, room: int) -> Dict[str, Any]:
        slots = {slot['name']: slot for slot in self.info['slots']}
        awaiting = {told['name']: told for told in self.info['awaiting']}
        # Without a search, those that are gone are told of, too.
        names = {*self.processes, *slots} if self.found is None else self.found

        def rank(name: str) -> Tuple[int, str]:
            if name in self.processes and _fails_now(self.processes[name]):
                return 0, name
            return 1 if name in slots and slots[name]['phase'] == 'failed' else 2, name
        names = sorted(names, key=rank)
        return {'rows': [self._row(name, slots.get(name), awaiting.get(name))
                         for name in names[:room]],
                'more': len(names[room:]),
                'faults': _texts(self.info['faults']),
                'warnings': _texts(self.info['warnings'])}

    def _row(self, name: str, slot: Any, awaited: Any) -> Row:
        told = slot and (slot['phase'], slot['changes'])
        process = self.processes.get(name)
        if process is None:
            return Row(name, 'gone', slot=told)
        state, config = _state(process), process.config
        note = ''
        if awaited:
            note = 'waits for %s: %s' % (awaited['awaited'], awaited['seen'])
        elif _fails_now(process):
            note = process.spawnerr or (
                'attempt %d' % (process.backoff + 1) if state == 'STARTING' else '')
        elif state == 'EXITED':
            note = 'exit status %s' % process.exitstatus
        logs = ((OUT if config.stdout_logfile else 0)
                + (ERR if config.stderr_logfile and not config.redirect_stderr else 0))
        since = process.laststart if process.pid else process.laststop or process.laststart
        second = self.second.get(name)
        return Row(name, state, process.pid, int(since), logs, _cut(note),
                   second.pid if second else 0, told)


def _state(process: Any) -> str:
    return getProcessStateDescription(process.get_state())


def _named(states: Dict[int, int]) -> Dict[str, int]:
    return {getProcessStateDescription(state): number for state, number in states.items()}


def _fails(state: int, process: Any) -> bool:
    # Between two tries it is STARTING for a while (supervisor/process.py: transition).
    return state in TROUBLE or state == ProcessStates.STARTING and process.backoff > 0


def _fails_now(process: Any) -> bool:
    return _fails(process.get_state(), process)


def _texts(faults: List[Dict[str, Any]]) -> List[str]:
    """Return faults as they are shown, that of the whole group first."""
    first = sorted(faults, key=lambda fault: bool(fault['name']))[:FAULTS]
    texts = [_cut('%s: %s' % (fault['name'], fault['text']) if fault['name'] else fault['text'])
             for fault in first]
    if len(faults) > FAULTS:
        texts.append("and %d more, which are in supervisord's log" % (len(faults) - FAULTS))
    return texts


def _cut(text: str) -> str:
    return text if len(text) <= 400 else text[:397] + '...'
