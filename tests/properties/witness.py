"""What the promises of a restart say, checked by somebody who only sees it from outside."""

from typing import Any, Dict, List, Set

from supervisor.process import ProcessGroup
from supervisor.states import ProcessStates, SupervisorStates, getProcessStateDescription

from supervisor_restarter.restart.faults import Faults, RPCError
from supervisor_restarter.restart.group_restart import GroupRestart
from supervisor_restarter.restart.settings import Settings
from supervisor_restarter.restart.slot import DOWN_STATES, SEEN_DOWN
from tests.properties.model import NEVER, PROMPT, Machine, Recorded

PHASES = ('waiting', 'stopping', 'starting', 'restarted', 'failed', 'removed')

NONE_LOST = 1e-6


class Broken(Exception):
    """A promise is broken."""


def promise(kept: Any, text: str, *values: Any) -> None:
    if not kept:
        raise Broken(text % values)


class Witness:
    """Watches one restart. `touched` are processes that somebody, or they themselves, ended,
    started or removed since the call.

    Its methods raise Broken.
    """

    def __init__(self, machine: Machine, supervisord: Any, restart: GroupRestart,
                 group: ProcessGroup, settings: Settings):
        self.machine, self.supervisord = machine, supervisord
        self.restart, self.group, self.settings = restart, group, settings
        self.began = machine.now
        self.processes: Dict[str, Recorded] = dict(group.processes)
        self.found = {name: (p.state, p.pid) for name, p in self.processes.items()}
        self.to_stop = sorted((self.rank(name) for name, (state, _) in self.found.items()
                               if state in (ProcessStates.RUNNING, ProcessStates.STARTING,
                                            ProcessStates.UNKNOWN)), reverse=True)
        self.limit = settings.max_unavailable and settings.max_unavailable.of(len(self.processes))
        self.stopped: Dict[str, float] = {}  # by the restart: when
        self.spawned: List[str] = []  # by the restart
        self.renewed: Set[str] = set()  # those spawned since the call, by whomever
        self.touched = {
            name for name, process in self.processes.items()
            for manners in (process.manners, machine.children.get(process.pid, process.manners))
            if manners.exits_after != NEVER or manners.broken}
        self.had_its_turn: Set[str] = set()  # they have been up since
        self.clock_was_set = False
        self.down_since: Dict[str, float] = {}  # as it was when supervisord slept
        self.ended_with = None  # the outcome when it was first seen
        self.passes()

    # questions

    def rank(self, name: str):
        return self.processes[name].config.priority, name

    def here(self, name: str) -> bool:
        return (self.supervisord.process_groups.get(self.group.config.name) is self.group
                and self.group.processes.get(name) is self.processes[name])

    def faults(self) -> Dict[str, Dict]:
        return {fault['name']: fault for fault in self.restart.info()['faults'] if fault['name']}

    def is_up(self, name: str) -> bool:
        process = self.processes[name]
        return process.state == ProcessStates.RUNNING or (
            process.state == ProcessStates.EXITED and process.config.startsecs == 0
            and process.exitstatus in process.config.exitcodes)

    def unavailable(self, faults: Dict[str, Dict]) -> int:
        return sum(1 for name in self.processes
                   if name in faults or self.here(name) and not self.is_up(name))

    def batches_begun(self, elapsed: float) -> int:
        """How many processes may have had their turn, staggered."""
        delay, batches = self.settings.delay, self.settings.stagger_factor
        begun = sum(1 for number in range(batches) if number * delay <= elapsed + 1e-9)
        size, remainder = divmod(len(self.to_stop), batches)
        return begun * size + min(begun, remainder)

    def removal_is_unnoticed(self) -> bool:
        """Nothing tells a restart of that; it looks when `delay` has passed."""
        gone = sum(1 for name in self.processes if not self.here(name))
        return gone > self.restart.info()['removed']

    def is_pending(self, name: str, faults: Dict[str, Dict]) -> bool:
        return name not in faults and self.here(name) and not (
            name in self.renewed and self.is_up(name))

    def described(self, name: str) -> str:
        process = self.processes[name]
        return '%s, %s, exit status %s, pid %s, found as %s' % (
            getProcessStateDescription(process.state),
            'renewed' if name in self.renewed else 'old', process.exitstatus, process.pid,
            self.found[name])

    # what the restart does

    def stops(self, process: Recorded) -> None:
        name = process.config.name
        info = self.restart.info()
        promise(self.machine.mood == SupervisorStates.RUNNING, 'P5: %s stopped in shutdown', name)
        promise(self.processes.get(name) is process and self.here(name), '%s is not its', name)
        promise(info['state'] == 'RESTARTING', 'P4: %s stopped while it settles', name)
        promise(name not in self.stopped, 'P2: %s stopped twice', name)
        promise(name not in self.renewed, 'P2: %s stopped after it was replaced', name)
        promise(not self.stopped or self.rank(name) < self.rank(list(self.stopped)[-1]),
                'order: %s stopped after %s', name, list(self.stopped)[-1:])
        if self.limit:
            out = self.unavailable(self.faults())
            promise(out < self.limit, 'pacing: %s stopped while %s of %s are out', name, out,
                    self.limit)
        else:
            allowed = self.batches_begun(self.machine.now - self.began)
            promise(len(self.stopped) < allowed, 'pacing: %s stopped before its batch', name)
        self.stopped[name] = self.machine.now

    def spawns(self, process: Recorded) -> None:
        name = process.config.name
        promise(self.machine.mood == SupervisorStates.RUNNING, 'P5: %s spawned in shutdown', name)
        promise(self.processes.get(name) is process and self.here(name), '%s is not its', name)
        promise(name not in self.spawned, 'P2: %s spawned twice', name)
        promise(not process.pid, 'two lives: %s spawned', name)
        self.spawned.append(name)

    def passes(self) -> None:
        """Before each pass."""
        self.pass_began, self.spawned_before = self.machine.now, len(self.spawned)

    def passed(self) -> None:
        """After each pass."""
        info = self.restart.info()
        numbers = [info[phase] for phase in PHASES]
        promise(min(numbers) >= 0 and sum(numbers) == info['total'] == len(self.processes),
                'info() does not add up: %s', info)
        faults = [fault for fault in info['faults'] if fault['name']]
        names = [fault['name'] for fault in faults]
        promise(len(names) == len(set(names)), 'two faults for one: %s', names)
        promise(info['failed'] == len(names), 'info() does not fit its faults: %s', info)
        for fault in faults:
            self.fault_is_justified(fault['name'], fault)
        new = self.spawned[self.spawned_before:]
        promise(new == sorted(new, key=self.rank), 'order: spawned %s in one pass', new)
        self.had_its_turn.update(name for name in self.renewed if self.is_up(name))
        took = self.machine.now - self.pass_began
        promise(took < 0.05 + 2 * self.machine.fork_takes, 'P6: a pass of %s seconds', took)
        outcome = self.restart.outcome
        if self.ended_with is None and outcome is not None:
            self.ended_with = outcome
            self.outcome_is_right(outcome)
        promise(self.ended_with is outcome, 'the outcome has changed to %s', outcome)
        if self.restart.finished:
            promise(outcome is not None, 'finished without an outcome')
            self.nothing_is_left_down()

    def nothing_is_left_down(self) -> None:
        if self.machine.mood < SupervisorStates.RUNNING:
            return
        faults = self.faults()
        for name in self.processes:
            taken = name in self.stopped or name in self.spawned
            if not self.here(name) or not taken and self.rank(name) in self.to_stop:
                continue
            promise(not self.is_pending(name, faults), 'P1: it finished, but %s is %s', name,
                    self.described(name))
            if name in self.stopped and faults.get(name, {}).get('code') != Faults.STOP_FAILED:
                promise(name in self.renewed, 'P1: %s was left down', name)

    def fault_is_justified(self, name: str, fault: Dict) -> None:
        promise(fault['code'] != Faults.FAILED, 'a bug: %s', fault['text'])
        if fault['code'] == Faults.BAD_STATE:
            promise(self.processes[name].state == ProcessStates.UNKNOWN or name in self.touched,
                    '%s is not UNKNOWN: %s', name, fault['text'])
            return
        promise(name in self.touched, 'nothing happened to %s: %s', name, fault['text'])

    def outcome_is_right(self, outcome: Any) -> None:
        faults = self.faults()
        elapsed = self.machine.now - self.began
        if outcome is True:
            for name in self.processes:  # P8
                promise(not self.is_pending(name, faults), 'P8: True, but %s is %s', name,
                        self.described(name))
            return
        codes = [outcome.code] if isinstance(outcome, RPCError) else [f['code'] for f in outcome]
        promise(codes, 'an empty list')
        whole = ([] if isinstance(outcome, RPCError) and not faults
                 else [f['name'] for f in outcome] if isinstance(outcome, list) else None)
        if isinstance(outcome, list):
            promise('' not in whole[:-1], 'a fault of the group is not the last: %s', outcome)
        known = (Faults.SHUTDOWN_STATE, Faults.BAD_GROUP)
        promise(isinstance(outcome, list) or not faults or outcome.code in known,
                'faults are kept back: %s', outcome)
        if Faults.TIMEOUT in codes:
            promise(elapsed > self.settings.timeout - NONE_LOST, 'P4: early, at %s', elapsed)
        if Faults.STOPPED_EARLY in codes:
            promise(self.limit and len(faults) >= self.limit, 'stopped early for nothing')
        shutdown = self.machine.mood < SupervisorStates.RUNNING
        promise((Faults.SHUTDOWN_STATE in codes) == shutdown, 'P5: %s', codes)
        removed = self.supervisord.process_groups.get(self.group.config.name) is not self.group
        promise((Faults.BAD_GROUP in codes) == (removed and not shutdown), 'BAD_GROUP: %s', codes)

    def sleeps(self, slack: float = 0.0) -> None:
        """supervisord is about to sleep, so there must be nothing to do; or it has slept, and there
        was nothing to do until a moment ago, which is `slack` seconds.
        """
        machine, info = self.machine, self.restart.info()
        if info['state'] == 'FINISHED' or self.removal_is_unnoticed():
            return
        elapsed, faults = machine.now - self.began, self.faults()
        pending = [name for name in self.processes if self.is_pending(name, faults)]
        promise(pending, 'idle: all are restarted, and it has not finished')
        if info['state'] == 'RESTARTING' and info['waiting']:
            if self.limit:
                promise(self.unavailable(faults) >= self.limit, 'idle: there is room for one more')
            else:
                begun = self.batches_begun(elapsed - NONE_LOST - slack)
                promise(info['waiting'] <= len(self.to_stop) - begun, 'idle: a batch is late')
        if not self.limit and self.restart.outcome is None:
            allowed = self.settings.timeout + NONE_LOST + slack
            promise(elapsed <= allowed, 'P4: late, at %s', elapsed)
        for name in pending:
            self.nothing_to_do_for(name, slack)
        late = [name for name in pending if self.is_late(name, slack)]
        # Staggered, only the last one to come up is waited for.
        promise(not late or not self.limit and late != pending, 'idle: up are %s', late)

    def nothing_to_do_for(self, name: str, slack: float) -> None:
        process, machine = self.processes[name], self.machine
        if (name in self.stopped or self.found[name][0] in DOWN_STATES
                or self.found[name][0] == ProcessStates.STOPPING):
            if process.state in DOWN_STATES and not process.pid and name not in self.renewed:
                patience = 0.0
                if self.found[name][0] == ProcessStates.STOPPING:
                    patience = 1.5 * SEEN_DOWN
                down_since = self.down_since.setdefault(name, machine.now)
                promise(machine.now - down_since <= patience + slack,
                        'idle: %s could be spawned', name)
            if (self.limit and self.restart.outcome is None and name in self.stopped
                    and name not in self.had_its_turn):
                allowed = self.settings.timeout + NONE_LOST + slack
                promise(machine.now - self.stopped[name] <= allowed,
                        'P4: %s takes longer than its time', name)

    def is_late(self, name: str, slack: float) -> bool:
        """Whether it is up, unnoticed."""
        process = self.processes[name]
        return (process.state == ProcessStates.STARTING and not self.clock_was_set
                and self.machine.time() - process.laststart - process.config.startsecs
                > PROMPT + slack)
