"""What Supervisor's own stop and start are told of a restart that the plugin has carried out."""

import xmlrpc.client

import pytest

from supervisor_restarter.commands.done import Done
from supervisor_restarter.commands.reports import Report

RUNNING, STOPPED, EXITED = 20, 0, 100


def info(name, pid, state=RUNNING, start=1):
    return {'group': 'web', 'name': name, 'pid': pid, 'state': state, 'start': start}


class After:
    def __init__(self, *infos):
        self.infos = infos

    def getAllProcessInfo(self):
        return list(self.infos)

    def getVersion(self):
        return '3.0'


def fault(name, code=0x430, text='START_FAILED: why'):
    return {'code': code, 'text': text, 'group': 'web', 'name': name}


def answers(done):
    """What all of Supervisor's own calls answer, for the group and for a process of it."""
    def one(call, name):
        try:
            return 80 if call(name) is True else None
        except xmlrpc.client.Fault as why:
            return why.faultCode

    def some(results):
        return {result['name']: result['status'] for result in results}
    return some(done.stopProcessGroup('web')), some(done.startProcessGroup('web')), (
        one(done.stopProcess, 'web:a'), one(done.startProcess, 'web:a'))


NOT_RUNNING, FAILED, ALREADY, SPAWN, ABNORMAL, NO_FILE, DONE = 70, 30, 60, 50, 40, 20, 80
EARLY = fault('', 0x450, 'STOPPED_EARLY: why')

CASES = {
    'restarted': ([info('a', 1)], [info('a', 2)], {}, [], ({'a': DONE}, {'a': DONE}),
                  (NOT_RUNNING, ALREADY)),
    'left as it was': ([info('a', 1), info('b', 2)], [info('a', 1), info('b', 3)], {}, [EARLY],
                       ({'b': DONE}, {'b': DONE}), (FAILED, ALREADY)),
    'was down': ([info('a', 0, STOPPED)], [info('a', 2, start=9)], {'web:a': 'restarted'}, [],
                 ({}, {'a': DONE}), (NOT_RUNNING, ALREADY)),
    'was down, and has ended at once': (
        [info('a', 0, EXITED)], [info('a', 0, EXITED)], {'web:a': 'restarted'}, [],
        ({}, {'a': DONE}), (NOT_RUNNING, ALREADY)),
    'stays down': ([info('a', 0, STOPPED), info('b', 1)],
                   [info('a', 0, STOPPED), info('b', 2)], {'web:b': 'restarted'}, [],
                   ({'b': DONE}, {'b': DONE}), (NOT_RUNNING, DONE)),
    'was down, and nothing was done': (
        [info('a', 0, STOPPED)], [info('a', 0, STOPPED)], {'web:a': 'restarted'}, [EARLY],
        ({}, {}), (NOT_RUNNING, DONE)),
    'does not come up': ([info('a', 1)], [info('a', 0, EXITED)], {}, [fault('a')],
                         ({'a': DONE}, {'a': SPAWN}), (NOT_RUNNING, SPAWN)),
    'is not ready': ([info('a', 1)], [info('a', 2)], {}, [fault('a', 0x460, 'NOT_READY: why')],
                     ({'a': DONE}, {'a': ABNORMAL}), (NOT_RUNNING, ABNORMAL)),
    'cannot be found': ([info('a', 1)], [info('a', 0)], {},
                        [fault('a', 50, "SPAWN_ERROR: can't find command '/x'")],
                        ({'a': DONE}, {'a': NO_FILE}), (NOT_RUNNING, NO_FILE)),
}


@pytest.mark.parametrize('case', CASES)
def test_each_process_is_told_as_supervisors_own_calls_tell_it(case):
    before, after, phases, faults, of_group, of_one = CASES[case]
    done = Done(After(*after), before, phases, [Report('web', faults=faults)])
    assert answers(done) == (*of_group, of_one)
    assert done.getVersion() == '3.0'
    assert done.to_start(['web:a', 'web:*']) == (
        ['web:*'] if case in ('stays down', 'was down, and nothing was done')
        else ['web:a', 'web:*'])


def test_what_supervisord_refuses_is_known_before_the_others_are_up():
    before = [info('a', 1), info('b', 1)]
    faults = [fault('a'), fault('b', 50, "SPAWN_ERROR: command at '/x' is not executable")]
    done = Done(After(), before, {}, [Report('web', faults=faults)])
    assert [result['name'] for result in done.startAllProcesses()] == ['b', 'a']


@pytest.mark.parametrize('call', ['stopProcess', 'startProcess'])
@pytest.mark.parametrize('name', ['nope', 'web:nope', 'nope:a'])
def test_there_is_no_process_of_another_name(call, name):
    done = Done(After(), [info('a', 1)], {}, [])
    with pytest.raises(xmlrpc.client.Fault) as wrong:
        getattr(done, call)(name)
    assert wrong.value.faultCode == 10
