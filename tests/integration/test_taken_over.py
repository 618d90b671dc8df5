"""supervisorctl's restart and update through the plugin, beside Supervisor's own."""

import concurrent.futures

import pytest

from tests.support.daemon import COMMANDS, MANNERS, TAKEN_OVER, Daemon, group, running, wait_until
from tests.support.stress import stress


def single(name, command=MANNERS['at once'], **settings):
    lines = ['[program:%s]' % name, 'command = %s' % command, 'startsecs = 0', 'startretries = 0',
             'stdout_logfile = NONE', 'stderr_logfile = NONE']
    return '\n'.join(lines + ['%s = %s' % pair for pair in settings.items()]) + '\n'


PROGRAMS = [single('solo'), group('web', 2), single('down', autostart='false'),
            group('bad', 2, MANNERS['exits 1'], startsecs=1, startretries=0, autostart='false'),
            single('gone', MANNERS['no such program']), group('none', 0)]
CHANGED = [group('web', 2, environment='KEY="2"')]

# Each is run with Supervisor's own and with the plugin's, prints the same lines and exits the same.
RESTARTS = [
    'solo', 'web:*', 'web:web_000', 'web:web_000 web:web_001', 'solo web:*', 'web:* solo down',
    'nope', 'nope:*', 'web:nope', 'web', 'solo nope', 'nope:* solo', 'down', 'down solo', 'bad:*',
    'gone', 'solo gone', 'web:* web:web_000', 'solo solo', 'solo:solo', 'all', '', 'none:*',
    *stress('web:', 'web:web_001 web:web_000', 'web:* solo', 'nope solo', 'down:*', 'bad:bad_000',
            'gone:*', 'web:web_000 web:*', 'solo solo:*', 'all nope', 'none', 'none:* solo'),
]


@pytest.fixture(scope='module')
def both():
    with Daemon('\n'.join(PROGRAMS)) as own, Daemon('\n'.join(PROGRAMS), extra=TAKEN_OVER) as ours:
        yield own, ours


def side_by_side(told, given):
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        return list(threads.map(told, given))


def settled(daemon):
    """Put a supervisord into the state in which each call finds it."""
    with daemon.connection() as rpc, daemon.turning():
        for name in ('down', 'bad'):
            rpc.supervisor.stopProcessGroup(name)
        for name in ('solo', 'web'):
            rpc.supervisor.startProcessGroup(name)
    for name in ('solo', 'web'):
        daemon.wait_running(name)


def lines_of(done):
    """The lines that were printed, in no certain order but that all stops stand before starts."""
    lines = [line for line in done.stdout.splitlines() if 'supervisor-restarter' not in line]
    ends = [line.rpartition(': ')[2] for line in lines if line.endswith((': stopped', ': started'))]
    assert ends == sorted(ends, reverse=True)
    return sorted(lines)


@pytest.mark.parametrize('names', RESTARTS)
def test_restart_prints_and_exits_as_supervisors_own(both, names):
    def told(daemon):
        settled(daemon)
        before = {name: daemon.pids(name) for name in ('solo', 'web')}
        done = daemon.supervisorctl('restart', *names.split())
        new = {name: sum(pid not in before[name].values() for pid in daemon.pids(name).values())
               for name in before}
        return done.returncode, lines_of(done), new
    own, ours = side_by_side(told, both)
    assert ours == own


def test_it_is_the_plugin_that_restarts(both):
    _, ours = both
    for names in ('web:*', 'web:web_000 web:web_001'):
        begun = ours.log().count('restarter: web: restarting')
        ours.supervisorctl('restart', *names.split())
        assert ours.log().count('restarter: web: restarting') == begun + 1


def test_a_process_that_may_end_at_once_has_started():
    # Supervisor's own says so or not, as it sees it running still or not any more.
    ends = group('ends', 2, MANNERS['exits 0'], autorestart='false')
    with Daemon(ends, extra=TAKEN_OVER) as daemon:
        wait_until(lambda: set(daemon.states('ends').values()) == {'EXITED'}, 'they have ended')
        done = daemon.supervisorctl('restart', 'ends:*')
        assert (done.returncode, done.stdout) == (
            0, 'ends:ends_000: started\nends:ends_001: started\n')


def test_a_group_is_restarted_as_configured_and_what_fails_leaves_the_rest():
    program = group('web', 4, '/bin/sh %(here)s/release', startsecs=1, startretries=0)
    with Daemon(program, {'max_unavailable': 1}, extra=TAKEN_OVER) as daemon:
        release = daemon.folder / 'release'
        release.write_text('exec sleep 100000\n')
        daemon.supervisorctl('start', 'web:*')
        before = daemon.wait_running('web')
        done = daemon.supervisorctl('restart', 'web:*')
        assert (done.returncode, done.stderr) == (0, '')
        after = daemon.wait_running('web')
        assert not set(before.values()) & set(after.values())
        release.write_text('echo no such module; exit 1\n')
        done = daemon.supervisorctl('restart', 'web:*')
        failed = [name for name, pid in daemon.pids('web').items() if pid != after[name]]
        assert len(failed) == 1
        assert done.returncode != 0
        assert done.stdout.splitlines()[:2] == [
            'web:%s: stopped' % failed[0], 'web:%s: ERROR (spawn error)' % failed[0]]
        assert done.stdout.splitlines()[2].startswith('web: ERROR (STOPPED_EARLY: ')
        assert done.stderr.startswith('web:%s: START_FAILED: ' % failed[0])


BOTH_GONE = [single('solo'), single('more')]

# What is in the file before and then, the arguments, and what only Supervisor's own prints.
UPDATES = [
    (PROGRAMS[:2], '', []),
    (PROGRAMS[:2], 'all', []),
    (PROGRAMS[:2], 'nope', []),
    (BOTH_GONE, '', []),
    (BOTH_GONE, 'web', []),
    (BOTH_GONE, 'more', []),
    (BOTH_GONE, 'nope web', []),
    (PROGRAMS[:1] + CHANGED, '', []),
    (PROGRAMS[:1] + CHANGED, 'all', []),
    (PROGRAMS[:1] + CHANGED, 'web', []),
    (PROGRAMS[:1] + CHANGED, 'solo', []),
    (PROGRAMS[:1] + CHANGED, 'nope web', []),
    ([single('more')] + CHANGED, '', []),
    ([single('more')] + CHANGED, 'web more', []),
    # One more process: the group does not stop.
    ([PROGRAMS[0], group('web', 3)], '', ['web: stopped']),
    # The kind of the group: CANT_UPDATE.
    ([PROGRAMS[0], group('web', 2).replace('[program:', '[eventlistener:')
      + 'events = TICK_3600\n'], '', []),
    ([PROGRAMS[0], group('web', 2, startsecs='two')], '', []),
]


@pytest.mark.parametrize('programs, names, only_own', UPDATES)
def test_update_prints_and_exits_as_supervisors_own(programs, names, only_own):
    def told(extra):
        with running('\n'.join(PROGRAMS[:2]), extra=extra) as (daemon, _):
            daemon.wait_running('solo')
            daemon.write_configuration('\n'.join(programs))
            done = daemon.supervisorctl('update', *names.split())
            if not names and done.returncode == 0:
                assert daemon.supervisorctl('update').stdout == ''
            return done.returncode, done.stdout.replace(str(daemon.folder), '').splitlines()
    (status, lines), ours = side_by_side(told, ['', TAKEN_OVER])
    assert ours == (status, [line for line in lines if line not in only_own])


def test_update_keeps_what_has_not_changed():
    with running('\n'.join(PROGRAMS[:2]), extra=TAKEN_OVER) as (daemon, before):
        daemon.write_configuration('\n'.join([PROGRAMS[0], group('web', 3)]))
        assert daemon.supervisorctl('update').stdout == 'web: updated process group\n'
        after = daemon.wait_running('web')
        assert len(after) == 3 and {name: after[name] for name in before} == before


def test_several_at_the_same_time_have_their_turns():
    with running(group('web', 2), extra=TAKEN_OVER) as (daemon, _):
        deploys = [daemon.begin('supervisorctl', 'restart', 'web:*') for _ in range(3)]
        for deploy in deploys:
            assert deploy.communicate(timeout=60)[0].count('started') == 2
            assert deploy.returncode == 0


def test_without_the_plugin_in_supervisord_it_is_supervisors_own_and_one_line():
    with running(group('web', 1), plugin='', extra=TAKEN_OVER) as (daemon, _):
        done = daemon.supervisorctl('restart', 'web:*')
        assert (done.returncode, done.stdout) == (0, 'web:web_000: stopped\nweb:web_000: started\n')
        assert done.stderr == ("restart: supervisord does not have the plugin; Supervisor's own "
                               'does it\n')
        daemon.write_configuration('\n'.join([group('web', 1), single('more')]))
        done = daemon.supervisorctl('update')
        assert (done.returncode, done.stdout) == (0, 'more: added process group\n')
        assert done.stderr.startswith('update: supervisord does not have the plugin')


def test_no_supervisord_is_said_as_supervisors_own_says_it():
    with Daemon(group('web', 1), extra=TAKEN_OVER) as daemon:
        daemon.stop()
        daemon.folder.mkdir()
        daemon.write_configuration(group('web', 1))
        done = daemon.supervisorctl('restart', 'web:*')
        assert (done.returncode, done.stderr) == (7, '')
        assert done.stdout == '%s no such file\n' % daemon.url


def test_help_says_whose_the_commands_are(both):
    own, ours = both
    for name in ('restart', 'update'):
        theirs = own.supervisorctl('help', name).stdout
        assert ours.supervisorctl('help', name).stdout.startswith(theirs)
        assert 'supervisor-restarter' in ours.supervisorctl('help', name).stdout


@pytest.mark.parametrize('option, said, status', [
    ('restart = maybe', 'Error: [ctlplugin:restarter]: restart = maybe: must be true or false', 2),
    ('update = 2', 'Error: [ctlplugin:restarter]: update = 2: must be true or false', 2),
    ('restat = true', '[ctlplugin:restarter]: unknown option restat; the options are restart, '
                      'update', 0),
    ('restart = false', '', 0),
])
def test_a_wrong_option_is_one_sentence_at_the_start(option, said, status):
    with running(group('web', 1), extra=COMMANDS + option + '\n') as (daemon, _):
        done = daemon.supervisorctl('restart', 'web:*')
        assert done.returncode == status
        assert done.stderr.splitlines()[:1] == ([said] if said else [])
        if status == 0:
            assert done.stdout == 'web:web_000: stopped\nweb:web_000: started\n'
            assert 'restarter: web: restarting' not in daemon.log()


def test_in_the_shell_each_command_is_one_of_its_own(both):
    _, ours = both
    settled(ours)
    shell = ours.supervisorctl(stdin=None, input='restart solo\nrestart web:*\nupdate\nexit\n')
    assert shell.stdout.count('solo: started') == 1
    assert shell.stdout.count(': started') == 3
    wait_until(lambda: set(ours.states('web').values()) == {'RUNNING'}, 'web is up')
