"""The promises of a restart, whatever its processes and everybody else do, and in whichever order.

A hypothesis state machine around Supervisor's own code; see `tests.support.world` for what is not
real, and `witness` for the promises.
"""

import os
import signal

import hypothesis.strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.states import STOPPED_STATES, ProcessStates, SupervisorStates

from supervisor_restarter.daemon.listeners import Address
from supervisor_restarter.restart.faults import Faults, RPCError
from supervisor_restarter.restart.settings import Limit
from tests.properties.machine import WHICH, Simulated, some_settings
from tests.properties.searching import searches
from tests.properties.witness import Witness
from tests.support.world import AUTORESTART, BEHAVED, NEVER, Config, GroupConfig, Manners

FOUND = [ProcessStates.RUNNING] * 6 + [
    ProcessStates.STARTING, ProcessStates.STOPPED, ProcessStates.STOPPED, ProcessStates.EXITED,
    ProcessStates.FATAL, ProcessStates.BACKOFF, ProcessStates.STOPPING, ProcessStates.UNKNOWN]

MANNERS = st.builds(
    Manners, stops_after=st.sampled_from([0.0, 0.0, 0.004, 0.4, 3.0, 25.0, NEVER]),
    exits_after=st.sampled_from([NEVER] * 6 + [0.0, 0.02, 1.0, 4.0]),
    status=st.sampled_from([0, 1]),
    broken=st.sampled_from([''] * 12 + ['no file', 'no fork', 'no descriptors', 'no signal']),
    ready_after=st.sampled_from([0.0, 0.0, 0.03, 0.7, 3.0, NEVER]),
    at=st.sampled_from([(0,)] * 3 + [(), (1,), (0, 1)]),
    shares=st.sampled_from([True, True, False]), answers=st.sampled_from([True] * 4 + [False]),
    follows=st.sampled_from([0.0] * 5 + [0.3, 3.0, NEVER]),
    again=st.sampled_from([NEVER, NEVER, 0.7]))

PROCESS = st.tuples(st.sampled_from(FOUND), MANNERS, st.integers(1, 3),
                    st.sampled_from([0, 0, 1, 5]), st.sampled_from(sorted(AUTORESTART)),
                    st.sampled_from(['', '', '', 'notify', 'listen', 'tcp://127.0.0.1:%(port)d',
                                     'http://127.0.0.1:%(port)d/']),
                    st.sampled_from([10, 10, 30]))

FIRST_PORT = {'web': 8000, 'db': 9000}
STRANGER = 7  # its process id

NONE = st.just(Limit(0))
LIMIT = st.one_of(st.integers(1, 4).map(Limit),
                  st.integers(1, 100).map(lambda share: Limit(share, True)))


def restarts(max_unavailable, max_surge):
    return some_settings([0.2, 3.0, 1e6], [0.1, 2.0, 5.0, 60.0, 1e6, None, None], 5,
                         max_unavailable, max_surge)


SURGES = restarts(st.one_of(NONE, NONE, LIMIT), LIMIT)
SETTINGS = st.one_of(restarts(NONE, NONE), restarts(LIMIT, NONE), SURGES)

# A wakeup descriptor, where something else has set one: a restart goes at supervisord's own pace.
SOMEBODY_ELSES = open(os.devnull, 'wb', 0)


class ARestart(Simulated):
    """Restarts of two groups, whatever anybody does."""

    @initialize(few=st.lists(PROCESS, max_size=6), times=st.sampled_from([1] * 8 + [6, 6, 6, 34]),
                other=st.lists(PROCESS, min_size=1, max_size=2), own_pace=st.integers(0, 7),
                may_shut_down=st.integers(0, 5),
                fork_takes=st.sampled_from([0.0001, 0.0001, 0.0001, 0.003, 0.04]), first=SETTINGS)
    def begin(self, few, times, other, own_pace, may_shut_down, fork_takes,
              first):
        self.begin_with(['web', 'db'])
        self.witnesses = {}
        self.ended = False
        self.may_shut_down = may_shut_down == 5
        self.own_pace = own_pace == 7
        if self.own_pace:
            self.machine.signals.descriptor = SOMEBODY_ELSES.fileno()
        self.other_wakeup = self.machine.signals.descriptor
        self.machine.watch = self.around_a_sleep
        self.machine.readiness.seen = self.is_seen
        self.machine.fork_takes = 0.0
        for number, made in enumerate(few * times):
            self.add('web', 'p%03d' % number, *made)
        for number, made in enumerate(other):
            self.add('db', 'd%d' % number, *made)
        self.machine.history.clear()
        self.machine.note = self.somebody_does
        self.machine.fork_takes = fork_takes
        self.passes, self.pass_at = 0, self.machine.now
        self.began = True
        self.somebody_restarts(first, 'web')

    def add(self, group, name, state, manners, priority, startsecs, autorestart, declares,
            stopwaitsecs):
        config = Config(self.machine, name, priority, startsecs, autorestart, declares,
                        FIRST_PORT[group] + int(name[1:]))
        config.stopwaitsecs = stopwaitsecs
        group = self.supervisord.process_groups[group]
        process = group.processes[name] = config.make_process(group)
        if state in (ProcessStates.RUNNING, ProcessStates.STARTING, ProcessStates.STOPPING,
                     ProcessStates.UNKNOWN):
            process.manners = manners._replace(exits_after=NEVER, broken='')
            process.spawn()
            if state != ProcessStates.STARTING:
                self.machine.comes_up(process.pid)
            process.manners = manners
            if manners.broken == 'no signal':
                self.machine.children[process.pid] = manners
        else:
            process.manners = manners
            process.laststart = 1.0
        if state == ProcessStates.STOPPING:
            process.state = ProcessStates.RUNNING
            process.stop()
        elif state == ProcessStates.BACKOFF:
            process.change_state(state)
        else:
            process.state = state

    # who watches

    def is_seen(self, watched):
        self.check(self.witnesses[watched.process.group.config.name].sees, watched)

    def somebody_does(self, what, process):
        machine, name = self.machine, process.config.name
        witness = self.witnesses.get(process.group.config.name)
        type(machine).note(machine, what, process)
        if machine.who == 'restart':
            if witness is None:
                self.broken.append('%s: %s, and there is no restart' % (name, what))
            else:
                self.check(getattr(witness, what + 's'), process)
        if what == 'spawn' and witness and witness.processes.get(name) is process:
            witness.renewed.add(name)

    def watch(self, restart, witness):
        """See each pass of a restart."""
        make_a_pass, machine = restart.advance, self.machine

        def watched(*arguments):
            self.passes = self.passes + 1 if self.pass_at == machine.now else 0
            self.pass_at = machine.now
            if self.passes > self.many():
                self.broken.append('%d passes, and no time passes' % self.passes)
            who, machine.who = machine.who, 'restart'
            witness.passes()
            make_a_pass(*arguments)
            self.check(witness.passed)
            machine.who = who
            if self.broken:
                machine.pass_time(1.0)  # so that whoever waits for an end sees one
            if restart.finished and self.witnesses.get(witness.group.config.name) is witness:
                del self.witnesses[witness.group.config.name]
        def removed(group_removed=restart.group_removed):
            witness.passes()
            group_removed()
            self.check(witness.passed)
            if restart.finished:
                self.witnesses.pop(witness.group.config.name, None)
        restart.advance, restart.group_removed = watched, removed

    def around_a_sleep(self, slack=0.0):
        if not self.own_pace and self.machine.mood == SupervisorStates.RUNNING:
            for witness in self.witnesses.values():
                self.check(witness.sleeps, slack)

    @invariant()
    def every_child_is_in_a_group(self):
        if self.began and not self.ended:
            there = {process.pid for group in self.supervisord.process_groups.values()
                     for process in group.processes.values()}
            lost = [self.machine.pidhistory[pid] for pid in set(self.machine.children) - there]
            # Of one that cannot be stopped, Supervisor says that it is.
            assert all(process.state == ProcessStates.UNKNOWN for process in lost), lost

    @invariant()
    def nothing_is_left_in_supervisord(self):
        """P7."""
        if self.began and not self.witnesses and self.restarts.finished:
            signals, readiness = self.machine.signals, self.machine.readiness
            assert readiness.rests and set(self.machine.socket_map.values()) == set(
                readiness.sockets)
            assert signals.timer == NEVER and signals.handler == signals.SIG_DFL
            assert signals.descriptor == self.other_wakeup

    @invariant()
    def who_is_to_say_that_it_is_ready_can_as_long_as_it_lives(self):
        """P9; and no longer."""
        if self.began and self.machine.mood == SupervisorStates.RUNNING:
            machine, told = self.machine, self.machine.paths
            assert not machine.unheard, machine.unheard
            there = {each.process.pid for each in machine.readiness.sockets}
            ended = {pid for pid, _ in machine.zombies}  # supervisord does not know it yet
            assert there - ended == set(told) & set(machine.children), (there, told)

    # the restart

    @rule(chosen=SETTINGS, group=st.sampled_from(['web', 'web', 'web', 'db']))
    def somebody_restarts(self, chosen, group):
        if self.ended or self.machine.mood < SupervisorStates.RUNNING:
            return
        self.mainloop.prepare()
        try:
            restart = self.restarts.begin(group, chosen)
        except RPCError as refused:
            if refused.code == Faults.INCORRECT_PARAMETERS:
                assert chosen.max_surge and 'would have this name' in refused.text
                assert any(name[-4:] in ('.new', '.old') and process.state == ProcessStates.UNKNOWN
                           for name, process in self.group_of(group).processes.items())
            else:
                assert refused.code == Faults.RESTART_IN_PROGRESS
                assert group in self.witnesses
        else:
            assert group not in self.witnesses
            self.witnesses[group] = Witness(self.machine, self.supervisord, restart,
                                            self.group_of(group), chosen)
            self.watch(restart, self.witnesses[group])
        self.mainloop.make_pass()

    @rule(group=st.sampled_from(['web', 'web', 'db']))
    def somebody_cancels(self, group):
        try:
            self.restarts.cancel(group)
        except RPCError as refused:
            assert refused.code == Faults.NO_RESTART and group not in self.witnesses
        else:
            assert self.witnesses[group].restart.info()['state'] == 'SETTLING'
            self.mainloop.make_pass()

    @precondition(lambda self: self.witnesses)
    @rule(in_the_loop=st.booleans())
    def a_pass_comes_out_of_turn(self, in_the_loop):
        if not in_the_loop:
            self.mainloop.make_pass()
        elif self.machine.socket_map:
            self.mainloop.handle_write_event()

    @precondition(lambda self: self.witnesses)
    @rule()
    def the_callback_is_polled(self):
        self.mainloop.polled()

    # time

    @rule(seconds=st.sampled_from([0.001, 0.06, 0.3, 1.1, 6.0, 30.0]))
    def time_passes(self, seconds):
        try:
            self.let_pass(seconds, lambda: not self.ended)
        except ExitNow:
            self.ended = True

    @rule(seconds=st.sampled_from([-3600.0, 3600.0]))
    def the_system_clock_is_set(self, seconds):
        self.machine.wall += seconds
        for group in self.supervisord.process_groups.values():
            for process in group.processes.values():
                process.told_at = -NEVER  # Supervisor may kill it as soon as that
        for witness in self.witnesses.values():
            witness.clock_was_set = True

    # processes

    def group_of(self, name):
        return self.supervisord.process_groups[name]

    def touch(self, process):
        witness = self.witnesses.get(process.group.config.name)
        if witness is not None:
            witness.touch(process)

    @rule(which=WHICH, manners=MANNERS, all_of_them=st.booleans())
    def a_program_is_changed(self, which, manners, all_of_them):
        process = self.pick(which)
        if process is not None:
            chosen = list(process.group.processes.values()) if all_of_them else [process]
            for process in chosen:
                process.manners = manners
                self.touch(process)

    @rule(which=WHICH, comes=st.booleans())
    def a_stranger_listens(self, which, comes):
        """In the place of a process, as soon as it has gone; or no longer."""
        process = self.pick(which)
        if process is not None and comes:
            self.machine.network.listen(STRANGER, Address(
                '127.0.0.1', process.config.program.port))
        else:
            self.machine.network.close(STRANGER)

    # other users

    @rule(method=st.sampled_from(['stopProcess', 'startProcess']))
    def somebody_stops_or_starts_all(self, method):
        for process in list(self.group.processes.values()):
            self.touch(process)
            self.call(method, process)

    @rule(which=WHICH, signum=st.sampled_from(['TERM', 'KILL', 'HUP']))
    def somebody_signals_one(self, which, signum):
        process = self.pick(which)
        if process is not None:
            self.touch(process)
            self.call('signalProcess', process, signum)

    @rule(which=WHICH)
    def somebody_removes_one(self, which):
        process = self.pick(which)
        if process is not None and process.state in STOPPED_STATES:
            self.touch(process)
            del process.group.processes[process.config.name]
            if 'web' in self.witnesses:
                self.witnesses['web'].misses(process)

    @rule(which=WHICH, made=PROCESS)
    def somebody_adds_one(self, which, made):
        name = 'p%03d' % which
        if name not in self.group.processes:
            self.add('web', name, *made)

    @rule(again=st.booleans())
    def somebody_removes_the_group(self, again):
        group = self.group
        for process in group.processes.values():
            self.touch(process)
            self.call('stopProcess', process)
            if process.pid:
                self.machine.dies(process.pid, signal.SIGKILL)
        self.supervisord.reap()
        if self.supervisord.remove_process_group('web'):
            names = [name for name in sorted(group.processes) if name.isalnum()] if again else []
            configs = [Config(self.machine, name) for name in names]
            self.supervisord.add_process_group(GroupConfig(self.machine, 'web', configs))

    @precondition(lambda self: self.may_shut_down)
    @rule(mood=st.sampled_from([SupervisorStates.SHUTDOWN, SupervisorStates.RESTARTING]))
    def supervisord_is_told_to_stop(self, mood):
        self.machine.mood = mood

    # the end

    def all_ends_well(self):
        for group in self.supervisord.process_groups.values():
            for process in group.processes.values():
                process.manners = BEHAVED
        self.machine.behave()
        if any(witness.removal_is_unnoticed() for witness in self.witnesses.values()):
            self.the_callback_is_polled()
        seconds = 30.0
        for name, witness in list(self.witnesses.items()):
            chosen = witness.settings
            if chosen.rolling:
                seconds += 6.0 * len(witness.processes)
            elif chosen.delay * chosen.stagger_factor < 60:
                seconds += chosen.delay * chosen.stagger_factor
            else:
                self.somebody_cancels(name)
        until = self.machine.now + seconds
        while self.machine.now < until and self.witnesses and not self.ended and not self.broken:
            self.time_passes(1.0)
        self.promises_are_kept()
        assert not self.witnesses, 'P1: a hang: %s' % [
            witness.restart.info() for witness in self.witnesses.values()]
        self.nothing_is_left_in_supervisord()


class ASurge(ARestart):
    """The same, but it begins with new before old."""

    @initialize(few=st.lists(PROCESS, max_size=6), times=st.sampled_from([1, 1, 1, 6]),
                other=st.lists(PROCESS, min_size=1, max_size=2), own_pace=st.integers(0, 7),
                may_shut_down=st.integers(0, 5),
                fork_takes=st.sampled_from([0.0001, 0.0001, 0.003, 0.04]), first=SURGES)
    def begin(self, **chosen):
        ARestart.begin(self, **chosen)


TestARestart, TestLongARestart = searches(ARestart, 120, 1000, 25)
TestASurge, TestLongASurge = searches(ASurge, 150, 1000, 25)
