"""The place of one process in its group, and where it stands in a restart."""

from typing import Any, List, NamedTuple, Optional, Set, Tuple

from supervisor.states import ProcessStates

from supervisor_restarter.restart.faults import Faults
from supervisor_restarter.restart.plan import Action, Planned

# The states from which Supervisor's spawn() may be called (supervisor/process.py: spawn); not
# STOPPED_STATES, which holds UNKNOWN and leaves BACKOFF out.
DOWN_STATES = (ProcessStates.STOPPED, ProcessStates.EXITED, ProcessStates.FATAL,
               ProcessStates.BACKOFF)

# How long a process stays down that somebody else was stopping at the call, in seconds. Their call
# must see it down, or it waits for ever; it looks when the main loop turns, at most every 0.05 s
# (supervisor/rpcinterface.py: stopProcessGroup, killall.delay).
SEEN_DOWN = 0.2

# How long one may stay down that somebody else stops during the restart, in seconds. They may be
# about to start it again, or to remove its group.
THEIRS = 1.0


class Phase:
    """Where a slot stands; the names are those of `getRestartInfo`."""

    WAITING = 'waiting'  # still the old process
    STOPPING = 'stopping'  # the old process was told to stop, or found stopped
    STARTING = 'starting'  # the new process is spawned
    RESTARTED = 'restarted'  # the new process is RUNNING, and ready
    FAILED = 'failed'  # given up on, with a fault
    REMOVED = 'removed'  # no longer in the group


PHASES = (Phase.WAITING, Phase.STOPPING, Phase.STARTING, Phase.RESTARTED, Phase.FAILED,
          Phase.REMOVED)
PENDING = PHASES[:3]


class Window:
    """What a turn takes a place in: the processes that may be down, or those too many."""

    DOWN = 'down'
    SURGE = 'surge'


class Standing(NamedTuple):
    """A phase; with FAILED also the fault's code and explanation."""

    phase: str
    code: Optional[int] = None
    explanation: str = ''


class Slot:
    """The place of one process of the group at the time of the call.

    `planned` is what is to become of it. `process` is the one that has the slot; `found` is its
    state and `pid` its process id at the call. `way` is how the slot gets what is planned, one
    of `ways`. `beside` is a second process of the slot: while it is STARTING its successor,
    else one that is leaving; `logs` is what both write to. `began` is the monotonic time at
    which its turn began. `words` is what the new process says. `declaration` is what the
    program declares of its readiness, and `watch` sees whether the new process with the id
    `watched` is ready; both are None where nothing is declared. `changes` are the phases that
    it has come to, with the monotonic times. Slots sort as Supervisor starts processes: by
    priority, and then by name.
    """

    __slots__ = ('planned', 'process', 'found', 'pid', 'phase', 'way', 'beside', 'logs', 'words',
                 'began', 'declaration', 'watch', 'watched', 'changes')

    def __init__(self, planned: Planned, process: Any, way: Any, declaration: Any = None):
        self.planned = planned
        self.process = process
        self.found: int = process.get_state()
        self.pid: int = process.pid
        self.phase = Phase.WAITING
        self.way = way
        self.beside: Any = None
        self.logs: Any = None
        self.words: Any = None
        self.began = 0.0
        self.declaration = declaration
        self.watch: Any = None
        self.watched = 0
        self.changes: List[Tuple[str, float]] = []

    def __lt__(self, other: 'Slot') -> bool:
        return self.rank() < other.rank()

    def rank(self) -> Tuple[int, str]:
        """Return what it sorts by."""
        return self.process.config.priority, self.name

    @property
    def name(self) -> str:
        """The name of the slot, and of the process that has it."""
        return self.planned.name

    @property
    def config(self) -> Any:
        """The configuration that it is to have."""
        return self.planned.config

    @property
    def is_to_go(self) -> bool:
        """Whether it is to be removed."""
        return self.planned.action == Action.REMOVE

    @property
    def is_to_come(self) -> bool:
        """Whether the group is yet to have it."""
        return self.planned.action == Action.ADD and self.phase in PENDING[:2]

    @property
    def state(self) -> int:
        """Supervisor's state of the process that has the slot."""
        return self.process.get_state()

    @property
    def found_down(self) -> bool:
        """Whether it was found down, or on its way there."""
        return self.found in DOWN_STATES or self.found == ProcessStates.STOPPING

    @property
    def active(self) -> bool:
        """Whether the restart has begun something here that has not come to its end."""
        return self.phase in (Phase.STOPPING, Phase.STARTING) or self.beside is not None

    @property
    def has_old(self) -> bool:
        """Whether the process of the call is there, and nobody has told it to stop."""
        return (self.process.pid == self.pid
                and self.state in (ProcessStates.RUNNING, ProcessStates.STARTING))

    @property
    def newest(self) -> Any:
        """The process that has the slot, or is to have it."""
        return self.process if self.beside is None or self.phase != Phase.STARTING else self.beside

    @property
    def ready(self) -> bool:
        """Whether nothing more has to be seen of the new process but its state."""
        return self.watch is None or self.watch.ready

    @property
    def is_awaited(self) -> bool:
        """Whether the new process runs, and has yet to become ready."""
        return (self.phase == Phase.STARTING and not self.ready and self.newest.get_state() in
                (ProcessStates.STARTING, ProcessStates.RUNNING))

    @property
    def said_to_be_ready(self) -> bool:
        """Whether the new process is up before Supervisor calls it RUNNING."""
        return (self.watch is not None and self.watch.ready
                and self.newest.get_state() == ProcessStates.STARTING)

    @property
    def windows(self) -> Set[str]:
        """In which windows it holds a place."""
        if self.phase == Phase.FAILED:
            return set()  # it counts as a fault
        if self.beside is None:
            down = self.phase == Phase.STOPPING or (
                self.phase == Phase.STARTING and not self.said_to_be_ready)
            return {Window.DOWN} if down else set()
        up = self.state == ProcessStates.RUNNING or (self.phase == Phase.STOPPING and (
            self.said_to_be_ready or self.state == ProcessStates.EXITED))
        return {Window.SURGE} if up else {Window.SURGE, Window.DOWN}

    def deadline(self, when: float) -> float:
        """Return until when it has time, in monotonic seconds, if it has until `when`."""
        return max(when, self.watch.extended_until) if self.is_awaited else when

    def close_watch(self) -> None:
        """See nothing more of the new process."""
        if self.watch is not None:
            self.watch.close()
            self.watch = None

    def last_words(self) -> str:
        """Return the last lines that the new process has written; empty if they are not known."""
        return self.words.text() if self.words is not None else ''

    def close_words(self) -> None:
        """Listen no more to what the new process writes."""
        if self.words is not None:
            self.words.close()
            self.words = None

    def part_logs(self) -> None:
        """Let whoever is left of two processes write to the log files alone."""
        if self.logs is not None:
            self.logs.part()
            self.logs = None

    def may_be_spawned(self, now: float) -> bool:
        """Whether it is down, and has been seen down by whoever waits for that.

        `now` is Supervisor's time, `time.time()`.
        """
        if self.state not in DOWN_STATES or self.process.pid:
            return False
        return (self.found != ProcessStates.STOPPING
                or not 0 <= now - self.process.laststop < SEEN_DOWN)

    def replaced(self) -> bool:
        """Whether somebody else, or Supervisor's autorestart, has spawned it since the call.

        Not with the configuration that it had then, if it is to have another one.
        """
        return (bool(self.process.pid) and self.process.pid != self.pid
                and self.process.config is self.config)

    def stopped_by_somebody_else(self) -> bool:
        """Whether somebody else is stopping, or has stopped, what was up at the call."""
        return not self.found_down and (
            self.state == ProcessStates.STOPPING
            or (self.state == ProcessStates.STOPPED and self.process.administrative_stop))

    def standing_of_old(self) -> Standing:
        """Return where it stands while the process of the call has it."""
        waiting = self.phase == Phase.WAITING
        if self.state == ProcessStates.UNKNOWN:
            if waiting:
                return Standing(Phase.FAILED, Faults.BAD_STATE, 'its state is UNKNOWN')
            return Standing(Phase.FAILED, Faults.STOP_FAILED, 'its state became UNKNOWN')
        if self.state in (ProcessStates.RUNNING, ProcessStates.STARTING):
            if waiting:
                return Standing(Phase.WAITING)
            if self.process.pid != self.pid:
                return Standing(Phase.FAILED, Faults.START_FAILED,
                                'started by somebody else, with its old configuration')
        return Standing(Phase.STOPPING)

    def standing_of_new(self, process: Any, now: float) -> Standing:
        """Return where it stands, going by a new process. `now` is Supervisor's time."""
        state = process.get_state()
        if state in (ProcessStates.STARTING, ProcessStates.STOPPING) or (
                state == ProcessStates.STOPPED and 0 <= now - process.laststop < THEIRS):
            return Standing(Phase.STARTING)
        if state == ProcessStates.RUNNING:
            return Standing(Phase.RESTARTED if self.ready else Phase.STARTING)
        if state == ProcessStates.EXITED:
            # With startsecs = 0 a program may exit at once.
            if (process.config.startsecs == 0 and process.exitstatus in process.config.exitcodes
                    and self.ready):
                return Standing(Phase.RESTARTED)
            why = ('ended by a signal' if process.exitstatus == -1  # options.py: decode_wait_status
                   else 'exited with status %s' % process.exitstatus)
            if not self.ready:
                why += ' before it was ready'
        elif state == ProcessStates.STOPPED:
            why = 'stopped by somebody else'
        else:
            why = process.spawnerr or 'left again before it was RUNNING'
        return Standing(Phase.FAILED, Faults.START_FAILED, why)
