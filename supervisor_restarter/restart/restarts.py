"""Which restarts a supervisord has."""

import contextlib
import json
import math
import time
import traceback
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from supervisor import events
from supervisor.states import SupervisorStates

from supervisor_restarter.daemon import logs
from supervisor_restarter.daemon.children import reap
from supervisor_restarter.daemon.configuration import take_over
from supervisor_restarter.daemon.event_names import EventNames
from supervisor_restarter.restart.faults import CannotRestart, Faults, RPCError
from supervisor_restarter.restart.group_restart import SLICE, GroupRestart
from supervisor_restarter.restart.plan import Plan
from supervisor_restarter.restart.report import nothing_of
from supervisor_restarter.restart.settings import Settings
from supervisor_restarter.text import shown

# The events of a process that has ended, while it has its pid (supervisor/process.py: finish).
ENDED = (events.ProcessStateStoppedEvent, events.ProcessStateExitedEvent,
         events.ProcessStateBackoffEvent)


class Left(NamedTuple):
    """What a restart has left: the processes that are old or have failed, by their names.

    `settings` are those of the restart, `reread` says whether it was with the configuration in the
    file.
    """

    names: Tuple[str, ...]
    settings: Settings
    reread: bool


class _Last(NamedTuple):
    """What is known of the last restart of a group, the running one too.

    `began` is when, in seconds since the epoch; `told` what getRestartInfo tells, once finished.
    """

    began: int
    left: Optional[Left] = None
    told: Optional[Dict[str, Any]] = None


class Restarts:
    """The restarts of one supervisord: at most one runs for each group.

    The main loop uses `advance()`, `due()` and `finished`. A bug in one restart ends that, and is
    not raised. `readiness` is handed to each; see `GroupRestart`.
    """

    def __init__(self, supervisord: Any, clock: Any = time, readiness: Any = None):
        self.supervisord = supervisord
        self.clock = clock
        self.readiness = readiness
        # The restart whose last pass was longest ago stands first.
        self._running: Dict[str, GroupRestart] = {}
        self._last: Dict[str, _Last] = {}
        # Until events.clear() (supervisor/supervisord.py: run). To unsubscribe while an event is
        # handed out would make another subscriber miss it (supervisor/events.py: notify).
        events.subscribe(events.ProcessStateEvent, self._on_process_state)
        events.subscribe(events.ProcessGroupRemovedEvent, self._on_group_removed)
        self._event_names = EventNames(supervisord)

    def idle_group(self, name: str) -> Any:
        """Return a group that is not being restarted, after what has ended has been collected.

        Raises RPCError: BAD_GROUP, RESTART_IN_PROGRESS.
        """
        group = self._idle_group(name)
        self._collect()
        return group

    def left(self, name: str) -> Left:
        """Return what the last restart of a group has left. Raises RPCError: NO_RESTART where there
        is nothing; BAD_GROUP, RESTART_IN_PROGRESS.
        """
        group, last = self._idle_group(name), self._last.get(name)
        names = tuple(process for process in last.left.names if process in group.processes
                      ) if last is not None else ()
        if not names:
            raise RPCError(Faults.NO_RESTART, '%s: %s' % (
                name, 'has not been restarted, so there is nothing to resume' if last is None
                else 'its last restart has left nothing to resume'))
        return last.left._replace(names=names)

    def begin(self, name: str, settings: Settings, plan: Optional[Plan] = None,
              of: Optional[Sequence[str]] = None) -> GroupRestart:
        """Begin the restart of a group, or what `plan` says; the first pass comes later.

        `of` are the names of all slots that are to be restarted, where this call does some of them;
        None: all in the plan. The rest can be resumed.

        Raises RPCError: RESTART_IN_PROGRESS; BAD_GROUP where there is no such group;
        INCORRECT_PARAMETERS where the configuration of one of its processes does not allow it.
        """
        group = self._idle_group(name)
        groups = self.supervisord.process_groups
        self._last = {known: last for known, last in self._last.items() if known in groups}
        try:
            restart = GroupRestart(self.supervisord, group, settings, self.clock, self.readiness,
                                   plan)
        except CannotRestart as why:
            raise RPCError(Faults.INCORRECT_PARAMETERS, str(why)) from None
        if restart.plan.config is not None:
            take_over(self.supervisord.options, plan.config)
        if settings.max_surge:
            self._event_names.keep()
        self._note_if_finished(name)
        self._running[name] = restart
        names = [slot.name for slot in restart.plan.slots] if of is None else of
        self._last[name] = _Last(int(self.clock.time()), Left(
            tuple(names), settings, restart.plan.config is not None))
        self._tell('begin', restart)
        return restart

    def cancel(self, name: str) -> None:
        """Let the restart of a group settle: it stops nothing more.

        Raises RPCError: NO_RESTART, or BAD_GROUP where there is no such group.
        """
        self._group(name)
        if not self._is_restarted(name):
            raise RPCError(Faults.NO_RESTART, '%s: is not being restarted' % name)
        self._running[name].cancel()

    def groups(self) -> List[str]:
        """Return the names of the groups that are being restarted."""
        return sorted(self._running)

    def info(self, name: str, slots: bool = False) -> Dict[str, Any]:
        """Return the struct of `getRestartInfo`, on request with its array `slots`.

        Raises RPCError: BAD_GROUP.
        """
        self._group(name)
        restart, last = self._running.get(name), self._last.get(name, _Last(0))
        if restart is not None:
            told = dict(restart.info(), slots=restart.slots() if slots else [])
        else:
            told = last.told or dict(nothing_of(name), slots=[])
        told = dict(told, began=last.began)
        return told if slots else {key: value for key, value in told.items() if key != 'slots'}

    @property
    def finished(self) -> bool:
        """Whether none is running."""
        return not self._running

    def advance(self) -> None:
        """Make one pass of each that is due; see `GroupRestart.advance`.

        They share its time. Where they are many, some have to wait for the next pass, which is then
        due at once. When supervisord stops, all end at once.
        """
        until = self._collect()
        stops = self.supervisord.options.mood < SupervisorStates.RUNNING
        due = [name for name in self._running if stops or self._due(name) <= 0]
        for name in due:
            restart = self._running.pop(name)
            self._running[name] = restart
            with self._given_up(restart):  # a finished restart does nothing
                restart.advance(SLICE / len(due))
            self._note_if_finished(name)
            if not stops and self.clock.monotonic() >= until:
                break
        if not any(restart.settings.max_surge for restart in self._running.values()):
            self._event_names.rest()

    def due(self) -> float:
        """Return the seconds until a restart has something to do; see `GroupRestart.due`."""
        seconds = math.inf
        for name in list(self._running):
            seconds = min(seconds, self._due(name))
            if seconds <= 0:
                break
        return seconds

    def _collect(self) -> float:
        """See what has ended; return until when there is time for more, in monotonic seconds."""
        until = self.clock.monotonic() + SLICE
        reap(self.supervisord, until, self.clock)
        return until

    def _due(self, name: str) -> float:
        restart = self._running[name]
        if not restart.finished:
            with self._given_up(restart):
                return restart.due()
        return 0.0

    @contextlib.contextmanager
    def _given_up(self, restart: GroupRestart) -> Iterator[None]:
        """Let a restart end if it raises: a bug must not take supervisord's main loop along."""
        try:
            yield
        except Exception as why:
            self._log_traceback()
            try:
                restart.give_up('%s: %s' % (type(why).__name__, why))
            except Exception:
                self._log_traceback()
                self._running = {name: other for name, other in self._running.items()
                                 if other is not restart}

    def _log_traceback(self) -> None:
        self.supervisord.options.logger.critical('restarter: %s' % traceback.format_exc())

    def _note_if_finished(self, name: str) -> None:
        restart = self._running.get(name)
        if restart is None or not restart.finished:
            return
        del self._running[name]
        told, left = dict(restart.info(), slots=restart.slots()), self._last[name].left
        done = restart.report.restarted()
        self._last[name] = self._last[name]._replace(told=told, left=left._replace(
            names=tuple(each for each in left.names if each not in done)))
        self._tell('end', restart, outcome=restart.report.ended_as(), faults=told['faults'],
                   warnings=told['warnings'], seconds=round(told['elapsed'], 3))

    def _tell(self, event: str, restart: GroupRestart, **more: Any) -> None:
        """Tell event listeners of REMOTE_COMMUNICATION that a restart begins or has ended."""
        options = {option: value if isinstance(value, (int, float, type(None))) else str(value)
                   for option, value in restart.settings._asdict().items()}
        events.notify(events.RemoteCommunicationEvent('restarter', json.dumps(dict(
            more, event=event, group=restart.name, way=restart.way, options=options))))

    def _idle_group(self, name: str) -> Any:
        group = self._group(name)
        if self._is_restarted(name):
            raise RPCError(Faults.RESTART_IN_PROGRESS, '%s: is being restarted already' % name)
        return group

    def _is_restarted(self, name: str) -> bool:
        return name in self._running and not self._running[name].finished

    def _group(self, name: str) -> Any:
        group = self.supervisord.process_groups.get(name)
        if group is None:
            raise RPCError(Faults.BAD_GROUP, '%s: no such group' % shown(name))
        return group

    def _on_process_state(self, event: events.ProcessStateEvent) -> None:
        group = event.process.group
        restart = group and self._running.get(group.config.name)
        if restart:
            if event.process.pid and isinstance(event, ENDED):
                logs.let_go(event.process)
            # In Supervisor 4.2.0 the event comes before the process has its new state, so that the
            # event's class tells.
            with self._given_up(restart):
                restart.changed(event.process.config.name,
                                isinstance(event, events.ProcessStateRunningEvent),
                                isinstance(event, events.ProcessStateStartingEvent))

    def _on_group_removed(self, event: events.ProcessGroupRemovedEvent) -> None:
        # At once, since the client that has removed it may add it again right after
        # (`supervisorctl update`), and needs what the restart holds.
        restart = self._running.get(event.group)
        if restart is not None:
            with self._given_up(restart):
                restart.group_removed()
