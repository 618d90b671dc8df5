"""A configuration of 2013 still loads, and Supervisor never depends on the plugin."""

import pytest

from tests.packaging.conftest import run
from tests.support.daemon import Daemon, group

OLD = """
[rpcinterface:restarter]
supervisor.rpcinterface_factory = supervisor.plugins.restarter:make_rpcinterface
delay = 0.2
timeout = 5.0
stagger_factor = 1
"""
REFUSED = ('Error: supervisor.plugins.restarter:make_rpcinterface cannot be resolved within '
           '[rpcinterface:restarter]')


def daemon(environment, plugin=OLD, **options):
    return Daemon(group('web', 3), plugin=plugin, scripts=environment.scripts, **options)


def restarts(environment):
    with daemon(environment, inet=True) as supervisord:
        before = supervisord.wait_running('web')
        assert supervisord.rpc.restarter.restartProcessGroup('web') is True
        assert not set(before.values()) & set(supervisord.wait_running('web').values())
        return supervisord.log()


def test_it_restarts_a_group_and_logs_the_new_name_once(environment, wheel):
    environment.pip('install', wheel)
    log = restarts(environment)
    (line,) = [line for line in log.splitlines() if 'supervisor.plugins.restarter' in line]
    assert 'WARN' in line
    assert 'supervisor.rpcinterface_factory = supervisor_restarter:make_rpcinterface' in line


def test_in_the_section_of_the_commands_it_is_one_sentence(environment, wheel):
    environment.pip('install', wheel)
    section = OLD.replace('rpcinterface:', 'ctlplugin:').replace('rpcinterface_f', 'ctl_f')
    supervisord = daemon(environment, plugin='', extra=section)
    try:
        done = supervisord.supervisorctl('status')
        assert done.returncode == 2 and done.stderr.startswith(
            "Error: a section [ctlplugin:...] names the factory of supervisord's interface")
    finally:
        supervisord.stop()


def test_the_new_name_is_not_warned_about(environment, wheel):
    environment.pip('install', wheel)
    new = OLD.replace('supervisor.plugins.restarter', 'supervisor_restarter')
    with daemon(environment, new) as supervisord:
        supervisord.wait_running('web')
        assert 'WARN restarter' not in supervisord.log()


def test_it_survives_a_reinstallation_of_supervisor(environment, wheel):
    environment.pip('install', wheel)
    environment.pip('install', '--force-reinstall', 'supervisor')
    environment.pip('check')
    restarts(environment)


def test_an_uninstallation_leaves_supervisor_as_it_was(environment, wheel):
    environment.pip('install', 'supervisor')
    before = sorted(path for path in environment.site_packages.rglob('*.py'))
    environment.pip('install', wheel)
    environment.pip('uninstall', '-y', 'supervisor-restarter')
    assert sorted(path for path in environment.site_packages.rglob('*.py')) == before
    assert not (environment.site_packages / 'supervisor' / 'plugins').exists()
    assert not list(environment.site_packages.glob('*restarter*'))
    with daemon(environment, plugin='') as supervisord:
        supervisord.wait_running('web')


def test_where_the_section_is_included_an_uninstallation_does_not_keep_supervisord_from_starting(
        environment, wheel):
    environment.pip('install', wheel)
    section = '[include]\nfiles = %s/supervisor_restarter/*.conf\n' % environment.site_packages
    with daemon(environment, plugin='', extra=section) as supervisord:
        supervisord.wait_running('web')
        assert supervisord.rpc.restarter.restartProcessGroup('web') is True
        environment.pip('uninstall', '-y', 'supervisor-restarter')
        assert supervisord.rpc.restarter.restartProcessGroup('web', {'max_surge': 1}) is True
    with daemon(environment, plugin='', extra=section) as supervisord:
        supervisord.wait_running('web')
        assert 'No file matches via include' in supervisord.log()


def refused(environment):
    with pytest.raises(AssertionError) as caught:
        with daemon(environment):
            pass
    return REFUSED in str(caught.value)


def test_an_editable_installation_has_only_the_new_name(environment, unpacked):
    environment.pip('install', '--editable', unpacked)
    assert refused(environment)
    assert run(environment.python, '-c', 'import supervisor; print(supervisor.__file__)',
               cwd='/').startswith(str(environment.site_packages))


def test_away_from_supervisors_folder_there_is_only_the_new_name(environment, wheel, tmp_path):
    # As with Supervisor in the system's folder, and the plugin in a user's.
    environment.pip('install', 'supervisor')
    environment.pip('install', '--no-deps', '--target', tmp_path / 'elsewhere', wheel)
    (environment.site_packages / 'elsewhere.pth').write_text('%s\n' % (tmp_path / 'elsewhere'))
    assert refused(environment)
    new = OLD.replace('supervisor.plugins.restarter', 'supervisor_restarter')
    with daemon(environment, new) as supervisord:
        supervisord.wait_running('web')
        assert supervisord.rpc.restarter.restartProcessGroup('web') is True
