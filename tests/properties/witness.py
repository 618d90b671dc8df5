"""What the promises of a restart say, checked by somebody who only sees it from outside."""

from typing import Any, Dict, Iterable, List, Set

from supervisor.process import ProcessGroup
from supervisor.states import ProcessStates, SupervisorStates, getProcessStateDescription

from supervisor_restarter.daemon.listeners import Address
from supervisor_restarter.daemon.probe import PATIENCE
from supervisor_restarter.daemon.states import DOWN_STATES, UP_STATES
from supervisor_restarter.restart.faults import Faults, RPCError
from supervisor_restarter.restart.group_restart import GroupRestart
from supervisor_restarter.restart.pacing import TO_BE_GONE, TO_BE_READY, TO_RUN
from supervisor_restarter.restart.processes import TO_FOLLOW
from supervisor_restarter.restart.settings import Settings
from supervisor_restarter.restart.slot import SEEN_DOWN, THEIRS
from tests.support.network import CHILD, Watched
from tests.support.world import NEVER, PROMPT, Machine, Recorded

PHASES = ('waiting', 'stopping', 'starting', 'restarted', 'failed', 'removed')

NONE_LOST = 1e-6


class Broken(Exception):
    """A promise is broken."""


def promise(kept: Any, text: str, *values: Any) -> None:
    if not kept:
        raise Broken(text % values)


def text_of(pid: int) -> str:
    """What a warning says of a process."""
    return 'pid %d has ended, ' % pid


class Witness:
    """Watches one restart. `processes` has, for each slot, the process that has it now. `touched`
    are slots whose processes somebody, or they themselves, ended, started or removed since the
    call.

    Its methods raise Broken.
    """

    def __init__(self, machine: Machine, supervisord: Any, restart: GroupRestart,
                 group: ProcessGroup, settings: Settings):
        self.machine, self.supervisord = machine, supervisord
        self.restart, self.group, self.settings = restart, group, settings
        self.began = machine.now
        for process in group.processes.values():
            machine.readiness.last.pop(id(process), None)
        self.processes: Dict[str, Recorded] = dict(group.processes)
        self.originals = dict(self.processes)
        self.successors: Dict[str, Recorded] = {}
        self.found = {name: (p.state, p.pid) for name, p in self.processes.items()}
        # Somebody else may wait for these to be down.
        self.others_wait = {name for name, p in self.processes.items()
                            if p.state == ProcessStates.STOPPING or (
                                p.state == ProcessStates.STOPPED
                                and 0 <= self.machine.time() - p.laststop < SEEN_DOWN)}
        self.to_stop = sorted((self.rank(name) for name, (state, _) in self.found.items()
                               if state in (ProcessStates.RUNNING, ProcessStates.STARTING,
                                            ProcessStates.UNKNOWN)), reverse=True)
        self.limit, self.surge = (
            option.of(len(self.processes)) if option else 0
            for option in (settings.max_unavailable, settings.max_surge))
        self.turns: Dict[str, float] = {}  # when they began: with a stop, or with a successor
        self.came: Dict[str, float] = {}  # when the restart spawned their new processes
        self.stopped: Dict[str, float] = {}  # the processes of the call, by the restart: when
        self.told_to_stop: Dict[int, str] = {}  # process ids, and of which slots
        self.listened: Dict[str, Set[Address]] = {}  # where the processes of the call did
        self.spawned: List[str] = []  # by the restart
        self.renewed: Set[str] = set()  # those spawned since the call, by whomever
        self.touched = {
            name for name, process in self.processes.items()
            for manners in (process.manners, machine.children.get(process.pid, process.manners))
            if manners.exits_after != NEVER or manners.broken}
        self.had_its_turn: Set[str] = set()  # they have been up since
        self.clock_was_set = False
        self.down_since: Dict[str, float] = {}  # as it was when supervisord slept
        self.known: Set[str] = set()  # faults
        self.warned: List[str] = []
        self.waits_until, self.alone_since = -NEVER, NEVER
        self.ended_with = None  # the outcome when it was first seen
        self.passes()

    # questions

    def rank(self, name: str):
        return self.processes[name].config.priority, name

    def slot_of(self, process: Recorded) -> str:
        """The name of its slot; a second process of a slot has the name and four letters more."""
        name = process.config.name
        return name if name in self.processes else name[:-4]

    def touch(self, process: Recorded) -> None:
        self.touched.add(self.slot_of(process))

    def follow(self) -> None:
        """See which successors have taken over."""
        for name, successor in self.successors.items():
            if self.group.processes.get(name) is successor:
                self.processes[name] = successor
                self.renewed.add(name)

    def beside(self, name: str) -> List[Recorded]:
        """The second process of a slot, if there is one that can be stopped."""
        if self.supervisord.process_groups.get(self.group.config.name) is not self.group or not (
                self.surge):
            return []
        there = (self.group.processes.get(name + suffix) for suffix in ('.new', '.old'))
        return [process for process in there
                if process is not None and process.state != ProcessStates.UNKNOWN
                and (process is self.successors.get(name) or process is self.originals[name])]

    def newest(self, name: str) -> Recorded:
        """The process that has the slot, or is to have it."""
        return self.successors[name] if self.successors.get(name) in self.beside(name) else (
            self.processes[name])

    def surging(self, faults: Dict[str, Dict]) -> int:
        return sum(1 for name in self.successors if name not in faults and self.beside(name))

    def alive(self) -> int:
        both = [*self.originals.values(), *self.successors.values()]
        return sum(1 for process in both if process.pid)

    def here(self, name: str) -> bool:
        return (self.supervisord.process_groups.get(self.group.config.name) is self.group
                and self.group.processes.get(name) is self.processes[name])

    def faults(self) -> Dict[str, Dict]:
        return {fault['name']: fault for fault in self.restart.info()['faults'] if fault['name']}

    def is_ready(self, name: str) -> bool:
        """Whether all that is to be known of it, beside its state, is known."""
        process = self.processes[name]
        new = name in self.renewed and (name not in self.successors or not self.beside(name)
                                        or process is self.successors[name])
        return not new or self.machine.readiness.is_ready(process)

    def serves_since(self, name: str, process: Recorded) -> float:
        """Since when a new process does what it is ready by, itself: NEVER where it does not."""
        machine, config = self.machine, process.config
        sockets, there = machine.network.of(process.pid), {}
        for each in sockets.values():
            there[each.address] = min(each.since, there.get(each.address, NEVER))
        wanted = set(self.listened.get(name, ()))
        # Where somebody else has spawned it, it has no socket to say it to.
        says = config.declares == 'notify' and process.pid in machine.paths
        since = [machine.said.get(process.pid, NEVER) if says else 0.0]
        if '://' in config.declares:
            own = Address('127.0.0.1', config.program.port)
            wanted.add(own)
            if config.declares.startswith('http') and not any(
                    each.answers for each in sockets.values() if each.address == own):
                return NEVER
        return max(since + [there.get(address, NEVER) for address in wanted])

    def to_come(self, name: str) -> float:
        """How long a new process may take to be up, from its spawn; at least."""
        config = self.processes[name].config
        seen = config.declares or name in self.successors and self.listened.get(name)
        return self.settings.timeout or config.startsecs + (TO_BE_READY if seen else TO_RUN)

    def timeout(self) -> float:
        """How long the whole restart may take, where it is not rolling."""
        batches = (self.settings.stagger_factor - 1) * self.settings.delay
        return self.settings.timeout or batches + max(
            (process.config.stopwaitsecs + process.config.startsecs
             + (TO_BE_READY if process.config.declares else TO_RUN)
             for process in self.originals.values()), default=TO_RUN)

    def is_restarted(self, name: str) -> bool:
        process = self.processes[name]
        return self.is_ready(name) and (process.state == ProcessStates.RUNNING or (
            process.state == ProcessStates.EXITED and process.config.startsecs == 0
            and process.exitstatus in process.config.exitcodes))

    def is_up(self, name: str) -> bool:
        process = self.processes[name]
        watched = self.machine.readiness.last.get(id(process))
        if (process.state == ProcessStates.STARTING and not process.config.startsecs
                and name in self.had_its_turn and self.is_ready(name)):
            return True  # it had exited, as it may, and is RUNNING again in a moment
        return self.is_restarted(name) or (
            process.state == ProcessStates.STARTING and watched is not None
            and watched.pid == process.pid and watched.watch is not None
            and watched.ready and watched.watch.early)

    def failed(self, faults: Dict[str, Dict]) -> int:
        """How many have failed that Supervisor could start before the call."""
        return sum(1 for name in faults if not self.was_broken(name))

    def was_broken(self, name: str) -> bool:
        return self.found[name][0] in (ProcessStates.FATAL, ProcessStates.BACKOFF)

    def unavailable(self, faults: Dict[str, Dict]) -> int:
        return self.failed(faults) + sum(
            1 for name in self.processes
            if name not in faults and self.here(name) and not self.is_up(name))

    def batches_begun(self, elapsed: float) -> int:
        """How many processes may have had their turn, staggered."""
        delay, batches = self.settings.delay, self.settings.stagger_factor
        begun = sum(1 for number in range(batches) if number * delay <= elapsed + 1e-9)
        size, remainder = divmod(len(self.to_stop), batches)
        return begun * size + min(begun, remainder)

    def removal_is_unnoticed(self) -> bool:
        """Nothing tells a restart of that before it looks."""
        gone = sum(1 for name in self.processes if not self.here(name))
        return gone > self.restart.info()['removed']

    def is_pending(self, name: str, faults: Dict[str, Dict]) -> bool:
        return name not in faults and self.here(name) and bool(self.beside(name) or not (
            name in self.renewed and self.is_restarted(name)))

    def described(self, name: str) -> str:
        process = self.processes[name]
        return '%s, %s, exit status %s, pid %s, found as %s' % (
            getProcessStateDescription(process.state),
            'renewed' if name in self.renewed else 'old', process.exitstatus, process.pid,
            self.found[name])

    def left_behind(self, pids: Iterable[int]) -> List[int]:
        """Those that have ended and left somebody behind of whom nobody has warned."""
        machine = self.machine
        return [pid for pid in pids if pid in machine.wrappers and pid not in machine.children
                and not any(text_of(pid) in text for text in self.warned)]

    def followed(self, name: str) -> float:
        """Until when somebody was left in a slot who could follow."""
        machine = self.machine
        pids = [self.found[name][1], *(pid for pid, of in self.told_to_stop.items() if of == name)]
        return max(machine.now if pid in machine.wrappers and pid not in machine.children else
                   machine.followed.get(pid, -NEVER) for pid in pids)

    def waits_for_left(self) -> None:
        """Note that somebody is left behind who may be about to follow."""
        if self.left_behind({*self.told_to_stop, *(pid for _, pid in self.found.values()), *(
                process.last_pid for process in self.successors.values())}):
            self.waits_until = self.machine.now

    def misses(self, process: Recorded) -> None:
        """Note that somebody has removed a process: a successor that was stopped may come again."""
        if any(process is successor for successor in self.successors.values()):
            self.waits_until = self.machine.now + THEIRS

    # what the restart does

    def sees(self, watched: Watched) -> None:
        """Something is new of a process that is watched."""
        name, process = self.slot_of(watched.process), watched.process
        promise(watched.told <= len(watched.parts), 'it is told again that %s is ready', name)
        promise(not watched.ready or process.pid not in self.machine.children  # it has ended
                or self.serves_since(name, process) <= self.machine.now,
                'P10: %s counts as ready, and it is not', name)

    def kills(self, process: Recorded) -> None:
        had = self.machine.now - process.told_at
        promise(had > process.config.stopwaitsecs - NONE_LOST, 'P11: %s is killed after %s seconds',
                process.config.name, had)

    def stops(self, process: Recorded) -> None:
        self.follow()
        name, info = self.slot_of(process), self.restart.info()
        promise(self.machine.mood == SupervisorStates.RUNNING, 'P5: %s stopped in shutdown', name)
        promise(process.pid not in self.told_to_stop, 'P2: %s stopped twice', name)
        self.told_to_stop[process.pid] = name
        if process.config.declares == 'listen' and process is self.originals[name]:
            self.listened.setdefault(name, self.listens(process))
        successor = self.successors.get(name)
        if process is successor and self.processes[name] is not successor:
            promise(name in self.faults() or info['state'] == 'SETTLING' or not self.here(name),
                    'surge: the successor of %s stopped, and all is well', name)
            return
        if successor is not None and process is self.originals[name]:
            promise(self.is_up(name) or name in self.touched,
                    'surge: %s stopped, and its successor is not up', name)
            promise(info['state'] == 'RESTARTING' or name in self.touched,
                    'P4: %s is handed over while it settles', name)
            self.stopped[name] = self.machine.now
            return
        promise(self.processes.get(name) is process and self.here(name), '%s is not its', name)
        promise(info['state'] == 'RESTARTING', 'P4: %s stopped while it settles', name)
        promise(name not in self.stopped, 'P2: %s stopped twice', name)
        promise(name not in self.renewed, 'P2: %s stopped after it was replaced', name)
        promise(self.limit or not self.surge, 'surge: %s stopped, and it has no successor', name)
        if self.limit:
            out = self.unavailable(self.faults())
            promise(out < self.limit, 'pacing: %s stopped while %s of %s are out', name, out,
                    self.limit)
        else:
            allowed = self.batches_begun(self.machine.now - self.began)
            promise(len(self.stopped) < allowed, 'pacing: %s stopped before its batch', name)
        self.stopped[name] = self.machine.now
        self.has_its_turn(name)

    def spawns(self, process: Recorded) -> None:
        self.follow()
        name = self.slot_of(process)
        promise(self.machine.mood == SupervisorStates.RUNNING, 'P5: %s spawned in shutdown', name)
        promise(not process.pid, 'two lives: %s spawned', name)
        if process.config.name != name:
            self.spawns_a_successor(process, name)
            return
        promise(self.processes.get(name) is process and self.here(name), '%s is not its', name)
        promise(name not in self.spawned, 'P2: %s spawned twice', name)
        self.spawned.append(name)
        self.came[name] = self.machine.now + self.machine.fork_takes

    def spawns_a_successor(self, process: Recorded, name: str) -> None:
        faults, info = self.faults(), self.restart.info()
        promise(process.config.name == name + '.new' and self.here(name), '%s is not its', name)
        promise(info['state'] == 'RESTARTING', 'P4: a successor of %s while it settles', name)
        promise(name not in self.successors and name not in self.stopped and name not in faults,
                'P2: a successor of %s, which had its turn', name)
        promise(self.surging(faults) + self.failed(faults) < self.surge,
                'pacing: a successor of %s, while %s surge and %s failed', name,
                self.surging(faults), self.failed(faults))
        self.successors[name] = process
        self.listened[name] = self.listens(self.originals[name])
        self.came[name] = self.machine.now + self.machine.fork_takes
        self.has_its_turn(name, self.machine.fork_takes)

    def listens(self, process: Recorded) -> Set[Address]:
        return {each.address for each in self.machine.network.of(process.pid).values()}

    def has_its_turn(self, name: str, takes: float = 0.0) -> None:
        promise(not self.turns or self.rank(name) < self.rank(list(self.turns)[-1]),
                'order: the turn of %s after that of %s', name, list(self.turns)[-1:])
        self.turns[name] = self.machine.now + takes

    def passes(self) -> None:
        """Before each pass."""
        self.pass_began, self.spawned_before = self.machine.now, len(self.spawned)

    def passed(self) -> None:
        """After each pass."""
        self.follow()
        info = self.restart.info()
        promise(self.alive() <= len(self.originals) + self.surge, 'surge: %s of %s are alive',
                self.alive(), len(self.originals))
        numbers = [info[phase] for phase in PHASES]
        promise(min(numbers) >= 0 and sum(numbers) == info['total'] == len(self.processes),
                'info() does not add up: %s', info)
        faults = [fault for fault in info['faults'] if fault['name']]
        names = [fault['name'] for fault in faults]
        promise(len(names) == len(set(names)), 'two faults for one: %s', names)
        promise(info['failed'] == len(names), 'info() does not fit its faults: %s', info)
        for fault in faults:
            if fault['name'] not in self.known:
                self.known.add(fault['name'])
                self.fault_is_justified(fault['name'], fault)
        for warning in info['warnings'][len(self.warned):]:
            self.warned.append(warning['text'])
            promise(any(text_of(pid) in warning['text'] for pid in self.machine.wrappers
                        if pid not in self.machine.children), 'nobody is left behind: %s', warning)
        self.waits_for_left()
        new = self.spawned[self.spawned_before:]
        promise(new == sorted(new, key=self.rank), 'order: spawned %s in one pass', new)
        self.had_its_turn.update(name for name in self.renewed
                                 if self.is_up(name) and not self.beside(name))
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
        left = self.left_behind(pid for pid, name in self.told_to_stop.items() if self.here(name))
        promise(not left, 'nobody says who is left behind of %s', left)
        faults = self.faults()
        for name in self.processes:
            promise(not self.beside(name), 'surge: a second process of %s is left', name)
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
        if fault['code'] == Faults.NOT_READY:
            began, limit = self.began, self.timeout()
            if self.settings.rolling:
                began, limit = self.came.get(name, self.began), self.to_come(name)
            promise(self.machine.now - began > limit - NONE_LOST, 'too early: %s: %s', name,
                    fault['text'])
            newest = self.successors.get(name, self.processes[name])
            if not any(newest is each for each in self.group.processes.values()):
                newest = self.processes[name]  # Supervisor, or somebody else, has started it
            promise(not self.machine.readiness.is_ready(newest), 'ready: %s: %s', name,
                    fault['text'])
            alone = all(each.pid % CHILD == newest.pid for address in self.listens(newest)
                        for each in self.machine.network.at(address))
            # Two looks, and an attempt at another one that does not answer.
            seen = self.serves_since(name, newest) + 2 * self.settings.delay + PATIENCE + 1.0
            promise(not alone or self.machine.now < seen, 'P10: it is ready: %s: %s', name,
                    fault['text'])
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
            limit = self.settings.timeout or TO_RUN if self.settings.rolling else self.timeout()
            if self.settings.rolling:  # or one had to be gone, which the system clock can delay
                limit = min([limit] + [process.config.stopwaitsecs + TO_BE_GONE
                                       for process in self.originals.values()
                                       if process.state == ProcessStates.STOPPING])
            promise(elapsed > limit - NONE_LOST, 'P4: early, at %s', elapsed)
            promise(self.settings.timeout or self.touched or self.clock_was_set
                    or Faults.NOT_READY in codes, 'P11: TIMEOUT, and each took its time')
        if Faults.STOPPED_EARLY in codes:
            promise(any(0 < limit <= self.failed(faults) for limit in (self.limit, self.surge)),
                    'stopped early for nothing')
        shutdown = self.machine.mood < SupervisorStates.RUNNING
        promise((Faults.SHUTDOWN_STATE in codes) == shutdown, 'P5: %s', codes)
        removed = self.supervisord.process_groups.get(self.group.config.name) is not self.group
        promise((Faults.BAD_GROUP in codes) == (removed and not shutdown), 'BAD_GROUP: %s', codes)

    def sleeps(self, slack: float = 0.0) -> None:
        """supervisord is about to sleep, so there must be nothing to do; or it has slept, and there
        was nothing to do until a moment ago, which is `slack` seconds.
        """
        self.follow()
        machine, info = self.machine, self.restart.info()
        if info['state'] == 'FINISHED' or self.removal_is_unnoticed():
            return
        elapsed, faults = machine.now - self.began, self.faults()
        pending = [name for name in self.processes if self.is_pending(name, faults)]
        if pending or any(map(self.beside, self.successors)):
            self.alone_since = NEVER
        else:
            self.alone_since = min(self.alone_since, machine.now)
            self.waits_for_left()
            # Of a process that somebody removes nobody tells the restart.
            patience = TO_FOLLOW / 20 + (SEEN_DOWN / 2 if self.touched else 0.0)
            promise(machine.now <= min(self.waits_until, self.alone_since + TO_FOLLOW) + slack
                    + patience, 'idle: all are restarted, and it has not finished')
        if info['state'] == 'RESTARTING' and info['waiting']:
            if self.settings.rolling:
                promise(self.unavailable(faults) >= self.limit, 'idle: one more may be down')
                promise(self.surging(faults) + self.failed(faults) >= self.surge,
                        'idle: one may come')
            else:
                begun = self.batches_begun(elapsed - NONE_LOST - slack)
                promise(info['waiting'] <= len(self.to_stop) - begun, 'idle: a batch is late')
        if not self.settings.rolling and self.restart.outcome is None:
            allowed = self.timeout() + NONE_LOST + slack
            promise(elapsed <= allowed, 'P4: late, at %s', elapsed)
        for name in pending:
            self.nothing_to_do_for(name, slack)
        late = [name for name in pending if self.is_late(name, slack)]
        # Staggered, only the last one to come up is waited for.
        promise(not late or not self.settings.rolling and late != pending, 'idle: up are %s', late)
        unseen = [name for name in pending if name in self.renewed or name in self.successors
                  if self.newest(name).state in UP_STATES
                  and machine.readiness.is_late(self.newest(name), slack)]
        promise(not unseen, 'idle: not looked at are %s', unseen)

    def nothing_to_do_for(self, name: str, slack: float) -> None:
        process, machine = self.processes[name], self.machine
        if (name in self.stopped or self.found[name][0] in DOWN_STATES
                or self.found[name][0] == ProcessStates.STOPPING):
            if process.state in DOWN_STATES and not process.pid and name not in self.renewed:
                patience = 1.5 * SEEN_DOWN if name in self.others_wait else 0.0
                down_since = self.down_since.setdefault(name, machine.now)
                followed = min(self.followed(name), down_since + patience + TO_FOLLOW)
                patience = max(patience, followed - down_since + TO_FOLLOW / 20)
                promise(machine.now - down_since <= patience + slack,
                        'idle: %s could be spawned', name)
        if (self.settings.rolling and self.restart.outcome is None and name in self.turns
                and name not in self.had_its_turn and not self.is_taken_back(name)):
            promise(machine.now <= self.time_of(name) + NONE_LOST + slack,
                    'P4: %s takes longer than its time', name)

    def time_of(self, name: str) -> float:
        """Until when a slot that has had its turn has time, where the restart is rolling."""
        to_leave = self.processes[name].config.stopwaitsecs + TO_BE_GONE
        to_come = self.to_come(name) + self.settings.min_ready_seconds
        if name in self.touched:  # each of its phases may have begun anew
            return self.turns[name] + 2 * to_leave + 2 * to_come
        if name not in self.came:
            return self.turns[name] + to_leave
        if name in self.successors and name in self.stopped:  # its successor has taken over
            return self.stopped[name] + to_leave
        return self.came[name] + to_come

    def is_taken_back(self, name: str) -> bool:
        """Whether its turn has ended without a new process, as the restart settles."""
        return self.restart.info()['state'] == 'SETTLING' and name not in self.stopped

    def is_late(self, name: str, slack: float) -> bool:
        """Whether it is up, unnoticed; where one is leaving beside it, that one is waited for."""
        process = self.newest(name)
        leaving = process is self.processes[name] and self.beside(name)
        # Such a one was up when it exited, and is looked at again when all the others are up.
        again = process.config.startsecs == 0 and name in self.had_its_turn
        return (not leaving and not again and not self.clock_was_set
                and process.state == ProcessStates.STARTING
                and self.machine.time() - process.laststart - process.config.startsecs
                > PROMPT + slack)
