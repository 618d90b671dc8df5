"""The namespace object, with the dummies of Supervisor's own tests."""

import types

import pytest
from supervisor import events, xmlrpc
from supervisor.http import NOT_DONE_YET
from supervisor.states import ProcessStates, SupervisorStates
from supervisor.tests.base import DummyOptions, DummyPConfig, PopulatedDummySupervisor

import supervisor_restarter
import supervisor_restarter.rpcinterface
from supervisor_restarter.restart.faults import Faults

SIGNATURES = {
    'getAPIVersion': ['string'], 'getPluginVersion': ['string'],
    'restartProcessGroup': ['boolean', 'string', 'struct'],
    'updateProcessGroup': ['boolean', 'string', 'struct'],
    'getRestartInfo': ['struct', 'string', 'boolean'], 'cancelRestart': ['boolean', 'string']}


@pytest.fixture
def supervisord():
    options = DummyOptions()
    made = PopulatedDummySupervisor(
        options, 'web', DummyPConfig(options, 'a', '/bin/a', priority=1),
        DummyPConfig(options, 'b', '/bin/b', priority=2))
    yield made
    made.options.mood = SupervisorStates.SHUTDOWN
    events.notify(events.SupervisorStoppingEvent())
    events.clear()


@pytest.fixture
def interface(supervisord):
    return supervisor_restarter.make_rpcinterface(supervisord)


def poll(callback):
    for _ in range(100):
        answer = callback()
        if answer is not NOT_DONE_YET:
            return answer
    raise AssertionError('not done yet')


def refused(call, *arguments):
    """The code and the text of the fault that a call raises."""
    with pytest.raises(xmlrpc.RPCError) as why:
        call(*arguments)
    return why.value.code, why.value.text


def named(interface, method, *arguments):
    """Call a method by its name, as supervisord does."""
    return xmlrpc.traverse(types.SimpleNamespace(restarter=interface), 'restarter.' + method,
                           arguments)


def test_both_dotted_paths_make_the_interface(supervisord):
    for factory in (supervisor_restarter.make_rpcinterface,
                    supervisor_restarter.rpcinterface.make_rpcinterface):
        assert factory(supervisord).getAPIVersion() == '3.3'


@pytest.mark.parametrize('name', ['web', 'web:*', 'web:'])
def test_polling_the_callback_by_hand_reaches_the_outcome(supervisord, interface, name):
    callback = interface.restartProcessGroup(name)
    assert isinstance(callback, types.FunctionType)
    assert callback.delay == 0.2
    assert poll(callback) is True
    for process in supervisord.process_groups['web'].processes.values():
        assert process.stop_called and process.spawned


def test_the_callback_has_the_delay_of_the_configuration_or_of_the_call(supervisord):
    interface = supervisor_restarter.make_rpcinterface(supervisord, delay='0.7')
    callback = interface.restartProcessGroup('web')
    assert callback.delay == 0.7
    poll(callback)
    assert interface.restartProcessGroup('web', {'delay': 0.3}).delay == 0.3


def test_only_the_documented_methods_can_be_called_and_their_docstring_is_their_signature(
        interface):
    public = {name for name in dir(interface)
              if not name.startswith('_') and callable(getattr(interface, name))}
    assert public == set(SIGNATURES)
    for name in set(dir(interface)) - public:
        assert refused(named, interface, name)[0] == xmlrpc.Faults.UNKNOWN_METHOD
    system = xmlrpc.SystemNamespaceRPCInterface([('restarter', interface)])
    for name, signature in SIGNATURES.items():
        assert system.methodSignature('restarter.' + name) == signature
        assert '@return' in system.methodHelp('restarter.' + name)


@pytest.mark.parametrize('method, arguments, text', [
    ('restartProcessGroup', (), "restartProcessGroup: missing a required argument: 'name'"),
    ('restartProcessGroup', ('web', {}, 1), 'restartProcessGroup: too many positional arguments'),
    ('restartProcessGroup', (1,), 'name must be a string, the name of a process group, not int'),
    ('restartProcessGroup', ('web', 1), 'restartProcessGroup: options must be a struct, not int'),
    ('restartProcessGroup', ('web', {'x': 1}), 'restartProcessGroup: unknown option x; the options '
     'are delay, max_surge, max_unavailable, min_ready_seconds, only_running, processes, reread, '
     'resume, stagger_factor, timeout, wait'),
    ('restartProcessGroup', ('web', {'': 1}), "restartProcessGroup: unknown option ''; the options "
     'are delay, max_surge, max_unavailable, min_ready_seconds, only_running, processes, reread, '
     'resume, stagger_factor, timeout, wait'),
    ('updateProcessGroup', ('web', {'x': 1}), 'updateProcessGroup: unknown option x; the options '
     'are delay, dry_run, max_surge, max_unavailable, min_ready_seconds, only_running, processes, '
     'stagger_factor, timeout, wait'),
    ('getRestartInfo', (), "getRestartInfo: missing a required argument: 'name'"),
    ('getRestartInfo', ('web', 1), 'getRestartInfo: slots must be a boolean, not int'),
    ('getRestartInfo', ([],), 'name must be a string, the name of a process group, not array'),
    ('cancelRestart', ({},), 'name must be a string, the name of a process group, not struct'),
    ('getAPIVersion', (1,), 'getAPIVersion: too many positional arguments'),
])
def test_a_wrong_argument_is_named(interface, method, arguments, text):
    assert refused(named, interface, method, *arguments) == (2, 'INCORRECT_PARAMETERS: ' + text)


@pytest.mark.parametrize('method', ['restartProcessGroup', 'getRestartInfo', 'cancelRestart'])
@pytest.mark.parametrize('name, text', [
    ('nope', 'BAD_GROUP: nope: no such group'),
    ('', "BAD_GROUP: '': no such group"),
    ('web:a', 'BAD_GROUP: web:a: names a process; this takes a group, such as web'),
    ('\x01', "BAD_GROUP: '\\x01': no such group"),
    ('x' * 10000, 'BAD_GROUP: %s...: no such group' % ('x' * 97)),
])
def test_a_name_that_is_no_group_is_named(interface, method, name, text):
    assert refused(getattr(interface, method), name) == (Faults.BAD_GROUP, text)


def test_a_group_is_restarted_once_at_a_time_whichever_server_the_call_came_through(supervisord):
    unix, inet = (supervisor_restarter.make_rpcinterface(supervisord) for _ in range(2))
    for name in 'ab':
        supervisord.set_procattr(name, 'stop', lambda: None)
    unix.restartProcessGroup('web', {'wait': False})
    for interface in (unix, inet):
        assert refused(interface.restartProcessGroup, 'web') == (
            Faults.RESTART_IN_PROGRESS, 'RESTART_IN_PROGRESS: web: is being restarted already')
        assert interface.getRestartInfo('web')['state'] == 'RESTARTING'
    assert inet.cancelRestart('web') is True
    assert unix.getRestartInfo('web')['state'] == 'SETTLING'


def test_info_of_a_group_that_was_never_restarted_is_idle(interface):
    assert interface.getRestartInfo('web') == {
        'group': 'web', 'state': 'IDLE', 'total': 0, 'waiting': 0, 'stopping': 0, 'starting': 0,
        'restarted': 0, 'failed': 0, 'removed': 0, 'began': 0, 'elapsed': 0.0, 'surging': 0,
        'awaiting': [], 'faults': [], 'warnings': []}


def test_the_last_restart_is_remembered_and_there_is_nothing_to_cancel(interface):
    poll(interface.restartProcessGroup('web'))
    info = interface.getRestartInfo('web')
    assert (info['state'], info['restarted'], info['total']) == ('FINISHED', 2, 2)
    assert refused(interface.cancelRestart, 'web') == (
        Faults.NO_RESTART, 'NO_RESTART: web: is not being restarted')


def test_a_raised_fault_and_a_listed_one_are_in_ascii(supervisord, interface):
    # supervisord cuts a deferred answer that is not (supervisor/xmlrpc.py: getresponse).
    group = supervisord.process_groups['wéb'] = supervisord.process_groups.pop('web')
    group.config.name = 'wéb'
    for name in 'ab':
        supervisord.set_procattr(name, 'state', ProcessStates.UNKNOWN, 'wéb')
    assert [entry['group'] for entry in poll(interface.restartProcessGroup('wéb'))] == [
        'w\\xe9b', 'w\\xe9b']
    supervisord.set_procattr('a', 'state', ProcessStates.STARTING, 'wéb')
    callback = interface.restartProcessGroup('wéb')
    supervisord.options.mood = SupervisorStates.SHUTDOWN
    assert refused(poll, callback)[1] == 'SHUTDOWN_STATE: w\\xe9b: supervisord is stopping'


@pytest.mark.parametrize('method', sorted(SIGNATURES))
def test_while_supervisord_stops_every_method_says_so(supervisord, interface, method):
    supervisord.options.mood = SupervisorStates.SHUTDOWN
    arguments = ['web'] * (len(SIGNATURES[method]) > 1)
    assert refused(getattr(interface, method), *arguments)[0] == xmlrpc.Faults.SHUTDOWN_STATE


def test_a_configuration_that_cannot_be_is_in_the_log_and_supervisord_does_not_start(supervisord):
    said = []
    supervisord.options.usage = said.append
    for _ in ('unix_http_server', 'inet_http_server'):
        assert supervisor_restarter.make_rpcinterface(supervisord, timeout='soon') is None
    supervisord.options.setsignals()
    assert said == supervisord.options.logger.data == [
        "restarter: timeout = 'soon': must be a number of seconds greater than 0"]


@pytest.mark.parametrize('bug', [ValueError('oops'), TypeError('oops')])
def test_a_bug_at_the_begin_is_a_fault_and_leaves_nothing(supervisord, interface, monkeypatch, bug):
    def begin(*arguments):
        raise bug
    monkeypatch.setattr(interface._restarts, 'begin', begin)
    assert refused(interface.restartProcessGroup, 'web') == (
        Faults.FAILED, 'FAILED: web: not begun: %s: oops' % type(bug).__name__)
    assert supervisord.options.get_socket_map() == {}
    assert 'Traceback' in supervisord.options.logger.data[-1]
