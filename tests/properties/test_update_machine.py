"""The promises of an update, whatever its processes, its file and everybody else do.

A hypothesis state machine around Supervisor's own code; see `tests.support.world` for what is not
real.
"""

import itertools
import signal
from typing import NamedTuple

import hypothesis.strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from supervisor.datatypes import Automatic
from supervisor.states import RUNNING_STATES, ProcessStates

from supervisor_restarter import plans
from supervisor_restarter.restart.faults import Faults, RPCError
from supervisor_restarter.restart.plan import Action
from supervisor_restarter.restart.settings import Limit, Settings
from tests.properties.machine import WHICH, Simulated, some_settings
from tests.properties.searching import searches
from tests.properties.witness import text_of
from tests.support.world import NEVER, Config, GroupConfig, Manners

FOUND = [ProcessStates.RUNNING] * 6 + [
    ProcessStates.STARTING, ProcessStates.STOPPED, ProcessStates.EXITED, ProcessStates.FATAL,
    ProcessStates.BACKOFF, ProcessStates.STOPPING]

MANNERS = st.builds(
    Manners, stops_after=st.sampled_from([0.0, 0.0, 0.4, 3.0, NEVER]),
    exits_after=st.sampled_from([NEVER] * 5 + [0.0, 0.02, 4.0]), status=st.sampled_from([0, 1]),
    broken=st.sampled_from([''] * 8 + ['no file', 'no fork', 'no descriptors']),
    ready_after=st.just(0.0), follows=st.sampled_from([0.0] * 3 + [0.3, NEVER]))


def updates(timeouts, unavailable, surge):
    return some_settings([0.2, 3.0], timeouts, 3, st.sampled_from(unavailable).map(Limit),
                         st.sampled_from(surge).map(Limit))


class Program(NamedTuple):
    """What the file says of one process."""

    version: int = 0
    startsecs: int = 1
    autostart: bool = True
    priority: int = 1


PROGRAM = st.builds(Program, st.integers(0, 2), st.sampled_from([0, 1, 5]), st.booleans(),
                    st.integers(1, 2))

NAMES = ['p%d' % number for number in range(6)]

# The order in which a file names its processes is its own.
FILE = st.dictionaries(st.sampled_from(NAMES), PROGRAM, max_size=6)


class FileConfig(Config):
    """A configuration that has been read from the file, with all that Supervisor compares."""

    numbers = itertools.count()
    stdout_logfile = stderr_logfile = Automatic

    def __init__(self, machine, name, program):
        super().__init__(machine, name, program.priority, program.startsecs)
        self.command = '/bin/program %d' % program.version
        self.autostart = program.autostart

    def create_autochildlogs(self):
        for channel in ('stdout', 'stderr'):
            if getattr(self, channel + '_logfile') is Automatic:
                setattr(self, channel + '_logfile', '/log/%s-%s---supervisor-%d' % (
                    self.name, channel, next(self.numbers)))

    def get_path(self):
        return []


class Witness:
    """Watches one update. `touched` are the slots at which somebody else has been."""

    def __init__(self, machine, restart, group):
        self.machine = machine
        self.restart, self.group, self.plan = restart, group, restart.plan
        self.planned = {slot.name: slot for slot in self.plan.slots}
        self.found = dict(group.processes)
        self.pids = {name: process.pid for name, process in group.processes.items()}
        self.broken = {name for name, process in group.processes.items()
                       if process.state in (ProcessStates.FATAL, ProcessStates.BACKOFF)}
        self.touched = set()
        self.spawned, self.stopped = [], []
        self.answered = False

    @staticmethod
    def slot_of(name):
        return name[:-4] if name.endswith(('.new', '.old')) else name

    def restart_does(self, what, process):
        slot = self.planned[self.slot_of(process.config.name)]
        assert slot.action != Action.KEEP, '%s is kept, and told to %s' % (slot.name, what)
        info = self.restart.info()
        if what == 'spawn':
            assert slot.runs, '%s is spawned, and is not to run' % slot.name
            assert process.config.command == slot.config.command, 'an old one is spawned'
            assert self.has_log_files(process.config), '%s is spawned, unprepared' % slot.name
            # A successor that was given up on is another process than the one that has the slot.
            assert not any(process is other for other in self.spawned), 'spawned twice'
            self.spawned.append(process)
        else:
            # Somebody else may have started it again; then it is stopped again, if it is too many.
            assert process.pid not in self.stopped, 'stopped twice'
            self.stopped.append(process.pid)
            limit = self.restart.settings.max_unavailable
            if limit and not self.restart.settings.max_surge:
                assert info['state'] == 'RESTARTING'
                failed = {fault['name'] for fault in info['faults']} - self.broken
                assert info['stopping'] + info['starting'] < max(
                    1, limit.of(self.plan.size) - len(failed)), 'too many are down'

    def passed(self):
        """The group is at each moment what its configuration says."""
        info = self.restart.info()
        assert info['total'] == sum(info[phase] for phase in (
            'waiting', 'stopping', 'starting', 'restarted', 'failed', 'removed'))
        processes = self.group.processes
        said = self.group.config.process_configs
        if self.restart.finished or info['elapsed'] > 0 or self.spawned or self.stopped:
            expected = [name for name in self.planned if name in processes]
            assert sorted(config.name for config in said) == sorted(expected)
        for entry in self.restart.slots():
            slot = self.planned[entry['name']]
            if entry['phase'] == 'restarted' and slot.name in processes:
                process = processes[slot.name]
                assert process.config is slot.config, '%s counts as updated' % slot.name
        for config in said:
            assert processes[config.name].config is config, '%s is not what it is' % config.name
        for name, process in processes.items():
            assert self.has_log_files(process.config), 'nobody can be told the state of %s' % name
            if process.pid:
                assert process.command == process.config.command, '%s is neither old nor new' % name
        if self.restart.outcome is not None and not self.answered:
            self.answered = True
            if self.restart.outcome is True:
                self.is_what_the_file_says()

    def is_what_the_file_says(self):
        for name, slot in self.planned.items():
            process = self.group.processes.get(name)
            if slot.action == Action.REMOVE:
                assert process is None, '%s is still there' % name
                continue
            assert process.config is slot.config, '%s is not what the file says' % name
            if slot.action == Action.KEEP:  # and nobody has told it to do anything
                assert process is self.found[name], '%s is not kept' % name
            elif name in self.touched:
                continue
            elif slot.runs:
                assert any(process is other for other in self.spawned)
                assert process.state == ProcessStates.RUNNING or (
                    process.state == ProcessStates.EXITED and not process.config.startsecs)
            else:
                assert not process.pid
        wanted = [config.name for config in self.plan.config.process_configs]
        assert [config.name for config in self.group.config.process_configs] == wanted

    @staticmethod
    def has_log_files(config):
        return Automatic not in (config.stdout_logfile, config.stderr_logfile)

    def finished(self, here):
        if not here:
            return
        assert set(self.group.processes) <= set(self.planned), 'a second process is left'
        warned = [warning['text'] for warning in self.restart.info()['warnings']]
        left = [pid for pid in self.stopped if pid in self.machine.wrappers
                and pid not in self.machine.children]
        assert all(any(text_of(pid) in text for text in warned) for pid in left), 'left behind'
        faults = {fault['name']: fault['code'] for fault in self.restart.info()['faults']}
        phases = {slot['name']: slot['phase'] for slot in self.restart.slots()}
        for name, process in self.group.processes.items():
            slot = self.planned[name]
            if slot.changed and process.pid not in (0, self.pids[name]) and (
                    process.config is not slot.config):  # somebody else has started it
                assert faults.get(name) in (Faults.START_FAILED, Faults.SPAWN_ERROR) or (
                    phases[name] == 'waiting' and self.restart.outcome is not True), (
                        '%s is %s, with its old configuration' % (name, phases[name]))


class AnUpdate(Simulated):
    """Updates of a group, whatever its file and anybody else do."""

    @initialize(file=FILE, found=st.lists(st.tuples(st.sampled_from(FOUND), MANNERS), min_size=6,
                                          max_size=6))
    def begin(self, file, found):
        self.begin_with([])
        self.witness = None
        self.machine.process_group_configs = []
        self.file = file
        self.add_group()
        for process, (state, manners) in zip(self.group.processes.values(), found):
            self.let_be(process, state, manners)
        self.machine.note = self.somebody_does
        self.machine.fork_takes = 0.001
        self.began = True

    def read(self):
        """What reading the file gives: new objects each time."""
        return GroupConfig(self.machine, 'web', [
            FileConfig(self.machine, name, program) for name, program in self.file.items()])

    def add_group(self):
        config = self.read()
        for each in config.process_configs:
            each.create_autochildlogs()
        self.supervisord.add_process_group(config)

    @staticmethod
    def let_be(process, state, manners):
        process.manners = Manners()
        process.laststart = 1.0
        if state in (ProcessStates.RUNNING, ProcessStates.STARTING, ProcessStates.STOPPING):
            process.spawn()
            process.state = ProcessStates.RUNNING
            if state == ProcessStates.STOPPING:
                process.stop()
        process.state = state
        process.manners = manners

    # who watches

    def somebody_does(self, what, process):
        if what == 'kill':
            return  # one that was told to stop long ago
        if self.machine.who == 'restart':
            self.check(self.witness.restart_does, what, process)
        elif self.witness is not None:
            self.witness.touched.add(Witness.slot_of(process.config.name))

    def watch(self, restart):
        make_a_pass, machine = restart.advance, self.machine

        def watched(*arguments):
            who, machine.who = machine.who, 'restart'
            make_a_pass(*arguments)
            here = self.group is restart.group
            if here:
                self.check(self.witness.passed)
            machine.who = who
            if restart.finished:
                self.check(self.witness.finished, here)
                self.witness = None
        restart.advance = watched

    @invariant()
    def nothing_is_left_in_supervisord(self):
        if self.began:
            assert self.witness is not None or not self.machine.socket_map

    # the update

    @rule(chosen=updates([0.1, 5.0, 60.0], [0, 1, 2], [0, 1, 2]), restart=st.booleans())
    def somebody_updates(self, chosen, restart):
        self.mainloop.prepare()
        try:
            plan = plans.from_file(self.restarts, 'web', {'web': self.read()}, restart)
            begun = self.restarts.begin('web', chosen, plan)
        except RPCError:  # it is being restarted already, or it is not active
            assert self.witness is not None or self.group is None
        else:
            self.witness = Witness(self.machine, begun, self.group)
            self.watch(begun)
        self.mainloop.make_pass()

    @rule(file=FILE)
    def the_file_is_changed(self, file):
        self.file = file

    @rule(version=st.integers(0, 2))
    def there_is_a_release(self, version):
        self.file = {name: program._replace(version=version)
                     for name, program in self.file.items()}

    @precondition(lambda self: self.witness)
    @rule()
    def somebody_cancels(self):
        try:
            self.restarts.cancel('web')
        except RPCError as refused:
            assert refused.code == Faults.NO_RESTART and self.witness.restart.finished
        self.mainloop.make_pass()

    @rule(seconds=st.sampled_from([0.001, 0.3, 1.1, 6.0, 30.0]))
    def time_passes(self, seconds):
        self.let_pass(seconds)

    # everybody else

    def touch(self, process):
        if self.witness is not None:
            self.witness.touched.add(Witness.slot_of(process.config.name))

    @rule(which=WHICH, manners=MANNERS)
    def a_program_is_changed(self, which, manners):
        process = self.pick(which)
        if process is not None:
            self.touch(process)
            process.manners = manners

    @rule(which=WHICH)
    def somebody_restarts_one(self, which):
        """As supervisorctl does it: start, as soon as it is down."""
        process = self.pick(which)
        if process is not None and process.get_state() in RUNNING_STATES:
            self.touch(process)
            self.call('stopProcess', process)
            self.let_pass(15.0, lambda: process.pid)
            self.call('startProcess', process)

    @rule()
    def somebody_removes_the_group_and_adds_it(self):
        if self.group is not None:
            for process in self.group.processes.values():
                if process.pid:
                    process.stop()
                    self.machine.dies(process.pid, signal.SIGKILL)
            self.supervisord.reap()
            if self.supervisord.remove_process_group('web'):
                self.add_group()

    # the end

    def all_ends_well(self):
        """Another update finishes it."""
        self.everybody_behaves()
        self.somebody_updates(Settings(timeout=60.0, max_unavailable=Limit(1)), False)
        self.everybody_behaves()
        self.time_passes(60.0)
        plan = plans.to_update(self.group, self.read())
        assert {slot.action for slot in plan.slots} <= {Action.KEEP}, plan
        for slot in plan.slots:
            up = self.group.processes[slot.name].state == ProcessStates.RUNNING
            assert up == slot.runs, slot.name

    def everybody_behaves(self):
        for process in self.group.processes.values():
            process.manners = Manners()
        self.machine.behave()
        until = self.machine.now + 600.0
        while self.witness is not None and self.machine.now < until and not self.broken:
            self.time_passes(1.0)
        self.promises_are_kept()
        assert self.witness is None, 'a hang: %s' % self.witness.restart.info()


class ARelease(AnUpdate):
    """The same, but it begins with an update of all processes."""

    @initialize(file=st.dictionaries(st.sampled_from(NAMES), PROGRAM, min_size=2, max_size=4),
                slowly=st.sampled_from([0.4, 3.0, NEVER]),
                chosen=updates([5.0, 60.0], [0, 1, 1, 1, 2], [0, 0, 0, 1]))
    def begin(self, file, slowly, chosen):
        AnUpdate.begin(self, file, [(ProcessStates.RUNNING, Manners(stops_after=slowly))] * 6)
        self.there_is_a_release(3)
        self.somebody_updates(chosen, False)


TestAnUpdate, TestLongAnUpdate = searches(AnUpdate, 150, 1000, 12)
TestARelease, TestLongARelease = searches(ARelease, 150, 1000, 12)
