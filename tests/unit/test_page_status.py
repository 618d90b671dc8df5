"""What the page is told of groups, processes and restarts; and that it is told little."""

import json
from types import SimpleNamespace

import pytest
from supervisor.states import ProcessStates

from supervisor_restarter.options import Configured
from supervisor_restarter.page_status import FAULTS, GROUPS, OF_ALL, OF_ONE, Status
from supervisor_restarter.restart.faults import Faults, RPCError
from supervisor_restarter.restart.restarts import Left
from supervisor_restarter.restart.settings import Limit, Settings

NOW = 1000


def process(state='RUNNING', **attributes):
    config = SimpleNamespace(stdout_logfile='out', stderr_logfile=None, redirect_stderr=False)
    made = SimpleNamespace(state=getattr(ProcessStates, state), pid=7 * (state == 'RUNNING'),
                           laststart=900, laststop=950, spawnerr=None, backoff=0, exitstatus=3,
                           config=config)
    vars(made).update(attributes)
    made.get_state = lambda: made.state
    return made


def fault(name='', text='STOPPED_EARLY: 1 failed'):
    return {'code': 1, 'text': text, 'group': 'web', 'name': name}


def slot(name, phase='restarted', changes=(('waiting', 0.0), ('restarted', 0.5))):
    return {'name': name, 'phase': phase, 'changes': list(map(list, changes))}


def info(state, slots=(), faults=(), **numbers):
    told = dict.fromkeys(('total', 'waiting', 'stopping', 'starting', 'restarted', 'failed',
                          'removed', 'surging', 'began', 'elapsed'), 0)
    return dict(told, state=state, slots=list(slots), faults=list(faults), awaiting=[], warnings=[],
                **numbers)


def nothing_left(name):
    raise RPCError(Faults.NO_RESTART, name)


def status(groups, restarts=None, left=nothing_left):
    """A status of `groups`, by name their processes, and of `restarts`, by name an info."""
    restarts = restarts or {}
    return Status(
        SimpleNamespace(process_groups={name: SimpleNamespace(processes=processes)
                                        for name, processes in groups.items()}),
        SimpleNamespace(
            groups=lambda: [name for name, told in restarts.items() if told['state'] != 'FINISHED'],
            info=lambda name, slots: restarts.get(name, info('IDLE')), left=left),
        Configured(Settings(), {}), SimpleNamespace(time=lambda: NOW))


def test_those_that_fail_come_first_then_those_that_restart():
    groups = {name: {'p': process(state, **more)} for name, state, more in (
        ('a', 'RUNNING', {}), ('b', 'STARTING', {}), ('c', 'EXITED', {}), ('d', 'RUNNING', {}),
        ('e', 'RUNNING', {}), ('f', 'FATAL', {}), ('g', 'STARTING', {'backoff': 2}),
        ('h', 'BACKOFF', {}), ('i', 'UNKNOWN', {}))}
    told = status(groups, {'d': info('RESTARTING'), 'e': info('FINISHED', faults=[fault()])}).tell()
    assert [(group['name'], group['rank']) for group in told['groups']] == [
        ('f', 0), ('g', 0), ('h', 0), ('i', 0), ('e', 1), ('d', 2), ('a', 3), ('b', 3), ('c', 3)]
    assert (told['all'], told['failed'], told['restarting'], told['now']) == (9, 1, 1, NOW)
    assert told['states'] == {'RUNNING': 3, 'STARTING': 2, 'EXITED': 1, 'FATAL': 1, 'BACKOFF': 1,
                              'UNKNOWN': 1}


@pytest.mark.parametrize('text, found', [
    ('', {'web': None, 'db': None}), ('WE', {'web': None}), ('b_1', {'web': 1, 'db': 1}),
    ('fatal', {'db': 1}), ('fat', {}), ('nope', {})])
def test_the_filter_finds_groups_processes_and_states(text, found):
    told = status({'web': {'web_0': process(), 'web_1': process()},
                   'db': {'db_0': process('FATAL'), 'db_1': process()}}).tell(['db'], text)
    assert {group['name']: group.get('found') for group in told['groups']} == found
    rows = [row.name for group in told['groups'] for row in group.get('rows', [])]
    assert rows == {'b_1': ['db_1'], 'fatal': ['db_0'], '': ['db_0', 'db_1']}.get(text, [])
    assert (told['all'], sum(told['states'].values())) == (2, 4)


@pytest.mark.parametrize('made, row', [
    (process(), ('RUNNING', 7, 900, 1, '')),
    (process('STOPPED'), ('STOPPED', 0, 950, 1, '')),
    (process('STOPPED', laststart=0, laststop=0), ('STOPPED', 0, 0, 1, '')),
    (process('EXITED'), ('EXITED', 0, 950, 1, 'exit status 3')),
    (process('FATAL', spawnerr='x' * 1000), ('FATAL', 0, 950, 1, 'x' * 397 + '...')),
    (process('STARTING', backoff=1), ('STARTING', 0, 950, 1, 'attempt 2')),
    (process('STARTING', spawnerr='of before'), ('STARTING', 0, 950, 1, '')),
    (process(config=SimpleNamespace(stdout_logfile='o', stderr_logfile='e', redirect_stderr=False)),
     ('RUNNING', 7, 900, 3, '')),
    (process(config=SimpleNamespace(stdout_logfile='', stderr_logfile='e', redirect_stderr=True)),
     ('RUNNING', 7, 900, 0, ''))])
def test_of_a_process_it_tells_state_pid_since_when_its_logs_and_why(made, row):
    (group,) = status({'web': {'p': made}}).tell(['web'])['groups']
    assert group['rows'][0][1:6] == row


def test_the_second_process_of_a_slot_is_told_with_it_and_one_that_is_only_named_so_is_not():
    processes = {name: process(pid=pid) for pid, name in enumerate(
        ('a', 'a.new', 'b', 'b.old', 'c.new', 'd', 'd.new'), start=1)}
    slots = [slot(name) for name in ('a', 'b', 'c.new', 'd', 'd.new')]
    told = status({'web': processes}, {'web': info('RESTARTING', slots, surging=2)})
    (group,) = told.tell(['web'])['groups']
    assert {row.name: (row.pid, row.second) for row in group['rows']} == {
        'a': (1, 2), 'b': (3, 4), 'c.new': (5, 0), 'd': (6, 0), 'd.new': (7, 0)}
    assert group['total'] == 5
    told = status({'web': processes}, {'web': info('FINISHED', slots)})
    assert len(told.tell(['web'])['groups'][0]['rows']) == 7


def test_a_slot_is_told_with_its_changes_also_when_its_process_is_gone_and_what_it_awaits():
    slots = [slot('a'), slot('b', 'starting', []), slot('c', 'removed', [('removed', 0.1)])]
    running = dict(info('RESTARTING', slots), awaiting=[
        {'name': 'b', 'awaited': 'http://127.0.0.1:1', 'seen': 'refused'}])
    (group,) = status({'web': {'a': process(), 'b': process()}}, {'web': running}).tell(
        ['web'])['groups']
    assert [(row.name, row.state, row.note, row.slot) for row in group['rows']] == [
        ('a', 'RUNNING', '', ('restarted', [['waiting', 0.0], ['restarted', 0.5]])),
        ('b', 'RUNNING', 'waits for http://127.0.0.1:1: refused', ('starting', [])),
        ('c', 'gone', '', ('removed', [['removed', 0.1]]))]


def test_faults_and_warnings_are_told_that_of_the_group_first():
    last = info('FINISHED', [slot('a'), slot('b', 'failed')],
                [fault('b', 'START_FAILED: no'), fault()])
    (group,) = status({'web': {'a': process(), 'b': process()}}, {'web': dict(last, warnings=[
        fault('a', 'LEFT_BEHIND: pid 9')])}).tell(['web'])['groups']
    assert group['faults'] == ['STOPPED_EARLY: 1 failed', 'b: START_FAILED: no']
    assert [row.name for row in group['rows']] == ['b', 'a']
    assert group['warnings'] == ['a: LEFT_BEHIND: pid 9']
    assert (group['restart']['faults'], group['restart']['warnings']) == (2, 1)


@pytest.mark.parametrize('last, reread, told', [
    ({'restarted': 1}, False, {'left': 3, 'left_way': 'rolling, at most 2 down'}),
    ({'restarted': 1}, True, {'left': 0}),  # an update keeps them
    ({'waiting': 1}, True, {'left': 3, 'left_way': 'rolling, at most 2 down'})])
def test_how_many_can_be_resumed_is_told_with_the_way_that_they_go(last, reread, told):
    left = Left(('a', 'b', 'c'), Settings(max_unavailable=Limit(50, True)), reread)
    (group,) = status({'web': {}}, {'web': dict(info('FINISHED'), **last)},
                      lambda name: left).tell()['groups']
    assert {key: group['restart'][key] for key in told} == told
    (group,) = status({'web': {}}, {'web': info('FINISHED')}).tell()['groups']
    assert group['restart']['left'] == 0


@pytest.mark.parametrize('groups, size', [(1, 2000), (20, 100), (2000, 1)])
def test_an_answer_is_bounded_however_many_there_are_and_trouble_is_in_it(groups, size):
    names = ['p%04d' % number for number in range(size)]
    made = {'g%04d' % number: {name: process() for name in names} for number in range(groups)}
    last = info('FINISHED', [slot(name, 'failed') for name in names],
                [fault(name, 'x' * 10000) for name in names])
    made['g%04d' % (groups - 1)][names[-1]].state = ProcessStates.FATAL
    told = status(made, dict.fromkeys(list(made)[:20], last)).tell(made)
    assert len(told['groups']) == min(groups, GROUPS) and told['left_out'] == max(
        0, groups - GROUPS)
    rows = [row for group in told['groups'] for row in group['rows']]
    assert len(rows) <= OF_ALL and max(len(group['rows']) for group in told['groups']) <= OF_ONE
    assert any(row.state == 'FATAL' for row in rows)
    assert all(len(group['faults']) <= FAULTS + 1 for group in told['groups'])
    assert len(json.dumps(told)) < 250000
