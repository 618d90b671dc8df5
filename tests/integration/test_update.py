"""A changed configuration, applied to a running group, in a real supervisord."""

import os
import xmlrpc.client
from pathlib import Path

import pytest

from tests.support.daemon import MANNERS, Daemon, group, running, wait_until
from tests.support.faults import Call, all_new, info, wait_phase
from tests.support.rolling_example import RollingExample
from tests.support.stress import pairs, stress
from tests.unit.test_reading import BROKEN

NOTHING_TO_DO = 'No config updates to processes'
TERMS = "/bin/sh -c 'trap \"sleep 0.3; exit 0\" TERM; while :; do sleep 0.02; done'"
# The two that come last stop as soon as they may: `Daemon.let_go`.
HALF_HELD_BACK = TERMS.replace('sleep 0.3', 'case $SUPERVISOR_PROCESS_NAME in '
                               'web_00[01]) until [ -e go ]; do sleep 0.05; done;; esac')


def update(daemon, options=None, method='updateProcessGroup', name='web'):
    with daemon.connection() as rpc:
        return getattr(rpc.restarter, method)(name, options or {})


def plan(daemon):
    return {slot['name']: (slot['action'], *slot['changed'])
            for slot in update(daemon, {'dry_run': True})}


def refused(daemon, **how):
    with pytest.raises(xmlrpc.client.Fault) as fault:
        update(daemon, **how)
    return fault.value.faultCode, fault.value.faultString


def kept(daemon):
    """What stays as it is for a process that is kept."""
    return {name: {key: told[key] for key in ('pid', 'start', 'stdout_logfile', 'stderr_logfile')}
            for name, told in daemon.processes('web').items()}


def assert_is_what_the_file_says(daemon):
    """Neither reread nor update finds anything to do, nor does a second call."""
    assert daemon.supervisorctl('reread').stdout.strip() == NOTHING_TO_DO
    before = daemon.pids('web')
    assert {slot[0] for slot in plan(daemon).values()} <= {'keep'}
    assert update(daemon) is True
    assert daemon.supervisorctl('update').stdout == '' and daemon.pids('web') == before


def some(numprocs, command=MANNERS['at once'], **settings):
    return group('web', numprocs, command, **dict(
        {'stdout_logfile': 'AUTO', 'stderr_logfile': 'AUTO'}, **settings))


def test_more_and_fewer_processes_leave_the_others_as_they_are():
    with running(some(3)) as (daemon, _):
        first = kept(daemon)
        assert all(os.path.exists(told['stdout_logfile']) for told in first.values())
        for numprocs in (5, 2, 4):
            daemon.write_configuration(some(numprocs))
            assert update(daemon) is True
            assert len(daemon.wait_running('web')) == numprocs
            now = kept(daemon)
            assert {name: now[name] for name in list(first)[:2]} == {
                name: first[name] for name in list(first)[:2]}
            assert_is_what_the_file_says(daemon)
        counts = info(daemon)
        assert counts['total'] == 0 and counts['state'] == 'FINISHED'


@pytest.mark.parametrize('options', [{'max_unavailable': 1}, {'max_surge': 1}])
def test_with_other_names_all_are_new_and_the_old_ones_gone(options):
    with running(some(3)) as (daemon, before):
        daemon.write_configuration(some(3, process_name='w%(process_num)d'))
        assert update(daemon, dict(options, timeout=20)) is True
        after = daemon.wait_running('web')
        assert list(after) == ['w0', 'w1', 'w2'] and not set(before.values()) & set(after.values())
        assert_is_what_the_file_says(daemon)


def seen(pid, name):
    return Path('/proc/%d/%s' % (pid, name)).read_bytes()


# What changes in the file, and how it can be seen of a new process.
CHANGES = {
    'command': ('/bin/sleep 99999', lambda pid: seen(pid, 'cmdline') == b'/bin/sleep\x0099999\0'),
    'environment': ('KEY="secret"', lambda pid: b'KEY=secret' in seen(pid, 'environ').split(b'\0')),
    'directory': ('/usr', lambda pid: os.readlink('/proc/%d/cwd' % pid) == '/usr'),
    'umask': ('077', lambda pid: b'Umask:\t0077' in seen(pid, 'status')),
    'redirect_stderr': ('true', lambda pid: os.readlink('/proc/%d/fd/1' % pid)
                        == os.readlink('/proc/%d/fd/2' % pid)),
    'serverurl': ('http://127.0.0.1:1', lambda pid: b'SUPERVISOR_SERVER_URL=http://127.0.0.1:1'
                  in seen(pid, 'environ').split(b'\0')),
}


@pytest.mark.parametrize('options', [{}, {'max_surge': 1}])
def test_each_kind_of_change_is_taken_over(options):
    with running(some(2)) as (daemon, before):
        for option, (value, is_seen) in CHANGES.items():
            daemon.write_configuration(some(2, **{option: value}))
            assert all('replace' in slot and option in slot for slot in plan(daemon).values())
            assert update(daemon, dict(options, timeout=20)) is True, option
            after = daemon.wait_running('web')
            assert all_new(before, after), option
            assert all(is_seen(pid) for pid in after.values()), option
            before = after
        assert_is_what_the_file_says(daemon)
        assert 'secret' not in daemon.log()


def test_a_new_process_goes_on_with_the_automatic_log_file_of_its_slot():
    command = "/bin/sh -c 'echo %s; exec sleep 100000'"
    with running(some(1, command % 'old')) as (daemon, _):
        log = Path(daemon.processes('web')['web_000']['stdout_logfile'])
        wait_until(lambda: log.read_text() == 'old\n')
        files = set(os.listdir(str(daemon.folder)))
        for options, written in ({}, 'old\nnew\n'), ({'max_surge': 1}, 'old\nnew\nnewer\n'):
            daemon.write_configuration(some(1, command % written.split()[-1]))
            assert update(daemon, options) is True
            assert daemon.processes('web')['web_000']['stdout_logfile'] == str(log)
            wait_until(lambda: log.read_text() == written, 'it has written %r' % written)  # noqa: B023
        assert set(os.listdir(str(daemon.folder))) == files


def test_what_does_not_start_by_itself_is_there_and_what_was_stopped_stays_so():
    with running(some(2)) as (daemon, _):
        daemon.supervisorctl('stop', 'web:web_001')
        daemon.write_configuration(some(3, autostart='false'))
        assert update(daemon) is True
        assert daemon.states('web') == {'web_000': 'RUNNING', 'web_001': 'STOPPED',
                                        'web_002': 'STOPPED'}
        assert_is_what_the_file_says(daemon)
        daemon.write_configuration(some(3, autostart='true'))
        assert update(daemon) is True
        assert set(daemon.states('web').values()) == {'RUNNING'}


def test_a_restart_takes_the_file_over_and_replaces_what_has_not_changed_too():
    with running(some(2)) as (daemon, before):
        logs = {name: told['stdout_logfile'] for name, told in daemon.processes('web').items()}
        daemon.write_configuration(some(3))
        assert update(daemon, {'reread': True}, 'restartProcessGroup') is True
        after = daemon.wait_running('web')
        assert len(after) == 3 and not set(before.values()) & set(after.values())
        now = daemon.processes('web')
        assert {name: now[name]['stdout_logfile'] for name in logs} == logs
        assert_is_what_the_file_says(daemon)


def test_a_dry_run_tells_what_would_be_done_and_does_nothing():
    with Daemon(some(3) + some(1).replace('web', 'other')) as daemon:
        before, other = daemon.wait_running('web'), daemon.pids('other')
        daemon.write_configuration(some(2, environment='KEY="secret"'))
        assert plan(daemon) == {'web_000': ('replace', 'environment'),
                                'web_001': ('replace', 'environment'), 'web_002': ('remove',)}
        assert daemon.pids('web') == before and info(daemon)['state'] == 'IDLE'
        assert update(daemon) is True
        assert daemon.pids('other') == other  # though it is not in the file any more


FCGI = '[fcgi-program:web]\ncommand = /bin/sleep %d\nsocket = unix://%s\nstartsecs = 0\n'
EARS = ('[eventlistener:web]\ncommand = /bin/sleep %d\nevents = %s\nstartsecs = 0\n'
        'buffer_size = %d\n')


@pytest.mark.parametrize('old, new, whole, options', pairs([
    (FCGI % (100, '/tmp/restarter-{0}.sock'), FCGI % (200, '/tmp/restarter-{0}.sock'),
     FCGI % (200, '/tmp/restarter-{0}-2.sock')),
    (EARS % (100, 'TICK_5', 10), EARS % (200, 'TICK_5', 10), EARS % (200, 'TICK_60', 10)),
    (EARS % (100, 'TICK_5', 10), EARS % (200, 'TICK_5', 10), FCGI % (200, '/tmp/r-{0}.sock')),
], [{}, {'max_surge': 1}]))
def test_groups_of_other_kinds_are_updated_too_but_not_as_a_whole(old, new, whole, options):
    old, new, whole = (text.format(os.getpid()) for text in (old, new, whole))
    with running(old) as (daemon, before):
        daemon.write_configuration(new)
        assert update(daemon, options) is True
        after = daemon.wait_running('web')
        assert all_new(before, after)
        assert_is_what_the_file_says(daemon)
        daemon.write_configuration(whole)
        code, text = refused(daemon)
        assert code == 0x470 and text.endswith(
            ', which concerns the group as a whole: use supervisorctl update web')
        assert daemon.pids('web') == after


def test_a_group_that_is_not_active_or_not_in_the_file_is_one_sentence():
    with running(some(1)) as (daemon, before):
        daemon.write_configuration(some(1).replace('web', 'new'))
        assert refused(daemon) == (
            0x400, 'BAD_GROUP: web: is not in the file any more: use supervisorctl update web')
        assert refused(daemon, name='new') == (
            0x400, 'BAD_GROUP: new: is in the file, but not active: use supervisorctl update new')
        assert refused(daemon, name='nope') == (0x400, 'BAD_GROUP: nope: no such group')
        assert daemon.pids('web') == before


def test_a_program_that_does_not_exist_stops_nothing():
    with running(some(2)) as (daemon, before):
        daemon.write_configuration(some(3, '/no/such/program'))
        assert refused(daemon) == (
            50, "SPAWN_ERROR: web:web_000: can't find command '/no/such/program'")
        assert daemon.pids('web') == before


def test_a_broken_file_is_one_sentence_and_touches_nothing(tmp_path):
    (tmp_path / 'supervisor_restarter_ends.py').write_text('import sys\nsys.exit(3)\n')
    with running(some(2), env=dict(os.environ, PYTHONPATH=str(tmp_path))) as (daemon, before):
        for kind in ('no key', 'no such user', 'a module that ends'):
            text, sentence = BROKEN[kind]
            daemon.write_configuration(text)
            for how in ({}, {'options': {'dry_run': True}},
                        {'options': {'reread': True}, 'method': 'restartProcessGroup'}):
                code, said = refused(daemon, **how)
                assert code == 92, kind
                assert said.startswith('CANT_REREAD: web: ' + sentence) and '\n' not in said, kind
        assert daemon.pids('web') == before
        daemon.write_configuration(some(2))
        assert_is_what_the_file_says(daemon)


def test_a_configuration_that_does_not_start_is_a_fault_and_the_next_call_tries_again():
    with running(some(3, startretries=0)) as (daemon, before):
        broken = "/bin/sh -c 'exec sleep $(cat %s/seconds)'" % daemon.folder
        daemon.write_configuration(some(3, broken, startsecs=1, startretries=0))
        faults = update(daemon, {'max_unavailable': 1})
        assert [(fault['name'], fault['code']) for fault in faults] == [
            ('web_002', 0x430), ('', 0x450)]
        assert plan(daemon) == {'web_000': ('replace', 'command', 'startsecs'),
                                'web_001': ('replace', 'command', 'startsecs'),
                                'web_002': ('replace',)}
        (daemon.folder / 'seconds').write_text('100000')
        assert update(daemon, {'max_unavailable': 1, 'timeout': 20}) is True
        assert all_new(before, daemon.wait_running('web'))
        assert_is_what_the_file_says(daemon)


def test_a_successor_that_does_not_start_costs_nothing_and_the_slot_is_as_it_was():
    with running(some(2, startretries=0)) as (daemon, before):
        files = set(os.listdir(str(daemon.folder)))
        daemon.write_configuration(some(2, MANNERS['exits 1'], startsecs=1, startretries=0))
        assert [fault['code'] for fault in update(daemon, {'max_surge': 1})] == [0x430, 0x450]
        assert daemon.pids('web') == before
        assert {slot[0] for slot in plan(daemon).values()} == {'replace'}
        assert set(os.listdir(str(daemon.folder))) == files


def halfway(daemon, options=None):
    """An update of four that are replaced, two new and two old at the moment."""
    call = Call(daemon, 'web', dict({'reread': True, 'max_unavailable': 1, 'timeout': 20},
                                    **options or {}))
    wait_phase(daemon, 'restarted', 2)
    return call


@pytest.mark.parametrize('finish', ['update', 'updategroup'])
def test_cancelled_each_slot_is_old_or_new_and_either_command_finishes_it(finish):
    with running(some(4, HALF_HELD_BACK)) as (daemon, before):
        daemon.write_configuration(some(4, HALF_HELD_BACK.replace('0.02', '0.03')))
        call = halfway(daemon)
        daemon.rpc.restarter.cancelRestart('web')
        daemon.let_go()
        assert call.result().faultCode == 0x451
        now = daemon.wait_running('web')
        old = {name for name in before if now[name] == before[name]}
        assert 0 < len(old) < 4
        for name, pid in now.items():
            assert (b'0.02' in seen(pid, 'cmdline')) == (name in old)
        assert {name for name, slot in plan(daemon).items() if slot[0] == 'replace'} == old
        if finish == 'update':
            assert 'web: updated process group' in daemon.supervisorctl('update').stdout
        else:
            assert update(daemon) is True
        for pid in daemon.wait_running('web').values():
            assert b'0.03' in seen(pid, 'cmdline')
        assert_is_what_the_file_says(daemon)


def test_a_file_that_changes_in_the_midst_of_it_is_what_the_next_call_does():
    with running(some(4, TERMS)) as (daemon, _):
        daemon.write_configuration(some(4, TERMS.replace('0.02', '0.03')))
        call = halfway(daemon)
        daemon.write_configuration(some(5, TERMS.replace('0.02', '0.04')))
        assert call.result() is True
        assert all(b'0.03' in seen(pid, 'cmdline')
                   for pid in daemon.wait_running('web').values())
        assert update(daemon) is True
        assert len(daemon.wait_running('web')) == 5
        assert all(b'0.04' in seen(pid, 'cmdline') for pid in daemon.pids('web').values())
        assert_is_what_the_file_says(daemon)


@pytest.mark.parametrize('theirs, options', pairs(
    ['reread', 'update', 'add web', 'remove web', 'stop web:*', 'restart web:*'],
    [{}, {'max_unavailable': 0, 'max_surge': 1}]))
def test_what_somebody_else_does_in_the_midst_of_it_ends_and_the_next_update_finishes_it(
        theirs, options):
    with running(some(4, TERMS)) as (daemon, _):
        daemon.write_configuration(some(5, TERMS.replace('0.02', '0.03')))
        call = halfway(daemon, options)
        daemon.supervisorctl(*theirs.split(), timeout=60)
        call.result()
        wait_until(lambda: info(daemon)['state'] in ('IDLE', 'FINISHED'), 'the restart has ended')
        daemon.supervisorctl('update')
        if theirs in ('stop web:*', 'update'):
            # What they stopped stays so; and theirs cannot remove a group in which one is just
            # being replaced.
            assert update(daemon) is True
            daemon.supervisorctl('start', 'web:*')
        after = daemon.wait_running('web')
        assert len(after) == 5
        assert all(b'0.03' in seen(pid, 'cmdline') for pid in after.values())
        assert_is_what_the_file_says(daemon)


@pytest.mark.slow
@pytest.mark.parametrize('old, new, options, untouched', [
    *stress(('numprocs = 6', 'numprocs = 3', {'max_unavailable': 1}, 3),
            ('numprocs = 6', 'numprocs = 3', {'max_surge': 1}, 3)),
    ('--no-access-log ', '--no-access-log --no-date-header ', {'max_surge': 2}, 0),
])
def test_under_load_no_request_fails(old, new, options, untouched):
    with RollingExample(numprocs=6) as daemon:
        daemon.wait_serving()
        before = daemon.wait_running('web')
        text = daemon.configuration.read_text()
        daemon.configuration.write_text(text.replace(old, new))
        with daemon.load(clients=3) as load:
            assert update(daemon, dict(options, timeout=30)) is True
        assert load.counts().failed == 0 and load.counts().requests > 0
        after = daemon.wait_running('web')
        assert sum(after[name] == before[name] for name in after) == untouched
        assert untouched or all(b'--no-date-header' in seen(pid, 'cmdline')
                                for pid in after.values())
        assert_is_what_the_file_says(daemon)


@pytest.mark.stress
def test_after_many_updates_nothing_is_left():
    with running(some(2)) as (daemon, _):
        descriptors = daemon.descriptors_at_rest()
        for numprocs in (1, 3, 2) * 5:
            for options in ({}, {'max_surge': 1}):
                daemon.write_configuration(some(numprocs, '/bin/sleep 1%d' % (9999 + len(options))))
                assert update(daemon, options) is True
        assert len(daemon.wait_running('web')) == 2
        assert daemon.descriptors_at_rest() == descriptors


def test_an_update_of_some_leaves_the_others_to_the_next():
    with running(some(3)) as (daemon, before):
        daemon.write_configuration(some(3, '/bin/sleep 77777'))
        assert update(daemon, {'processes': ['web_001']}) is True
        after = daemon.pids('web')
        assert [name for name in after if after[name] != before[name]] == ['web_001']
        assert {name: slot[0] for name, slot in plan(daemon).items()} == {
            'web_000': 'replace', 'web_001': 'keep', 'web_002': 'replace'}


def test_options_that_have_changed_in_the_file_are_taken_over_and_wrong_ones_touch_nothing():
    with running(group('web', 3, startsecs=1)) as (daemon, before):
        text = daemon.configuration.read_text()
        section = 'supervisor.rpcinterface_factory = supervisor_restarter:make_rpcinterface\n'
        for value, said in (('1', ''), ('-1', 'CANT_REREAD: web: web.max_unavailable = -1')):
            daemon.configuration.write_text(text.replace(
                section, section + 'web.max_unavailable = %s\nwbe.delay = 1\n' % value))
            if said:
                assert refused(daemon)[1].startswith(said.replace('= -1', "= '-1'"))
            else:
                assert update(daemon, {}, 'restartProcessGroup') is True
                assert 'restarting 3 processes, all at once' in daemon.log()
                assert update(daemon, {'reread': True}, 'restartProcessGroup') is True
                assert '3 to replace, rolling, at most 1 down' in daemon.log()
                assert 'WARN restarter: options for wbe, which is not a group' in daemon.log()
                before = daemon.pids('web')
        assert daemon.pids('web') == before
