"""The configuration section, and what supervisord's log says."""

import subprocess

import pytest

from tests.support.daemon import PLUGIN, SCRIPTS, Daemon, group, running

RPCINTERFACE = 'supervisor_restarter:make_rpcinterface'
CONTROLLERPLUGIN = 'supervisor_restarter.controllerplugin:make_controllerplugin'


def in_the_file(value):
    # Supervisor expands %(here)s and the like (supervisor/options.py: UnhosedConfigParser.saneget).
    return value.replace('%', '%%')


@pytest.mark.parametrize('option, value, allowed', [
    ('delay', 'soon', 'a number of seconds greater than 0'),
    ('page', 'maybe', 'true or false'),
    ('max_surge', '0%', 'a whole number, 0 or greater, or a percentage above 0% and up to 100%'),
])
def test_a_value_that_cannot_be_keeps_supervisord_from_starting(option, value, allowed):
    refused(Daemon(group('web', 1), {option: in_the_file(value)}, inet=True),
            'restarter: %s = %r: must be %s' % (option, value, allowed))


def test_a_supervisord_that_is_to_be_a_daemon_says_it_at_its_terminal():
    refused(Daemon(group('web', 1), {'timeout': '0'}, daemonize=True), "restarter: timeout = '0': ")


def refused(daemon, sentence):
    """See that supervisord says the sentence, once, and no more, and leaves nothing."""
    try:
        done = subprocess.run([str(SCRIPTS / 'supervisord'), '-c', str(daemon.configuration)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30,
                              universal_newlines=True)
        assert done.returncode == 2
        said = done.stderr.splitlines()
        assert said[0].startswith('Error: %s' % sentence)
        assert [line[:13] for line in said[1:]] == ['For help, use']
        assert daemon.log().count('CRIT %s' % sentence) == 1
        assert 'Traceback' not in daemon.log() and 'spawned' not in daemon.log()
        assert {path.name for path in daemon.folder.iterdir()} == {
            'supervisord.conf', 'supervisord.log'}
    finally:
        daemon.stop()


def test_a_percentage_has_two_signs_in_the_file():
    with running(group('web', 4), {'max_unavailable': in_the_file('50%')}) as (daemon, _):
        daemon.rpc.restarter.restartProcessGroup('web')
        assert 'rolling, at most 2 down' in daemon.log()


def test_the_factory_of_the_commands_in_the_section_of_supervisord_is_one_sentence_at_the_start():
    plugin = PLUGIN.replace(RPCINTERFACE, CONTROLLERPLUGIN)
    refused(Daemon(group('web', 1), plugin=plugin),
            'restarter: a section [rpcinterface:...] names the factory of the commands for '
            'supervisorctl; its own is supervisor.rpcinterface_factory = %s' % RPCINTERFACE)


@pytest.mark.parametrize('factory', [RPCINTERFACE, 'supervisor_restarter.rpcinterface:'
                                     'make_rpcinterface'])
@pytest.mark.parametrize('arguments', [['status'], ['restartgroup', 'web']])
def test_the_factory_of_supervisord_in_the_section_of_the_commands_is_one_sentence_at_the_start(
        factory, arguments):
    daemon = Daemon('', extra='[ctlplugin:restarter]\nsupervisor.ctl_factory = %s\n' % factory)
    try:
        done = daemon.supervisorctl(*arguments)
        assert (done.returncode, done.stdout) == (2, '')
        assert done.stderr.splitlines()[:-1] == [
            "Error: a section [ctlplugin:...] names the factory of supervisord's interface; its "
            'own is supervisor.ctl_factory = %s' % CONTROLLERPLUGIN]
    finally:
        daemon.stop()


def test_a_reload_says_that_it_restarted_also_when_a_wrong_value_then_keeps_supervisord_down():
    with Daemon(group('web', 1)) as daemon:
        configuration = daemon.configuration.read_text()
        daemon.configuration.write_text(configuration.replace(PLUGIN, PLUGIN + 'timeout = 0\n'))
        assert daemon.supervisorctl('reload').stdout == 'Restarted supervisord\n'
        daemon.wait_ended()
        assert "CRIT restarter: timeout = '0': must be" in daemon.log()


def test_an_unknown_option_is_a_warning_and_the_known_ones_hold():
    with running(group('web', 2) + group('Db', 1), {
             'dealy': '1', 'stagger_factor': '2', 'wbe.timeout': '5', 'Db.timeout': '5'},
             inet=True) as (daemon, _):
        assert daemon.log().count('WARN restarter: ') == 2
        assert 'WARN restarter: unknown option dealy; the options are ' in daemon.log()
        assert ('WARN restarter: options for wbe, which is not a group; the groups are Db, web\n'
                in daemon.log())
        daemon.rpc.restarter.restartProcessGroup('web')
        assert 'INFO restarter: web: restarting 2 processes, in 2 batches, 0.2 seconds apart' in (
            daemon.log())
