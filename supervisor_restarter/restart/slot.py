"""One process of a group, and where it stands in a restart."""

from typing import Any, NamedTuple, Optional, Tuple

from supervisor.states import ProcessStates

from supervisor_restarter.restart.faults import Faults

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
    """Where a process stands; the names are those of `getRestartInfo`."""

    WAITING = 'waiting'  # still the old one
    STOPPING = 'stopping'  # told to stop, or found stopped
    STARTING = 'starting'  # spawned
    RESTARTED = 'restarted'  # RUNNING again
    FAILED = 'failed'  # given up on, with a fault
    REMOVED = 'removed'  # no longer in the group


PHASES = (Phase.WAITING, Phase.STOPPING, Phase.STARTING, Phase.RESTARTED, Phase.FAILED,
          Phase.REMOVED)
PENDING = PHASES[:3]


class Standing(NamedTuple):
    """A phase; with FAILED also the fault's code and explanation."""

    phase: str
    code: Optional[int] = None
    explanation: str = ''


class Slot:
    """A process of the group at the time of the call.

    `found` is its state and `pid` its process id at the call, `began` the monotonic time at which
    its turn began. Slots sort as Supervisor starts processes: by priority, and then by name.
    """

    __slots__ = ('name', 'process', 'found', 'pid', 'phase', 'began')

    def __init__(self, name: str, process: Any):
        self.name = name
        self.process = process
        self.found: int = process.get_state()
        self.pid: int = process.pid
        self.phase = Phase.WAITING
        self.began = 0.0

    def __lt__(self, other: 'Slot') -> bool:
        return self._rank() < other._rank()

    def _rank(self) -> Tuple[int, str]:
        return self.process.config.priority, self.name

    @property
    def state(self) -> int:
        """Supervisor's state of the process."""
        return self.process.get_state()

    @property
    def needs_no_stop(self) -> bool:
        """Whether it was found down, or on its way there."""
        return self.found in DOWN_STATES or self.found == ProcessStates.STOPPING

    def may_be_spawned(self, now: float) -> bool:
        """Whether it is down, and has been seen down by whoever waits for that.

        `now` is Supervisor's time, `time.time()`.
        """
        if self.state not in DOWN_STATES or self.process.pid:
            return False
        return (self.found != ProcessStates.STOPPING
                or not 0 <= now - self.process.laststop < SEEN_DOWN)

    def seconds_to_change(self, now: float) -> float:
        """Return the seconds until time alone changes what is to be done with it.

        `now` is Supervisor's time, `time.time()`. Ask after `transition()`, which corrects the
        times of a process when the system clock was set back (supervisor/process.py:
        _check_and_adjust_for_system_clock_rollback).
        """
        if self.state == ProcessStates.STARTING:
            return self.process.laststart + self.process.config.startsecs - now
        if self.state == ProcessStates.STOPPING:
            return self.process.delay - now
        return SEEN_DOWN / 2

    def standing(self, now: float) -> Standing:
        """Return where a process that is not given up on stands now, by its phase and its state.

        `now` is Supervisor's time, `time.time()`.
        """
        if (self.phase in (Phase.STARTING, Phase.RESTARTED) or self._replaced()
                or self._stopped_by_somebody_else()):
            return self._standing_of_new(now)
        return self._standing_of_old()

    def _replaced(self) -> bool:
        # Somebody else, or Supervisor's autorestart, has spawned it anew since the call.
        return bool(self.process.pid) and self.process.pid != self.pid

    def _stopped_by_somebody_else(self) -> bool:
        return self.phase == Phase.WAITING and not self.needs_no_stop and (
            self.state == ProcessStates.STOPPING
            or (self.state == ProcessStates.STOPPED and self.process.administrative_stop))

    def _standing_of_old(self) -> Standing:
        waiting = self.phase == Phase.WAITING
        if self.state == ProcessStates.UNKNOWN:
            if waiting:
                return Standing(Phase.FAILED, Faults.BAD_STATE, 'its state is UNKNOWN')
            return Standing(Phase.FAILED, Faults.STOP_FAILED, 'its state became UNKNOWN')
        if waiting and self.state in (ProcessStates.RUNNING, ProcessStates.STARTING):
            return Standing(Phase.WAITING)
        return Standing(Phase.STOPPING)

    def _standing_of_new(self, now: float) -> Standing:
        state, process = self.state, self.process
        if state in (ProcessStates.STARTING, ProcessStates.STOPPING) or (
                state == ProcessStates.STOPPED and 0 <= now - process.laststop < THEIRS):
            return Standing(Phase.STARTING)
        if state == ProcessStates.RUNNING:
            return Standing(Phase.RESTARTED)
        if state == ProcessStates.EXITED:
            # With startsecs = 0 a program may exit at once.
            if process.config.startsecs == 0 and process.exitstatus in process.config.exitcodes:
                return Standing(Phase.RESTARTED)
            why = ('ended by a signal' if process.exitstatus == -1  # options.py: decode_wait_status
                   else 'exited with status %s' % process.exitstatus)
        elif state == ProcessStates.STOPPED:
            why = 'stopped by somebody else'
        else:
            why = process.spawnerr or 'left again before it was RUNNING'
        return Standing(Phase.FAILED, Faults.START_FAILED, why)
