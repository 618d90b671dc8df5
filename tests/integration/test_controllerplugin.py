"""The commands for supervisorctl, as a user types them."""

import json
import os

import pytest

from supervisor_restarter import __version__
from tests.support.daemon import COMMANDS, MANNERS, Daemon, group, running, wait_until
from tests.support.faults import all_new, wait_phase
from tests.support.stress import stress

# How a restart is typed.
BOTH = ['supervisorctl', 'restartgroup'], ['supervisorctl_restart_group']


@pytest.fixture(scope='module')
def daemon():
    programs = '\n'.join([group('web', 2), group('api-a', 1), group('api-b', 1),
                          group('bad', 2, MANNERS['exits 1'], startsecs=1, startretries=0),
                          group('none', 0)])
    with Daemon(programs, extra=COMMANDS) as running:
        for name in ('web', 'api-a', 'api-b'):
            running.wait_running(name)
        wait_until(lambda: set(running.states('bad').values()) == {'FATAL'}, 'bad has failed')
        yield running


@pytest.mark.parametrize('command, touched', [
    ('restartgroup web:*', ['web']),
    ('restartgroup web: api-*:', ['web', 'api-a', 'api-b']),
    ('restartgroup --max-unavailable 1 web --timeout=30', ['web']),
    ('restartgroup web web w*', ['web']),
    ('restartgroup web none', ['web', 'none']),
])
def test_restartgroup_restarts_what_is_named(daemon, command, touched):
    before = {name: daemon.pids(name) for name in ('web', 'api-a', 'api-b')}
    done = daemon.supervisorctl(*command.split())
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.splitlines() == ['%s: restarted' % name for name in touched]
    for name, pids in before.items():
        assert bool(set(pids.values()) & set(daemon.pids(name).values())) == (name not in touched)


def test_restartgroup_all_prints_a_line_for_each_failure_and_each_group(daemon):
    done = daemon.supervisorctl('restartgroup', 'all')
    lines = done.stdout.splitlines()
    assert done.returncode != 0
    assert {'web: restarted', 'api-a: restarted', 'api-b: restarted'} < set(lines)
    assert sorted(line.split(' (')[0] for line in lines if line.startswith('bad')) == [
        'bad:bad_000: ERROR', 'bad:bad_001: ERROR']


@pytest.mark.parametrize('command, sentence', [
    ('restartgroup nope', 'nope: ERROR (BAD_GROUP: nope: no such group)'),
    ('restartgroup web nope', 'Error: nope: no such group; nothing is done'),
    ('restartgroup', 'Error: a group name is needed'),
    ('restartgroup --timeout -1 web',
     'web: ERROR (INCORRECT_PARAMETERS: --timeout -1.0: must be a number of seconds greater than '
     '0)'),
    ("restartgroup 'web", 'Error: No closing quotation'),
    ('restartinfo nope', 'nope: ERROR (BAD_GROUP: nope: no such group)'),
    ('updategroup nope-*', 'Error: nope-*: no such group'),
    ('cancelrestart web', 'web: ERROR (NO_RESTART: web: is not being restarted)'),
])
def test_what_is_wrong_gets_one_sentence_and_restarts_nothing(daemon, command, sentence):
    before = daemon.pids('web')
    done = daemon.supervisorctl(*command.split(' '))
    assert done.stdout.splitlines()[0] == sentence
    assert done.returncode == 1
    assert daemon.pids('web') == before


@pytest.mark.parametrize('command, option', [('restartinfo', '--info'),
                                             ('cancelrestart', '--cancel')])
def test_a_process_where_a_group_is_needed_gets_the_sentence_of_the_script(daemon, command, option):
    said = daemon.restart_group(option, 'web:web_000').stderr
    assert said == 'Error: web:web_000: names a process; this takes a group, such as web\n'
    done = daemon.supervisorctl(command, 'web:web_000')
    assert (done.returncode, done.stdout) == (1, said)


def test_groups_are_restarted_side_by_side():
    programs = '\n'.join(group(name, 1, startsecs=1) for name in ('a', 'b', 'c', 'd'))
    with Daemon(programs, extra=COMMANDS) as daemon:
        for name in 'abcd':
            daemon.wait_running(name)
        done = daemon.supervisorctl('restartgroup', 'all')
        assert done.stdout.splitlines() == ['%s: restarted' % name for name in 'abcd']
        log = [line.split('restarter: ')[1] for line in daemon.log().splitlines()
               if 'restarter: ' in line]
        assert [line.split(': ')[1].split()[0] for line in log] == (
            ['restarting'] * 4 + ['restarted'] * 4)


# It takes longer to leave than any new process has to come up (pacing.py: TO_RUN).
FINISHES_ITS_JOB = ("/bin/sh -c 'trap \"[ -e go ] || sleep 6; echo $$ >> done; exit 0\" TERM; "
                    "while :; do sleep 0.2; done'")
WAYS = {'rolling.max_unavailable': 1, 'surge.max_surge': 1, 'staggered.stagger_factor': 2}


@pytest.mark.parametrize('command', stress(['supervisorctl', 'restartgroup'],
                                           ['supervisorctl_restart_group']))
def test_by_itself_no_way_ends_before_each_worker_has_finished_its_job(command):
    names = sorted(['at_once', *(option.split('.')[0] for option in WAYS)])
    workers = ''.join(group(name, 2, FINISHES_ITS_JOB, stopwaitsecs=3600) for name in names)
    with Daemon(workers, WAYS, extra=COMMANDS) as daemon:
        before = {name: daemon.wait_running(name) for name in names}
        done = daemon.command(*command, 'all')
        assert (done.returncode, done.stderr) == (0, '')
        assert sorted(done.stdout.splitlines()) == ['%s: restarted' % name for name in names]
        assert all(all_new(before[name], daemon.pids(name)) for name in names)
        jobs = (daemon.folder / 'done').read_text().split()
        assert sorted(map(int, jobs)) == sorted(pid for pids in before.values()
                                                for pid in pids.values())
        daemon.let_go()


def test_restartinfo_and_cancelrestart_of_a_running_restart():
    with running(group('web', 4, MANNERS['held back']), extra=COMMANDS) as (daemon, before):
        done = daemon.supervisorctl('restartgroup', '--no-wait', '--max-unavailable', '1', 'web')
        assert done.stdout == 'web: restart begun\n'
        done = daemon.supervisorctl('restartinfo', 'web')
        assert done.stdout.startswith('web: RESTARTING, 3 waiting, 1 stopping')
        assert daemon.supervisorctl('cancelrestart', 'web').stdout == 'web: cancelled\n'
        daemon.let_go()
        assert daemon.restart_group('--follow', 'web').stderr.startswith('web: ERROR (CANCELLED: ')
        lines = daemon.supervisorctl('restartinfo', 'web').stdout.splitlines()
        assert '3 waiting' in lines[0] and lines[1].startswith('  web: ERROR (CANCELLED: ')
        cancelled = daemon.wait_running('web')
        assert [name for name in before if cancelled[name] != before[name]] == ['web_003']
        # With the options that it had, where none are given.
        assert daemon.restart_group('--resume', 'web').stdout == 'web: restarted\n'
        assert 'restarting 3 processes, rolling, at most 1 down' in daemon.log()
        after = daemon.wait_running('web')
        assert [name for name in after if after[name] == cancelled[name]] == ['web_003']


def test_updategroup_tells_what_it_would_do_and_does_it():
    programs = '\n'.join([group('web', 2), group('api-a', 1), group('api-b', 1)])
    with Daemon(programs, extra=COMMANDS) as daemon:
        before = {name: daemon.wait_running(name) for name in ('web', 'api-a', 'api-b')}

        def said(*arguments):
            done = daemon.supervisorctl(*arguments)
            assert (done.returncode, done.stderr) == (0, '')
            return done.stdout.splitlines()

        assert said('updategroup', '--dry-run', 'all') == [
            '%s: nothing to do' % name for name in ('api-a', 'api-b', 'web')]
        daemon.write_configuration('\n'.join([
            group('web', 3), group('api-a', 1, environment='KEY="secret"', priority=5)]))
        plan = ['api-a:api-a_000: replace (priority, environment)', 'api-a: 1 to replace',
                'web:web_002: add', 'web: 1 to add, 2 to keep']
        assert said('updategroup', '--dry-run', 'web', 'api-a') == plan[2:] + plan[:2]
        assert said('updategroup', 'web', 'api-a') == [
            'web: updated, 1 added, 2 kept', 'api-a: updated, 1 replaced']
        assert said('updategroup', 'web') == ['web: nothing to do, 3 kept']
        after = daemon.wait_running('web')
        assert {name: after[name] for name in before['web']} == before['web'] and len(after) == 3
        assert daemon.wait_running('api-a') != before['api-a']
        assert daemon.pids('api-b') == before['api-b']


@pytest.mark.parametrize('command', [['supervisorctl', 'updategroup'], *stress(
    ['supervisorctl_restart_group', '--update'])])
def test_updategroup_all_covers_the_whole_file(command, tmp_path):
    (tmp_path / 'odd.py').write_text('raise RuntimeError("odd")\n')
    with Daemon('\n'.join([group('web', 2), group('old', 1)]), extra=COMMANDS,
                env=dict(os.environ, PYTHONPATH=str(tmp_path))) as daemon:
        before = {name: daemon.wait_running(name) for name in ('web', 'old')}

        def said(*arguments):
            done = daemon.command(*command, *arguments)
            assert (done.returncode, done.stderr) == (0, '')
            return done.stdout.splitlines()

        done = daemon.command(*command, 'all', 'nope')
        assert done.returncode and done.stdout + done.stderr == (
            'Error: nope: no such group; nothing is done\n')
        for names in (['all'], ['web', 'all', 'o*']):
            assert said(*names) == ['old: nothing to do, 1 kept', 'web: nothing to do, 2 kept']
        daemon.write_configuration('\n'.join([
            group('web', 2, environment='KEY="2"'), group('new-a', 1),
            group('new-b', 2, autostart='false')]))
        assert said('--dry-run', 'all') == [
            'new-a: to add', 'new-b: to add', 'old: to remove',
            'web:web_000: replace (environment)', 'web:web_001: replace (environment)',
            'web: 2 to replace']
        assert {name: daemon.pids(name) for name in ('web', 'old', 'new-a')} == dict(
            before, **{'new-a': {}})
        assert said('all', '--max-unavailable', '1') == [
            'new-a: added', 'new-b: added', 'old: removed', 'web: updated, 2 replaced']
        assert daemon.supervisorctl('update').stdout == ''
        daemon.wait_running('new-a')
        assert set(daemon.states('new-b').values()) == {'STOPPED'}
        assert daemon.pids('old') == {}
        assert not set(before['web'].values()) & set(daemon.wait_running('web').values())

        before = daemon.pids('web')
        broken = "ERROR (CANT_REREAD: invalid literal for int() with base 10: 'two'"
        daemon.write_configuration('\n'.join([group('web', 3), group('more', 1, startsecs='two')]))
        for names in (['all'], ['web', 'new-a'], ['--dry-run', 'all']):
            done = daemon.command(*command, *names)
            lines = (done.stdout + done.stderr).splitlines()
            assert done.returncode and len(lines) == 1 and lines[0].startswith(broken)
        # What Supervisor's own reread answers with HTTP 500.
        daemon.write_configuration(
            '[rpcinterface:odd]\nsupervisor.rpcinterface_factory = odd:make\n' + group('web', 3))
        done = daemon.command(*command, 'all')
        assert done.stdout + done.stderr == 'ERROR (CANT_REREAD: RuntimeError: odd)\n'
        assert daemon.pids('web') == before


def test_five_deploys_at_the_same_time_have_their_turns_and_each_its_own_outcome():
    with running(group('web', 2), extra=COMMANDS) as (daemon, _):
        deploys = [daemon.begin(*BOTH[number % 2], '--queue', 'web') for number in range(5)]
        for deploy in deploys:
            assert deploy.communicate(timeout=60)[0] == 'web: restarted\n'
            assert deploy.returncode == 0
        log = [line.split('restarter: web: ')[1].split()[0] for line in daemon.log().splitlines()
               if 'restarter: web: ' in line]
        assert log == ['restarting', 'restarted'] * 5


def test_who_supersedes_begins_when_the_other_has_settled():
    programs = group('web', 3, MANNERS['held back'], stopwaitsecs=60)
    with running(programs, extra=COMMANDS) as (daemon, before):
        deploy = ['supervisorctl_restart_group', '--max-unavailable', '1', '--timeout', '60', 'web']
        first = daemon.begin(*deploy)
        wait_phase(daemon, 'stopping')
        second = daemon.begin(*deploy, '--supersede')
        wait_until(lambda: daemon.rpc.restarter.getRestartInfo('web')['state'] == 'SETTLING',
                   'it is superseded')
        third = daemon.restart_group('web')
        assert (third.returncode, 'RESTART_IN_PROGRESS' in third.stderr) == (2, True)
        daemon.let_go()
        output, error = first.communicate(timeout=60)
        assert (first.returncode, output) == (2, '') and error.startswith('web: ERROR (CANCELLED')
        assert second.communicate(timeout=60) == ('web: restarted\n', '')
        assert all_new(before, daemon.wait_running('web'))


def test_a_restart_can_be_followed_by_others():
    with running(group('web', 2, MANNERS['held back']), extra=COMMANDS) as (daemon, _):
        done = daemon.restart_group('--follow', 'web')
        assert (done.returncode, done.stderr) == (
            2, 'web: ERROR (NO_RESTART: has not been restarted)\n')
        daemon.rpc.restarter.restartProcessGroup('web', {'wait': False})
        followers = [daemon.begin(*command, '--follow', 'web') for command in (
            ['supervisorctl', 'restartinfo'], ['supervisorctl_restart_group'])]
        wait_phase(daemon, 'stopping', 2)
        daemon.let_go()
        for follower in followers:
            assert follower.communicate(timeout=60)[0] == 'web: restarted\n'
            assert follower.returncode == 0


def test_a_canary_comes_first_and_then_the_rest_and_nothing_is_restarted_twice():
    program = group('web', 8, '/bin/sh %(here)s/release', startsecs=1, startretries=0)
    with Daemon(program, extra=COMMANDS) as daemon:
        release = daemon.folder / 'release'
        release.write_text('exec sleep 100000\n')
        daemon.supervisorctl('start', 'web:*')
        before = daemon.wait_running('web')

        def new(since):
            return sorted(name for name, pid in daemon.wait_running('web').items()
                          if pid != since[name])
        done = daemon.restart_group('web:web_003')
        assert (done.returncode, done.stdout) == (0, 'web: restarted\n')
        assert new(before) == ['web_003']
        canary = daemon.pids('web')
        release.write_text('exit 1\n')
        done = daemon.supervisorctl('restartgroup', '--resume', '--max-surge', '1', 'web')
        assert done.returncode == 1 and 'STOPPED_EARLY' in done.stdout
        assert new(canary) == []
        release.write_text('exec sleep 100000\n')
        done = daemon.supervisorctl('restartgroup', '--resume', 'web')
        assert (done.returncode, done.stdout) == (0, 'web: restarted\n')
        assert new(canary) == sorted(set(before) - {'web_003'})
        done = daemon.restart_group('--resume', 'web')
        assert (done.returncode, done.stderr) == (
            2, 'web: ERROR (NO_RESTART: web: its last restart has left nothing to resume)\n')


def test_what_was_stopped_on_purpose_stays_stopped():
    programs = '\n'.join([group('web', 3), group('api', 1)])
    with Daemon(programs, extra=COMMANDS) as daemon:
        before = {name: daemon.wait_running(name) for name in ('web', 'api')}
        daemon.supervisorctl('stop', 'web:web_001', 'api:*')
        done = daemon.supervisorctl('restartgroup', '--only-running', 'all')
        assert (done.returncode, done.stdout) == (0, 'api: restarted\nweb: restarted\n')
        assert daemon.states('web') == {'web_000': 'RUNNING', 'web_001': 'STOPPED',
                                        'web_002': 'RUNNING'}
        assert daemon.states('api') == {'api_000': 'STOPPED'}
        assert not set(before['web'].values()) & set(daemon.pids('web').values())


@pytest.mark.parametrize('words, sentence', [
    ('--min-ready-seconds -1 web', '--min-ready-seconds -1.0: must be a number of seconds'),
    ('--stagger-factor 2 --max-surge 1 web', '--stagger-factor and --max-surge exclude each'),
    ('--resume web:web_000', '--resume and processes exclude each other'),
    ('--resume web', 'NO_RESTART: web: '),
    ('web::', 'web: has no process :'),
    ('web:nope --queue', 'web: has no process nope'),
    ('nope --supersede', 'BAD_GROUP: nope: no such group'),
])
def test_what_supervisord_refuses_is_one_sentence_of_both_commands(daemon, words, sentence):
    before = daemon.pids('web')
    for done in (daemon.supervisorctl('restartgroup', *words.split()),
                 daemon.restart_group(*words.split())):
        assert len((done.stdout + done.stderr).splitlines()) == 1
        assert done.returncode and sentence in done.stdout + done.stderr
        assert daemon.pids('web') == before


def test_a_warning_is_on_standard_error_and_the_restart_has_succeeded():
    # The shell ends and leaves its child behind.
    with Daemon(group('web', 1, "/bin/sh -c 'sleep 20 & wait'"), extra=COMMANDS) as daemon:
        for command in BOTH:
            daemon.wait_running('web')
            done = daemon.command(*command, 'web')
            assert (done.returncode, done.stdout) == (0, 'web: restarted\n')
            assert done.stderr.startswith('web:web_000: warning: LEFT_BEHIND: ')
            assert len(done.stderr.splitlines()) == 1
        entry = json.loads(daemon.restart_group('--json', 'web').stdout)['groups'][0]
        assert [warning['name'] for warning in entry['warnings']] == ['web_000']


def test_the_version_is_that_of_the_script_and_of_supervisords_plugin(daemon):
    done = daemon.restart_group('--version')
    assert (done.returncode, done.stdout) == (
        0, 'supervisorctl_restart_group %s\nin supervisord: %s, API %s\n' % (
            __version__, __version__, daemon.rpc.restarter.getAPIVersion()))


def test_a_group_that_had_no_process_can_be_updated_and_a_broken_file_is_one_line():
    with Daemon(group('web', 0), extra=COMMANDS) as daemon:
        daemon.write_configuration(group('web', 2))
        assert daemon.supervisorctl('updategroup', 'web').stdout == 'web: updated, 2 added\n'
        before = daemon.wait_running('web')
        daemon.write_configuration(group('web', 2, startsecs='two'))
        for done, status in ((daemon.supervisorctl('updategroup', 'web'), 1),
                             (daemon.supervisorctl('restartgroup', '--reread', 'web'), 1),
                             (daemon.restart_group('--reread', 'web'), 2)):
            assert (done.stdout + done.stderr).startswith(
                "web: ERROR (CANT_REREAD: web: invalid literal for int() with base 10: 'two'")
            assert len((done.stdout + done.stderr).splitlines()) == 1
            assert done.returncode == status
        assert daemon.pids('web') == before
        daemon.write_configuration(group('web', 3))
        assert daemon.restart_group('--reread', 'web').stdout == 'web: restarted\n'
        assert len(daemon.wait_running('web')) == 3


@pytest.mark.parametrize('command', ['restartgroup', 'updategroup', 'restartinfo',
                                     'cancelrestart'])
def test_each_command_has_help_and_nobody_says_that_there_is_none(daemon, command):
    done = daemon.supervisorctl('help', command)
    assert command + ' <group>' in done.stdout and '*** No help' not in done.stdout
    assert '--json' in done.stdout
    assert daemon.supervisorctl(command, '-h').stdout == done.stdout
    assert command in daemon.supervisorctl('help').stdout


@pytest.mark.parametrize('command, said', [('start', 0), ('help', 0), ('nonsense', 1)])
def test_there_is_no_word_of_ours_on_what_is_not_ours(daemon, command, said):
    assert daemon.supervisorctl('help', command).stdout.count('*** No help on') == said


@pytest.mark.parametrize('command', BOTH)
def test_an_output_that_cannot_be_written_is_told_and_no_failed_restart(daemon, command):
    before = daemon.pids('web')
    with open('/dev/full', 'w') as stdout:
        done = daemon.command(*command, 'web', stdout=stdout)
    assert (done.returncode, done.stderr) == (
        0, 'standard output: cannot be written: No space left on device\n')
    assert not set(before.values()) & set(daemon.pids('web').values())


def test_json_is_one_document(daemon):
    def document(*arguments):
        done = daemon.supervisorctl(*arguments)
        script = {'restartgroup': [], 'updategroup': ['--update'], 'restartinfo': ['--info']}
        same = daemon.restart_group(*script[arguments[0]], *arguments[1:])
        assert done.stderr == same.stderr == ''
        assert sorted(json.loads(done.stdout)) == sorted(json.loads(same.stdout))
        return json.loads(done.stdout)

    none = {'faults': [], 'warnings': []}
    assert document('restartgroup', '--json', 'web', 'api-a') == {'status': 0, 'groups': [
        dict(none, group=name, outcome='restarted') for name in ('web', 'api-a')]}
    found = document('restartgroup', 'bad', '--json')
    assert (found['status'], found['groups'][0]['outcome']) == (1, 'failed')
    # In the order in which they fail.
    assert {fault['name'] for fault in found['groups'][0]['faults']} == {'bad_000', 'bad_001'}
    assert document('restartinfo', '--json', 'bad')['groups'][0]['failed'] == 2
    plan = document('updategroup', '--json', '--dry-run', 'web')['groups'][0]
    assert (plan['outcome'], [slot['action'] for slot in plan['plan']]) == ('planned', ['keep'] * 2)
    for arguments, error in [
            (('restartgroup', '--json', 'web', 'nope'),
             'Error: nope: no such group; nothing is done'),
            (('restartinfo', '--json', 'web:web_000'), 'Error: web:web_000: names a process; this '
             'takes a group, such as web')]:
        assert document(*arguments)['error'] == error
    done = daemon.supervisorctl('-s', 'unix:///nowhere.sock', 'restartgroup', 'web', '--json')
    assert (done.returncode, json.loads(done.stdout)) == (1, {
        'status': 1, 'groups': [], 'error': 'unix:///nowhere.sock no such file'})


def test_options_do_not_leak_from_one_command_of_the_shell_to_the_next(daemon):
    shell = daemon.supervisorctl(
        stdin=None, input='restartgroup --no-wait web\nrestartgroup api-a\nexit\n')
    assert 'web: restart begun' in shell.stdout
    assert 'api-a: restarted' in shell.stdout


def test_a_url_that_cannot_be_used_is_one_line_without_the_help_of_the_command(daemon):
    done = daemon.supervisorctl('-s', 'ftp://127.0.0.1', 'restartgroup', 'web')
    assert (done.returncode, done.stdout) == (
        1, 'ftp://127.0.0.1: Unknown protocol for serverurl ftp://127.0.0.1\n')


def test_a_supervisord_without_the_plugin_says_which_section_to_add_and_what_then():
    with Daemon(group('web', 1), plugin='', extra=COMMANDS) as daemon:
        done = daemon.supervisorctl('restartgroup', 'web')
        assert 'add a section [rpcinterface:restarter]' in done.stdout
        assert done.stdout.endswith('to its configuration and restart supervisord.)\n')
        assert done.returncode == 1


@pytest.mark.parametrize('login, said', [
    (['-u', 'user', '-p', 'wrong'], '{url} refused the login of user\n'),
    ([], 'Server requires authentication\n'),
])
def test_a_login_that_is_wrong_or_missing_says_so(login, said):
    with Daemon(group('web', 1), username='user', password='123', extra=COMMANDS) as daemon:
        daemon.configuration.write_text(
            '[supervisorctl]\nserverurl = %s\n%s' % (daemon.url, COMMANDS))
        done = daemon.supervisorctl(*login, 'restartgroup', 'web')
        assert (done.returncode, done.stdout) == (1, said.format(url=daemon.url))
        done = daemon.supervisorctl(*login, 'restartgroup', 'web', '--json')
        assert (done.returncode, json.loads(done.stdout)['error'] + '\n') == (
            1, said.format(url=daemon.url))
