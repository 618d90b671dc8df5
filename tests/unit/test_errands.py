"""What is called for one group, in which order, and what it comes to."""

import threading
import xmlrpc.client

import pytest

from supervisor_restarter.commands import side_by_side
from supervisor_restarter.commands.errands import ADD, REMOVE, Errand
from supervisor_restarter.commands.names import NoSuchName, Target, targets
from supervisor_restarter.commands.options import CANCEL, INFO, RESTART, UPDATE, Asked
from tests.unit.test_standing import info

MOMENT = (None, None)
BUSY = xmlrpc.client.Fault(0x440, 'RESTART_IN_PROGRESS: web: is being restarted already')
NOTHING = xmlrpc.client.Fault(0x441, 'NO_RESTART: web: why')
BAD = xmlrpc.client.Fault(2, 'INCORRECT_PARAMETERS: restartProcessGroup: unknown option')
UNKNOWN = xmlrpc.client.Fault(1, 'UNKNOWN_METHOD')
OURS = ['restarter.getAPIVersion', 'supervisor.getVersion']
FAULT = {'code': 0x430, 'text': 'START_FAILED: why', 'group': 'web', 'name': 'a'}
WARNING = dict(FAULT, code=0, text='something is left')
GOING, ENDED = info(elapsed=2.0), info(state='FINISHED', elapsed=3.0)
KEEP = {'name': 'a', 'action': 'keep', 'changed': []}
ADDED = {'name': 'b', 'action': 'add', 'changed': []}


def asked(action=RESTART, *flags, **call):
    return Asked(action, ['web'], call, frozenset(flags))


def carry_out(errand, history):
    """Run an errand whose calls have to be those of a history: pairs of call and answer."""
    story, answer = errand.story(), None
    for expected, next_answer in history:
        call = (story.throw(answer) if isinstance(answer, Exception) else story.send(answer))
        assert (call and (call.method.split('.')[1], *call.arguments)) == expected
        answer = next_answer
    with pytest.raises(StopIteration):
        story.throw(answer) if isinstance(answer, Exception) else story.send(answer)
    return errand.report


ASK = ('getRestartInfo', 'web')
BEGIN = ('restartProcessGroup', 'web')
CANCELLED = ('cancelRestart', 'web')
DRY = ('updateProcessGroup', 'web', {'dry_run': True})

HISTORIES = {
    'one call, and its warnings': (
        asked(), [(BEGIN, True), (ASK, dict(ENDED, warnings=[WARNING]))],
        ['web: restarted', 'web:a: warning: something is left']),
    'faults, and an older server': (
        asked(), [(BEGIN, [FAULT]), (ASK, UNKNOWN)], ['web:a: ERROR (START_FAILED: why)']),
    'what ended early has its warnings too': (
        asked(), [(BEGIN, xmlrpc.client.Fault(0x420, 'TIMEOUT: web: why')),
                  (ASK, dict(ENDED, warnings=[WARNING]))],
        ['web: ERROR (TIMEOUT: web: why)', 'web:a: warning: something is left']),
    'the warnings of somebody else are not told': (
        asked(), [(BEGIN, True), (ASK, dict(GOING, warnings=[WARNING]))], ['web: restarted']),
    'in progress': (asked(), [(BEGIN, BUSY)], ['web: ERROR (%s)' % BUSY.faultString]),
    'it waits for its turn, and again if another was quicker': (
        asked(RESTART, 'queue'),
        [(BEGIN, BUSY), (ASK, GOING), MOMENT, (ASK, GOING), MOMENT, (ASK, ENDED),
         (BEGIN, BUSY), (ASK, ENDED), (BEGIN, True), (ASK, ENDED)], ['web: restarted']),
    'it cancels what is in its way, which may have ended meanwhile': (
        asked(RESTART, 'supersede'),
        [(BEGIN, BUSY), (CANCELLED, True), (ASK, GOING), MOMENT, (ASK, ENDED),
         (BEGIN, BUSY), (CANCELLED, NOTHING), (ASK, ENDED), (BEGIN, True), (ASK, ENDED)],
        ['web: restarted']),
    'without waiting, in turn': (
        asked(RESTART, 'queue', wait=False),
        [((*BEGIN, {'wait': False}), BUSY), (ASK, ENDED), ((*BEGIN, {'wait': False}), True)],
        ['web: restart begun']),
    'an update counts what was planned': (
        asked(UPDATE), [(DRY, [KEEP, ADDED]), (('updateProcessGroup', 'web'), True), (ASK, ENDED)],
        ['web: updated, 1 added, 1 kept']),
    'nothing to update': (
        asked(UPDATE), [(DRY, [KEEP]), (('updateProcessGroup', 'web'), True), (ASK, ENDED)],
        ['web: nothing to do, 1 kept']),
    'a plan': (asked(UPDATE, dry_run=True), [(DRY, [KEEP, ADDED])],
               ['web:b: add', 'web: 1 to add, 1 to keep']),
    'following': (
        asked(INFO, 'follow'), [(ASK, GOING), MOMENT, (ASK, dict(ENDED, faults=[FAULT]))],
        ['web:a: ERROR (START_FAILED: why)']),
    'following what has ended': (asked(INFO, 'follow'), [(ASK, ENDED)], ['web: restarted']),
    'following nothing': (asked(INFO, 'follow'), [(ASK, info(state='IDLE'))],
                          ['web: ERROR (NO_RESTART: has not been restarted)']),
    'following, and another begins between two looks': (
        asked(INFO, 'follow'), [(ASK, GOING), MOMENT, (ASK, info(elapsed=0.1))],
        ['web: ERROR (FAILED: another restart began before the outcome of this one was asked '
         'for)']),
    'an option that an older server does not know': (
        asked(only_running=True, timeout=3.0),
        [((*BEGIN, {'only_running': True, 'timeout': 3.0}), BAD), (('listMethods',), OURS),
         (('getAPIVersion',), '3.2')],
        ['web: ERROR (supervisord runs an older version of the plugin (API 3.2), which does not '
         'know --only-running: stop and start supervisord)']),
    'a call that an older server does not know': (
        asked(CANCEL),
        [(CANCELLED, UNKNOWN), (('listMethods',), OURS), (('getAPIVersion',), '1.0')],
        ['web: ERROR (supervisord runs an older version of the plugin (API 1.0), which does not '
         'know this call: stop and start supervisord)']),
    'a wrong value is shown as it was typed': (
        asked(max_unavailable='x'),
        [((*BEGIN, {'max_unavailable': 'x'}),
          xmlrpc.client.Fault(2, "INCORRECT_PARAMETERS: restartProcessGroup: max_unavailable = "
                                 "'x': must be a number")),
         (('listMethods',), OURS), (('getAPIVersion',), '3.3')],
        ["web: ERROR (INCORRECT_PARAMETERS: --max-unavailable 'x': must be a number)"]),
}


@pytest.mark.parametrize('what', HISTORIES)
def test_an_errand_makes_these_calls_and_says(what):
    request, history, said = HISTORIES[what]
    report = carry_out(Errand(Target('web'), request), history)
    assert [str(line) for line in report.lines() + report.warning_lines()] == said


def test_some_processes_are_named_in_the_call_and_told_from_an_older_server():
    some = {'processes': ['a', 'b']}
    for api, said in (('3.3', 'INCORRECT_PARAMETERS: unknown option'),
                      ('3.2', 'single processes of a group')):
        report = carry_out(Errand(Target('web', ('a', 'b')), asked()), [
            ((*BEGIN, some), BAD), (('listMethods',), OURS), (('getAPIVersion',), api)])
        assert said in report.faults[0]['text']


ADD_GROUP, STOP = ('addProcessGroup', 'web'), 'stopProcessGroup'
REMOVE_GROUP = ('removeProcessGroup', 'web')
STILL_RUNNING = xmlrpc.client.Fault(91, 'STILL_RUNNING: web')


@pytest.mark.parametrize('action, flags, waiting, history, said', [
    (ADD, [], True, [(ADD_GROUP, True)], 'web: added'),
    (REMOVE, [], True, [(ASK, ENDED), ((STOP, 'web', True), []), (REMOVE_GROUP, True)],
     'web: removed'),
    (REMOVE, [], True, [(ASK, ENDED), ((STOP, 'web', True), [{'status': 30}])],
     'web: ERROR (FAILED: not removed, since some of its processes cannot be stopped)'),
    (REMOVE, [], True, [(ASK, GOING)], 'web: ERROR (%s)' % BUSY.faultString),
    (REMOVE, ['queue'], True, [(ASK, GOING), (ASK, GOING), MOMENT, (ASK, ENDED),
                               ((STOP, 'web', True), []), (REMOVE_GROUP, True)], 'web: removed'),
    # Nothing that shares a connection waits for it.
    (REMOVE, [], False, [(ASK, ENDED), ((STOP, 'web', False), []), (REMOVE_GROUP, STILL_RUNNING),
                         MOMENT, (REMOVE_GROUP, True)], 'web: removed'),
])
def test_a_group_is_added_or_removed(action, flags, waiting, history, said):
    errand = Errand(Target('web'), asked(UPDATE, *flags), waiting, action)
    assert [str(line) for line in carry_out(errand, history).lines()] == [said]


class Supervisord:
    """Answers as supervisord does whose restarts take three looks each."""

    def __init__(self):
        self.looks = {}
        self.connections = 0
        self.calls = []
        self.system = self.restarter = self

    def connect(self):
        self.connections += 1
        return self

    def multicall(self, calls):
        assert len(calls) <= side_by_side.AT_ONCE
        return [getattr(self, call['methodName'].split('.')[1])(*call['params'])
                for call in calls]

    def restartProcessGroup(self, group, options):
        self.calls.append(options)
        if group == 'bad':
            return {'faultCode': 0x400, 'faultString': 'BAD_GROUP: bad: no such group'}
        self.looks[group] = 0
        return True

    def getRestartInfo(self, group):
        self.looks[group] += 1
        return info(state='RESTARTING' if self.looks[group] < 3 else 'FINISHED',
                    elapsed=float(self.looks[group]))


def test_many_groups_share_one_connection_and_none_is_asked_without_a_pause(monkeypatch):
    pauses = []
    monkeypatch.setattr(side_by_side.time, 'sleep', pauses.append)
    server = Supervisord()
    names = ['g%02d' % number for number in range(30)] + ['bad']
    errands = side_by_side.errands([Target(name) for name in names], asked())
    side_by_side.run(errands, server.connect)
    assert server.connections == 1
    assert server.calls == [{'wait': False}] * 31
    assert [str(line) for errand in errands for line in errand.report.lines()] == (
        ['%s: restarted' % name for name in names[:-1]]
        + ['bad: ERROR (BAD_GROUP: bad: no such group)'])
    assert pauses == [side_by_side.PERIOD] * 2


def test_who_waits_for_a_turn_leaves_it_at_ctrl_c(monkeypatch):
    asked_for_the_turn, calls = threading.Event(), []

    class Busy(Supervisord):
        def restartProcessGroup(self, group, options=None):
            calls.append(group)
            raise BUSY

        def getRestartInfo(self, group):
            asked_for_the_turn.set()
            return GOING

    errand = Errand(Target('web'), asked(RESTART, 'queue'))

    class Interrupted(threading.Thread):
        def join(self, timeout=None):
            if timeout is None:
                assert asked_for_the_turn.wait(10)
                raise KeyboardInterrupt
            super().join(timeout)

    threads = []
    monkeypatch.setattr(side_by_side.threading, 'Thread',
                        lambda **about: threads.append(Interrupted(**about)) or threads[-1])
    with pytest.raises(KeyboardInterrupt):
        side_by_side.run([errand], Busy().connect)
    threads[0].join(10)
    assert not threads[0].is_alive()
    assert (calls, errand.queued, errand.ended) == (['web'], True, False)


THERE = [{'group': group, 'name': name} for group, name in (
    ('web', 'web_0'), ('web', 'web_1'), ('api-a', 'api-a'), ('api-b', 'api-b'), ('a[b]', 'x'))]


@pytest.mark.parametrize('names, chosen', [
    ('nope', [('nope',)]),
    ('web:', [('web',)]),
    ('web:*', [('web',)]),
    ('web:nope', [('web', 'nope')]),
    ('all', [('web',), ('api-a',), ('api-b',), ('a[b]',)]),
    ('api-* web', [('api-a',), ('api-b',), ('web',)]),
    ('web:web_1 api-a web:web_0 web:web_1', [('web', 'web_1', 'web_0'), ('api-a',)]),
    ('web:web_[0-5] api-*:*', [('web', 'web_0', 'web_1'), ('api-a',), ('api-b',)]),
    ('web:web_0 web', [('web',)]),
    ('a[b]', [('a[b]',)]),
    ('web empty', [('web',), ('empty',)]),
    ('empty all', [('empty',), ('web',), ('api-a',), ('api-b',), ('a[b]',)]),
    ('web nope', 'nope: no such group; nothing is done'),
    ('web web:nope', 'web:nope: no such process; nothing is done'),
    ('nope-*', 'nope-*: no such group'),
])
def test_names_mean_groups_or_some_of_their_processes(names, chosen):
    if isinstance(chosen, str):
        with pytest.raises(NoSuchName, match='^' + chosen.replace('*', r'\*') + '$'):
            targets(names.split(), lambda: THERE, 'empty'.__eq__)
    else:
        assert targets(names.split(), lambda: THERE, 'empty'.__eq__) == [
            Target(group, tuple(processes)) for group, *processes in chosen]


def test_all_may_be_nothing():
    assert targets(['all'], list) == []
    assert targets(['empty', 'all'], list, 'empty'.__eq__) == [Target('empty')]


