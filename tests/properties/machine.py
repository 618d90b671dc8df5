"""A simulated supervisord in which anybody does anything: what the state machines share."""

import signal

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.states import SupervisorStates
from supervisor.xmlrpc import RPCError as SupervisorsError

from supervisor_restarter.daemon.mainloop import MainLoop
from supervisor_restarter.restart.restarts import Restarts
from supervisor_restarter.restart.settings import Settings
from tests.properties.witness import Broken
from tests.support.world import (
    Machine,
    bugs_of_ours,
    let_time_pass,
    make_supervisord,
    the_time_of,
)

WHICH = st.integers(0, 199)


def some_settings(delays, timeouts, batches, max_unavailable, max_surge):
    return st.builds(
        Settings, delay=st.sampled_from(delays), timeout=st.sampled_from(timeouts),
        stagger_factor=st.integers(1, batches), max_unavailable=max_unavailable,
        max_surge=max_surge, min_ready_seconds=st.just(0.0), only_running=st.just(False))


class Simulated(RuleBasedStateMachine):
    """Time passes as supervisord's main loop lets it pass; in between anybody does anything.

    `broken` are the promises that somebody who watches has seen broken.
    """

    began = False

    def begin_with(self, groups):
        self.broken = []
        self.machine = Machine()
        self.time = the_time_of(self.machine)
        self.time.__enter__()
        self.supervisord = make_supervisord(self.machine, groups)
        self.rpc = SupervisorNamespaceRPCInterface(self.supervisord)
        self.restarts = Restarts(self.supervisord, self.machine, self.machine.readiness)
        self.mainloop = MainLoop(self.machine, self.restarts)

    def check(self, what, *arguments):
        try:
            what(*arguments)
        except (Broken, AssertionError, KeyError) as why:
            self.broken.append('%s: %s' % (type(why).__name__, why))

    @invariant()
    def promises_are_kept(self):
        if self.began:
            bugs = bugs_of_ours(self.machine)
            assert not self.broken + bugs, '\n'.join(self.broken[:3] + bugs[:1])

    def many(self):
        """How often the main loop may turn while no time passes."""
        return 100 + 10 * sum(len(group.processes)
                              for group in self.supervisord.process_groups.values())

    def let_pass(self, seconds, goes_on=lambda: True):
        let_time_pass(self.supervisord, seconds, lambda: goes_on() and not self.broken, self.many)

    # processes, and other users

    @property
    def group(self):
        return self.supervisord.process_groups.get('web')

    def pick(self, which):
        names = sorted(self.group.processes) if self.group is not None else []
        return self.group.processes[names[which % len(names)]] if names else None

    @rule(which=WHICH, status=st.sampled_from([signal.SIGKILL, 0, 256]))
    def a_process_dies(self, which, status):
        process = self.pick(which)
        if process is not None and process.pid:
            self.touch(process)
            self.machine.dies(process.pid, status)

    @rule(which=WHICH, method=st.sampled_from(['stopProcess', 'startProcess']))
    def somebody_stops_or_starts_one(self, which, method):
        process = self.pick(which)
        if process is not None:
            self.touch(process)
            self.call(method, process)

    def call(self, method, process, value=False):
        try:
            getattr(self.rpc, method)('web:' + process.config.name, value)
        except SupervisorsError:
            pass  # as they are told: it is not running, or it is

    # the end

    def teardown(self):
        if not self.began:
            return
        try:
            if not self.broken:
                self.all_ends_well()
        finally:
            self.machine.mood = SupervisorStates.SHUTDOWN
            self.mainloop.make_pass()  # so that its descriptors are closed
            self.time.__exit__(None, None, None)
