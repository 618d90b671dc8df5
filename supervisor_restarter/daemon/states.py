"""What Supervisor's states say of a process."""

import math
from typing import Any

from supervisor.datatypes import RestartUnconditionally
from supervisor.states import ProcessStates

UP_STATES = (ProcessStates.RUNNING, ProcessStates.STARTING)

# The states from which Supervisor's spawn() may be called (supervisor/process.py: spawn); not
# STOPPED_STATES, which holds UNKNOWN and leaves BACKOFF out.
DOWN_STATES = (ProcessStates.STOPPED, ProcessStates.EXITED, ProcessStates.FATAL,
               ProcessStates.BACKOFF)

# What could not be started, though it was to run.
BROKEN_STATES = (ProcessStates.FATAL, ProcessStates.BACKOFF)

# What is down on purpose; and what is on its way there.
OFF_STATES = (ProcessStates.STOPPED, ProcessStates.EXITED)
OFF_ON_PURPOSE = (*OFF_STATES, ProcessStates.STOPPING)

CHANGING_STATES = (ProcessStates.STARTING, ProcessStates.STOPPING)


def comes_up(process: Any) -> bool:
    """Whether a process is not up, and supervisord is about to bring it up by itself."""
    state, config = process.get_state(), process.config
    if state == ProcessStates.EXITED:  # supervisor/process.py: transition
        return config.autorestart is RestartUnconditionally or (
            bool(config.autorestart) and process.exitstatus not in config.exitcodes)
    return state in (ProcessStates.STARTING, ProcessStates.BACKOFF)


def was_stopped(process: Any, seconds: float, clock: Any) -> bool:
    """Whether a process is STOPPED, and became so less than so many seconds ago.

    Not where the system clock was set back in between.
    """
    return (process.get_state() == ProcessStates.STOPPED
            and 0 <= clock.time() - process.laststop < seconds)


def next_change(process: Any, clock: Any) -> float:
    """Return when time alone changes the state of a process that is STARTING or STOPPING, in
    monotonic seconds; infinity for another state.

    Ask after `transition()`, which corrects the times of a process when the system clock was set
    back (supervisor/process.py: _check_and_adjust_for_system_clock_rollback).
    """
    if process.get_state() not in CHANGING_STATES:
        return math.inf
    wall = (process.laststart + process.config.startsecs
            if process.get_state() == ProcessStates.STARTING else process.delay)
    # supervisor/process.py: transition asks for more than startsecs, hence the millisecond.
    return clock.monotonic() + max(0.0, wall - clock.time()) + 0.001
