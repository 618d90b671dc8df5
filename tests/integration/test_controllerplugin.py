"""The commands for supervisorctl, as a user types them."""

import subprocess
import sys

import pytest

from tests.support.daemon import MANNERS, SCRIPTS, Daemon, group, wait_until
from tests.support.rolling_example import EXAMPLE

COMMANDS = """
[ctlplugin:restarter]
supervisor.ctl_factory = supervisor_restarter.controllerplugin:make_controllerplugin
"""


@pytest.fixture(scope='module')
def daemon():
    programs = '\n'.join([group('web', 2), group('api-a', 1), group('api-b', 1),
                          group('bad', 2, MANNERS['exits 1'], startsecs=1)])
    with Daemon(programs, extra=COMMANDS) as running:
        for name in ('web', 'api-a', 'api-b'):
            running.wait_running(name)
        wait_until(lambda: set(running.states('bad').values()) == {'FATAL'}, 'bad has failed', 60)
        yield running


@pytest.mark.parametrize('command, touched', [
    ('restartgroup web', ['web']),
    ('restartgroup web:*', ['web']),
    ('restartgroup web: api-*:', ['web', 'api-a', 'api-b']),
    ('restartgroup web api-a', ['web', 'api-a']),
    ('restartgroup api-*', ['api-a', 'api-b']),
    ('restartgroup --max-unavailable 1 web --timeout=30', ['web']),
    ('restartgroup web web w*', ['web']),
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
    ('restartgroup web web:nope', 'Error: web:nope: no such process; nothing is done'),
    ('restartgroup web nope-*', 'Error: nope-*: no such group; nothing is done'),
    ('restartgroup', 'Error: a group name is needed'),
    ('restartgroup --timeout soon web',
     "Error: invalid value for --timeout 'soon': not a number of seconds"),
    ('restartgroup --nonsense web', 'Error: option --nonsense not recognized'),
    ('restartgroup --timeout -1 web',
     'web: ERROR (INCORRECT_PARAMETERS: --timeout -1.0: must be a number of seconds greater than '
     '0)'),
    ("restartgroup 'web", 'Error: No closing quotation'),
    ('restartinfo nope', 'nope: ERROR (BAD_GROUP: nope: no such group)'),
    ('updategroup --reread web', 'Error: --reread goes with restartgroup, not with updategroup'),
    ('updategroup nope-*', 'Error: nope-*: no such group'),
    ('updategroup nope', 'nope: ERROR (BAD_GROUP: nope: no such group)'),
    ('restartgroup --dry-run web', 'Error: --dry-run goes with updategroup, not with '
                                   'restartgroup'),
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


def test_restartinfo_and_cancelrestart_of_a_running_restart():
    with Daemon(group('web', 8, startsecs=1), extra=COMMANDS) as daemon:
        before = daemon.wait_running('web')
        done = daemon.supervisorctl('restartgroup', '--no-wait', '--max-unavailable', '1', 'web')
        assert done.stdout == 'web: restart begun\n'
        done = daemon.supervisorctl('restartinfo', 'web')
        assert done.stdout.startswith('web: RESTARTING, ')
        assert daemon.supervisorctl('cancelrestart', 'web').stdout == 'web: cancelled\n'
        wait_until(lambda: 'FINISHED' in daemon.supervisorctl('restartinfo', 'web').stdout,
                   'it has settled')
        lines = daemon.supervisorctl('restartinfo', 'web').stdout.splitlines()
        assert 'waiting' in lines[0] and lines[1].startswith('  web: ERROR (CANCELLED: ')
        assert set(daemon.states('web').values()) == {'RUNNING'}
        assert set(before.values()) & set(daemon.pids('web').values())


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
        daemon.write_configuration(group('web', 1))
        assert said('updategroup', '--no-wait', '--max-unavailable', '1', 'web') == [
            'web: update begun']
        wait_until(lambda: len(daemon.pids('web')) == 1, 'it is updated')
        done = daemon.supervisorctl('updategroup', 'api-*', 'new')
        assert done.stdout.splitlines() == [
            '%s: ERROR (BAD_GROUP: %s: %s)' % (name, name, why) for name, why in (
                ('api-a', 'is not in the file any more: use supervisorctl update api-a'),
                ('api-b', 'is not in the file any more: use supervisorctl update api-b'),
                ('new', 'no such group'))]
        assert done.returncode != 0


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
def test_each_command_has_help(daemon, command):
    assert command + ' <group>' in daemon.supervisorctl('help', command).stdout
    assert command in daemon.supervisorctl('help').stdout


def test_the_rolling_example_has_the_commands():
    # No supervisord runs there; help needs none.
    done = subprocess.run(
        [str(SCRIPTS / 'supervisorctl'), '-c', str(EXAMPLE / 'supervisord.conf'), 'help'],
        stdout=subprocess.PIPE, universal_newlines=True, timeout=60)
    assert {'restartgroup', 'restartinfo', 'cancelrestart'} < set(done.stdout.split())


def test_options_do_not_leak_from_one_command_of_the_shell_to_the_next(daemon):
    shell = subprocess.run(
        [sys.executable, str(SCRIPTS / 'supervisorctl'), '-c', str(daemon.configuration)],
        input='restartgroup --no-wait web\nrestartgroup api-a\nexit\n', universal_newlines=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert 'web: restart begun' in shell.stdout
    assert 'api-a: restarted' in shell.stdout


def test_a_supervisord_without_the_plugin_says_which_section_to_add_and_what_then():
    with Daemon(group('web', 1), plugin='', extra=COMMANDS) as daemon:
        done = daemon.supervisorctl('restartgroup', 'web')
        assert 'add a section [rpcinterface:restarter]' in done.stdout
        assert done.stdout.endswith('to its configuration and restart supervisord.)\n')
        assert done.returncode == 1


@pytest.mark.parametrize('login, sentence', [
    (['-p', 'wrong'], 'refused the login of user'),
    (['-u', 'other'], 'refused the login of other'),
])
def test_a_login_that_is_wrong_says_so(login, sentence):
    with Daemon(group('web', 1), username='user', password='123', extra=COMMANDS) as daemon:
        done = daemon.supervisorctl(*login, 'restartgroup', 'web')
        assert (done.returncode, done.stdout) == (1, '%s %s\n' % (daemon.url, sentence))


def test_a_login_is_wanted(tmp_path):
    with Daemon(group('web', 1), username='user', password='123', extra=COMMANDS) as daemon:
        configuration = tmp_path / 'supervisorctl.conf'
        configuration.write_text('[supervisorctl]\nserverurl = %s\n%s' % (daemon.url, COMMANDS))
        done = subprocess.run([str(SCRIPTS / 'supervisorctl'), '-c', str(configuration),
                               'restartgroup', 'web'], stdout=subprocess.PIPE,
                              universal_newlines=True, timeout=60)
        assert (done.returncode, done.stdout) == (1, 'Server requires authentication\n')
