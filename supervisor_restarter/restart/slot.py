"""The place of one process in its group: what is known of it in a restart."""

import math
from typing import Any, Dict, List, Tuple

from supervisor.states import ProcessStates

from supervisor_restarter.daemon.states import DOWN_STATES, UP_STATES
from supervisor_restarter.restart.plan import Action, Planned

_FOUND_DOWN = (*DOWN_STATES, ProcessStates.STOPPING)

# How long a process stays down that somebody else was stopping at the call, or had stopped no
# longer ago than this, in seconds. Their call must see it down, or it waits for ever; it looks when
# the main loop turns, at most every 0.05 s (supervisor/rpcinterface.py: stopProcessGroup,
# killall.delay). The loop may be held meanwhile, so it has to turn twice in that time.
SEEN_DOWN = 0.2

# What is added to the name of a slot for the second process that it has for a while.
SUCCESSOR, PREDECESSOR = '.new', '.old'

# How long a process may stay down that somebody else stops during the restart, in seconds. They may
# be about to start it again, or to remove its group.
THEIRS = 1.0


class Phase:
    """Where a slot stands; the names are those of `getRestartInfo`."""

    WAITING = 'waiting'  # still the old process
    STOPPING = 'stopping'  # the old process was told to stop, or found stopped
    STARTING = 'starting'  # the new process is spawned
    RESTARTED = 'restarted'  # the new process is up, and RUNNING
    FAILED = 'failed'  # given up on, with a fault
    REMOVED = 'removed'  # no longer in the group


PHASES = (Phase.WAITING, Phase.STOPPING, Phase.STARTING, Phase.RESTARTED, Phase.FAILED,
          Phase.REMOVED)
PENDING = PHASES[:3]


class Window:
    """Where a slot takes a place: among those that may be down, or more than the group has."""

    DOWN = 'down'
    SURGE = 'surge'


class Slot:
    """The place of one process of a group.

    `planned` is what the restart is to do with it, and `name` its name. `process` is the process
    that has the slot; `state_at_call` and `pid_at_call` are those of the process that had it at the
    call. In a surge there is a second process: the `successor` before the hand-over, the
    `predecessor` after it; `logs` is what both write to, `words` what the new one says.
    `declaration` is what the program declares of its readiness, and `noted` where the old process
    listened; `watch` sees whether the new process, whose process id is `watched`, is ready. `up`
    says whether the new process was up at the last look; `up_since` is the monotonic time since
    when it is RUNNING and ready: after `min_ready_seconds` it is up. `told` is the id of the
    process that the restart has told to stop; `orphaned` are the ids of processes that have ended,
    while others of their process groups ran, with the monotonic times since when. `changes` are the
    phases that the slot has come to, with the monotonic times.
    """

    __slots__ = ('planned', 'name', 'process', 'state_at_call', 'pid_at_call', 'phase', 'successor',
                 'predecessor', 'logs', 'words', 'declaration', 'noted', 'watch', 'watched', 'up',
                 'up_since', 'told', 'orphaned', 'changes')

    def __init__(self, planned: Planned, process: Any, declaration: Any = None):
        self.planned = planned
        self.name: str = planned.name
        self.process = process
        self.state_at_call: int = process.get_state()
        self.pid_at_call: int = process.pid
        self.phase = Phase.WAITING
        self.successor: Any = None
        self.predecessor: Any = None
        self.logs: Any = None
        self.words: Any = None
        self.declaration = declaration
        self.noted: Any = None
        self.watch: Any = None
        self.watched = 0
        self.up = False
        self.up_since = math.inf
        self.told = 0
        self.orphaned: Dict[int, float] = {}
        self.changes: List[Tuple[str, float]] = []

    @property
    def config(self) -> Any:
        """The configuration that it is to have."""
        return self.planned.config

    @property
    def rank(self) -> Tuple[int, str]:
        """What slots sort by: Supervisor starts processes by priority, and then by name."""
        return self.process.config.priority, self.name

    @property
    def is_removed(self) -> bool:
        """Whether the restart is to remove it."""
        return self.planned.action == Action.REMOVE

    @property
    def may_surge(self) -> bool:
        """Whether its new process may be started beside the old one."""
        return self.planned.action == Action.REPLACE and not self.found_down

    @property
    def is_not_added_yet(self) -> bool:
        """Whether the restart has yet to add it to the group."""
        return self.planned.action == Action.ADD and self.phase in PENDING[:2]

    @property
    def found_down(self) -> bool:
        """Whether its process was down at the call, or on its way there."""
        return self.state_at_call in _FOUND_DOWN

    @property
    def state(self) -> int:
        """Supervisor's state of the process that has the slot."""
        return self.process.get_state()

    @property
    def second(self) -> Any:
        """The second process of a surge, or None."""
        return self.successor if self.predecessor is None else self.predecessor

    @property
    def second_names(self) -> Tuple[str, str]:
        """The names that its second process has, before the hand-over and after it."""
        return self.name + SUCCESSOR, self.name + PREDECESSOR

    @property
    def newest(self) -> Any:
        """The successor; where there is none, the process that has the slot."""
        return self.process if self.successor is None else self.successor

    @property
    def leaving(self) -> Any:
        """The process that is to leave, where the slot is in that phase."""
        return self.process if self.predecessor is None else self.predecessor

    @property
    def active(self) -> bool:
        """Whether the restart has begun something here, and not finished it."""
        return self.phase in (Phase.STOPPING, Phase.STARTING) or self.second is not None

    @property
    def has_old(self) -> bool:
        """Whether the process of the call is up, and nobody has told it to stop."""
        return self.process.pid == self.pid_at_call and self.state in UP_STATES

    @property
    def has_new_configuration(self) -> bool:
        """Whether the process that has the slot has the configuration that it is to have."""
        return self.process.config is self.config

    @property
    def ready(self) -> bool:
        """Whether nothing more has to be seen of the new process but its state."""
        return self.watch is None or self.watch.ready

    @property
    def is_awaited(self) -> bool:
        """Whether the new process runs, and is not ready yet."""
        return (self.phase == Phase.STARTING and not self.ready
                and self.newest.get_state() in UP_STATES)

    @property
    def is_patient(self) -> bool:
        """Whether a look at the new process may wait for those at others."""
        return self.watch is None or self.watch.patient

    @property
    def is_awaited_to_run(self) -> bool:
        """Whether the new process is STARTING, and is up when it is RUNNING."""
        return (self.phase == Phase.STARTING and self.ready and self.watch is not None
                and not self.watch.early and self.newest.get_state() == ProcessStates.STARTING)

    @property
    def since(self) -> float:
        """When it came to its phase, in monotonic seconds; only where it has left its first one."""
        return self.changes[-1][1]

    @property
    def windows(self) -> Tuple[str, ...]:
        """In which windows it holds a place."""
        if self.phase == Phase.FAILED:
            return ()  # it counts as a fault
        if self.second is not None:
            serves = self.up if self.successor is None else self.state == ProcessStates.RUNNING
            return (Window.SURGE,) if serves else (Window.SURGE, Window.DOWN)
        down = self.phase == Phase.STOPPING or (self.phase == Phase.STARTING and not self.up)
        return (Window.DOWN,) if down else ()

    def close_watch(self) -> None:
        """See nothing more of the new process."""
        if self.watch is not None:
            self.watch.close()
            self.watch = None

    def last_words(self) -> str:
        """Return the last lines that the new process has written; '' where they are not known."""
        return self.words.text() if self.words is not None else ''

    def close_words(self) -> None:
        """Listen no more to what the new process writes."""
        if self.words is not None:
            self.words.close()
            self.words = None

    def close(self) -> None:
        """See and hear nothing more of its processes."""
        self.close_watch()
        self.close_words()
        self.part_logs()

    def part_logs(self) -> None:
        """Let the one of two processes that is left write to the log files alone."""
        if self.logs is not None:
            self.logs.part()
            self.logs = None

    @property
    def can_be_spawned(self) -> bool:
        """Whether its process is down."""
        return self.state in DOWN_STATES and not self.process.pid

    def replaced_by_somebody_else(self) -> bool:
        """Whether somebody else, or Supervisor's autorestart, has replaced the process of the call.

        Not where they did it with the configuration of the call, and it is to have another one.
        """
        return (bool(self.process.pid) and self.process.pid != self.pid_at_call
                and self.has_new_configuration)

    def stopped_by_somebody_else(self) -> bool:
        """Whether somebody else is stopping, or has stopped, what was up at the call."""
        return not self.found_down and (
            self.state == ProcessStates.STOPPING
            or (self.state == ProcessStates.STOPPED and self.process.administrative_stop))


def name_of_slot(second: str) -> str:
    """Return the slot's name for the name of a second process; any other name as it is."""
    for suffix in (SUCCESSOR, PREDECESSOR):
        if second.endswith(suffix):
            return second[:-len(suffix)]
    return second


def count(slots: Any) -> Dict[str, int]:
    """Return how many slots are in each phase."""
    counts = dict.fromkeys(PHASES, 0)
    for slot in slots:
        counts[slot.phase] += 1
    return counts
