"""Deploy tools that know nothing of the plugin, with `restart = true` and `update = true`.

Those of Ansible and Salt need an environment of their own, which `make deploy-tools` makes.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import SCRIPTS, TAKEN_OVER, Daemon, group
from tests.support.fleet import BROKEN, GOOD, environment
from tests.support.rolling_example import RollingExample

TOOLS = Path(os.environ.get('DEPLOY_TOOLS', '/nowhere'))
needs_tools = pytest.mark.skipif(not TOOLS.exists(), reason='make deploy-tools runs these')

ONE_AT_A_TIME = '[rpcinterface:restarter]\nmax_unavailable = 1\n' + TAKEN_OVER


def ansible(daemon, *options, check=False, **parameters):
    """Let Ansible's module do it; return whether it failed, whether it changed, and its words."""
    about = dict(parameters, config=str(daemon.configuration),
                 supervisorctl_path=str(SCRIPTS / 'supervisorctl'))
    done = subprocess.run(
        [str(TOOLS / 'ansible'), 'localhost', '-i', 'localhost,', '-c', 'local',
         '-e', 'ansible_python_interpreter=%s' % (TOOLS / 'python'),
         '-m', 'community.general.supervisorctl', '-a', json.dumps(about), *options,
         *(['--check'] if check else [])],
        env=environment(daemon.folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, universal_newlines=True, timeout=300)
    head, _, rest = done.stdout[done.stdout.index('localhost |'):].partition('=> ')
    return done.returncode != 0, json.loads(rest)['changed'], head + rest


@pytest.fixture
def daemon():
    programs = '\n'.join([
        group('web', 4, '/bin/sh %(here)s/release', startsecs=1, startretries=0), group('solo', 1)])
    with Daemon(programs, {'max_unavailable': 1}, extra=TAKEN_OVER) as running:
        (running.folder / 'release').write_text(GOOD)
        running.supervisorctl('start', 'web:*')
        running.wait_running('web')
        yield running


@needs_tools
def test_ansible_restarts_a_group_or_one_of_its_processes_or_all(daemon):
    for name, old in (('web:', 0), ('web:web_002', 3), ('all', 0)):
        before = daemon.wait_running('web')
        assert ansible(daemon, name=name, state='restarted')[:2] == (False, True)
        assert len(set(before.values()) & set(daemon.wait_running('web').values())) == old
    assert daemon.log().count('restarter: web: restarted') == 9


@needs_tools
def test_a_broken_release_fails_ansibles_play_and_three_serve(daemon):
    (daemon.folder / 'release').write_text(BROKEN)
    before = daemon.pids('web')
    failed, _, said = ansible(daemon, name='web:', state='restarted')
    assert failed and 'spawn error' in said
    assert len(set(before.values()) & set(daemon.pids('web').values())) == 3


@needs_tools
def test_ansible_adds_what_is_new_and_updates_what_has_changed(daemon):
    before = daemon.pids('web')
    more = group('web', 4, '/bin/sh %(here)s/release', startsecs=1, startretries=0,
                 environment='KEY="2"')
    daemon.write_configuration('\n'.join([more, group('solo', 1), group('new', 1)]))
    assert ansible(daemon, name='new:', state='present', check=True)[:2] == (False, True)
    assert daemon.pids('new') == {}
    assert ansible(daemon, name='new', state='present')[1] is True
    assert daemon.pids('web') == before
    daemon.wait_running('new')
    assert ansible(daemon, name='new:', state='present')[:2] == (False, False)
    # It runs `supervisorctl update` first, which is the plugin's.
    assert ansible(daemon, name='solo:', state='restarted')[:2] == (False, True)
    assert 'restarter: web: updated' in daemon.log()
    assert not set(before.values()) & set(daemon.wait_running('web').values())


@needs_tools
@pytest.mark.slow
def test_ansibles_restart_fails_no_request():
    with RollingExample(ONE_AT_A_TIME) as example:
        example.wait_serving()
        before = example.pids('web')
        with example.load(clients=6) as load:
            assert ansible(example, name='web:', state='restarted')[:2] == (False, True)
        assert not set(before.values()) & set(example.wait_running('web').values())
        counts = load.counts()
        assert counts.failed == 0, counts.reasons
        assert counts.requests > 1000


# Salt's module joins these words: supervisorctl -c FILE COMMAND NAME, `web:` for `web:*`.
SALT = """
import json, subprocess, sys
import salt.modules.supervisord as module
def run_all(command, **about):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return {'retcode': done.returncode, 'stdout': done.stdout.strip(), 'stderr': done.stderr}
module.__salt__ = {'cmd.run_all': run_all}
name, arguments, script, configuration = json.loads(sys.argv[1])
print(json.dumps(getattr(module, name)(*arguments, bin_env=script, conf_file=configuration)))
"""


@needs_tools
def test_salts_module_restarts_and_updates(daemon):
    def salt(name, *arguments):
        about = [name, arguments, str(SCRIPTS / 'supervisorctl'), str(daemon.configuration)]
        done = subprocess.run([str(TOOLS / 'python'), '-c', SALT, json.dumps(about)],
                              stdout=subprocess.PIPE, timeout=60, check=True,
                              env=environment(daemon.folder))
        return json.loads(done.stdout)

    before = daemon.pids('web')
    said = salt('restart', 'web:*')
    assert 'web:web_000: started' in said and 'ERROR' not in said
    assert not set(before.values()) & set(daemon.wait_running('web').values())
    daemon.write_configuration('\n'.join([
        group('web', 4, '/bin/sh %(here)s/release', startsecs=1), group('solo', 1)]))
    assert salt('update') == 'web: stopped\nweb: updated process group'
    (daemon.folder / 'release').write_text(BROKEN)
    assert 'ERROR' in salt('restart', 'web:*')
