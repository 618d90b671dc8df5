"""What is to become of each slot, from what a group is and what the file says."""

import textwrap

import pytest
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates

from supervisor_restarter.daemon import configuration
from supervisor_restarter.plans import to_update
from supervisor_restarter.restart.faults import RPCError
from supervisor_restarter.restart.plan import to_restart

HEAD = """
    [supervisord]
    logfile = {0}/supervisord.log
    pidfile = {0}/supervisord.pid
    childlogdir = {0}
"""


class File:
    """A configuration file, and the options of the supervisord that was started with it."""

    def __init__(self, folder, programs):
        self.folder = folder
        self.path = folder / 'supervisord.conf'
        self.write(programs)
        self.options = ServerOptions()
        self.options.realize(['-c', str(self.path)])

    def write(self, programs):
        self.path.write_text(textwrap.dedent(HEAD.format(self.folder)) + textwrap.dedent(programs))

    def group(self, name='web'):
        """Make the active group, as supervisord does when it starts."""
        config = {config.name: config for config in self.options.process_group_configs}[name]
        config.after_setuid()
        return config.make_group()

    def read(self, name='web'):
        return configuration.read(self.options).groups[name]


def program(**options):
    chosen = dict({'command': '/bin/sleep 1', 'numprocs': 2,
                   'process_name': '%(program_name)s_%(process_num)d'}, **options)
    return '[program:web]\n' + ''.join('%s = %s\n' % pair for pair in chosen.items())


def told(plan):
    return {slot.name: (slot.action, *slot.changed) for slot in plan.slots}


def changed(tmp_path, old, new):
    file = File(tmp_path, old)
    group = file.group()
    file.write(new)
    return to_update(group, file.read())


def test_a_restart_replaces_every_process_with_the_configuration_that_it_has(tmp_path):
    group = File(tmp_path, program()).group()
    plan = to_restart(group)
    assert told(plan) == {'web_0': ('replace',), 'web_1': ('replace',)}
    assert [slot.config for slot in plan.slots] == [
        group.processes[name].config for name in ('web_0', 'web_1')]
    assert (plan.size, plan.config) == (2, None)


@pytest.mark.parametrize('restart, action', [(False, 'keep'), (True, 'replace')])
def test_where_nothing_has_changed_each_slot_has_its_own_configuration_and_its_log_file(
        tmp_path, restart, action):
    file = File(tmp_path, program(numprocs=1))
    group = file.group()
    file.write(program(numprocs=2))
    plan = to_update(group, file.read(), restart)
    assert told(plan) == {'web_0': (action,), 'web_1': ('add',)}
    assert plan.slots[0].config is group.processes['web_0'].config


@pytest.mark.parametrize('option, value, name', [
    ('command', '/bin/sleep 2', 'command'), ('environment', 'KEY="secret"', 'environment'),
    ('directory', '/tmp', 'directory'), ('umask', '077', 'umask'), ('user', 'root', 'user'),
    ('priority', 5, 'priority'), ('autostart', 'false', 'autostart'),
    ('autorestart', 'true', 'autorestart'), ('startsecs', 5, 'startsecs'),
    ('startretries', 9, 'startretries'), ('stopsignal', 'INT', 'stopsignal'),
    ('stopwaitsecs', 3, 'stopwaitsecs'), ('exitcodes', '0,3', 'exitcodes'),
    ('redirect_stderr', 'true', 'redirect_stderr'), ('stdout_logfile', '/tmp/x', 'stdout_logfile'),
    ('stderr_logfile_maxbytes', '1MB', 'stderr_logfile_maxbytes'),
    ('stdout_events_enabled', 'true', 'stdout_events_enabled'),
    ('serverurl', 'http://127.0.0.1:9', 'serverurl'),
])
def test_each_kind_of_change_is_told_by_its_name_in_the_file(tmp_path, option, value, name):
    plan = changed(tmp_path, program(stdout_logfile='NONE', stderr_logfile='/tmp/y'),
                   program(**dict({'stdout_logfile': 'NONE', 'stderr_logfile': '/tmp/y'},
                                  **{option: value})))
    # What redirects the output to the other log has no log of its own any more.
    names = ('stderr_logfile', name) if option == 'redirect_stderr' else (name,)
    assert told(plan) == dict.fromkeys(('web_0', 'web_1'), ('replace', *names))
    assert [slot.struct() for slot in plan.slots] == [  # no values
        {'name': slot, 'action': 'replace', 'changed': list(names)} for slot in ('web_0', 'web_1')]


@pytest.mark.parametrize('old, new, what, text', [
    ({'numprocs': 1}, {'numprocs': 3}, {'web_0': 'keep', 'web_1': 'add', 'web_2': 'add'},
     '2 to add, 1 to keep'),
    ({'numprocs': 3}, {'numprocs': 1}, {'web_0': 'keep', 'web_1': 'remove', 'web_2': 'remove'},
     '2 to remove, 1 to keep'),
    ({}, {'process_name': 'w%(process_num)d'},
     {'w0': 'add', 'w1': 'add', 'web_0': 'remove', 'web_1': 'remove'}, '2 to add, 2 to remove'),
])
def test_names_that_are_new_are_added_and_others_removed(tmp_path, old, new, what, text):
    plan = changed(tmp_path, program(**old), program(**new))
    assert told(plan) == {name: (action,) for name, action in what.items()}
    assert (str(plan), plan.size) == (text, len(what) - list(what.values()).count('remove'))


@pytest.mark.parametrize('state, new, action, runs', [
    ('RUNNING', {}, 'keep', True),
    ('STOPPED', {}, 'keep', False),
    ('EXITED', {}, 'keep', False),
    ('FATAL', {}, 'replace', True),
    ('BACKOFF', {}, 'replace', True),
    ('RUNNING', {'autostart': 'false'}, 'replace', True),
    ('STOPPED', {'startsecs': 5}, 'replace', True),
    ('STOPPED', {'autostart': 'false'}, 'replace', False),
    ('EXITED', {'autostart': 'false'}, 'replace', False),
    ('FATAL', {'autostart': 'false'}, 'replace', True),
])
def test_what_is_down_is_started_if_it_is_to_run(tmp_path, state, new, action, runs):
    file = File(tmp_path, program(numprocs=1))
    group = file.group()
    group.processes['web_0'].state = getattr(ProcessStates, state)
    file.write(program(numprocs=1, **new))
    slot, = to_update(group, file.read()).slots
    assert (slot.action, slot.runs) == (action, runs)


@pytest.mark.parametrize('autostart, runs', [('false', False), ('true', True)])
def test_one_that_is_added_runs_if_it_starts_by_itself(tmp_path, autostart, runs):
    new = program(numprocs=3, autostart=autostart)
    assert [slot.runs for slot in changed(tmp_path, program(numprocs=2), new).slots] == [
        False, False, runs]


SEVERAL = """
[group:web]
programs = one,two
priority = {priority}
[program:one]
command = /bin/sleep 1
[program:two]
command = /bin/sleep {seconds}
"""


def test_only_the_program_that_changed_is_replaced_and_none_for_the_priority_of_the_group(tmp_path):
    plan = changed(tmp_path, SEVERAL.format(priority=1, seconds=1),
                   SEVERAL.format(priority=2, seconds=2))
    assert told(plan) == {'one': ('keep',), 'two': ('replace', 'command')}
    assert plan.config.priority == 2


FCGI = '[fcgi-program:web]\ncommand = /bin/sleep 1\nsocket = unix://%s/%s.sock\n'
LISTENER = '[eventlistener:web]\ncommand = /bin/sleep 1\nevents = %s\nbuffer_size = %d\n'
WHOLE = 'which concerns the group as a whole: use supervisorctl update web'


@pytest.mark.parametrize('old, new, text', [
    (program(), LISTENER % ('TICK_5', 10), 'it is of another kind in the file, ' + WHOLE),
    (FCGI % ('/tmp', 'a'), FCGI % ('/tmp', 'b'), 'the file changes its socket, ' + WHOLE),
    (LISTENER % ('TICK_5', 10), LISTENER % ('TICK_60', 20),
     'the file changes its buffer_size, events, ' + WHOLE),
    (LISTENER % ('TICK_5', 10), LISTENER % ('TICK_5', 10) + 'result_handler = os:getpid\n',
     'the file changes its result_handler, ' + WHOLE),
    (SEVERAL.format(priority=1, seconds=1),
     SEVERAL.format(priority=1, seconds=1) + 'process_name = one\n',
     '2 of its processes have the name one in the file'),
])
def test_a_change_of_the_group_as_a_whole_is_no_change_of_its_slots(tmp_path, old, new, text):
    file = File(tmp_path, old)
    config = {config.name: config for config in file.options.process_group_configs}['web']
    file.write(new)

    class Group:
        processes = {}
    Group.config = config
    with pytest.raises(RPCError) as why:
        to_update(Group, file.read())
    assert why.value.text == 'CANT_UPDATE: web: ' + text
