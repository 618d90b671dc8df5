"""Every example of the README is run as it stands there, and its tables are true."""

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from supervisor_restarter.daemon.declaration import declared
from supervisor_restarter.options import Configured
from supervisor_restarter.restart.faults import Faults
from supervisor_restarter.restart.settings import Settings
from tests.support.daemon import SCRIPTS, Daemon, group

README = (Path(__file__).parents[2] / 'README.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'^```(\w+)\n(.*?)^```$', README, re.MULTILINE | re.DOTALL)


def blocks(language, word=''):
    return [text for name, text in BLOCKS if name == language and word in text]


def rows(heading):
    """The cells of the first table with this heading in its first column."""
    lines = README[README.index('\n| %s |' % heading):].strip().split('\n\n')[0].splitlines()
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[2:]]


def commands():
    """Each command of the README, and what it prints there."""
    for text in blocks('console'):
        yield from re.findall(r'^\$ (.*)\n((?:[^$].*\n)*)', text, re.MULTILINE)


@pytest.fixture(scope='module')
def daemon():
    (configuration,), (commands,) = blocks('ini', '[rpcinterface:'), blocks('ini', '[ctlplugin:')
    programs = group('web', 4) + '\n' + group('worker', 2)
    with Daemon(programs, plugin=configuration, extra=commands, inet=True,
                username='user', password='123') as running:
        running.wait_running('web')
        running.wait_running('worker')
        yield running


def test_the_example_over_http_has_the_address_and_the_login_of_its_section():
    section, = blocks('ini', '[inet_http_server]')
    values = dict(re.findall(r'^(\w+) = (.*)$', section, re.MULTILINE))
    text, = blocks('python', 'http://user')
    assert "'http://%(username)s:%(password)s@%(port)s/RPC2'" % values in text


def test_there_are_examples_of_each_kind():
    assert {name for name, _ in BLOCKS} == {'ini', 'python', 'console'}


@pytest.mark.parametrize('text', blocks('python', 'ServerProxy'))
def test_an_example_in_python_restarts_the_group(daemon, text):
    before = daemon.pids('web')
    here = text.replace('127.0.0.1:9001', '127.0.0.1:%d' % daemon.port)
    here = here.replace('unix:///tmp/supervisor.sock', daemon.unix_url)
    assert here != text
    variables = {}
    exec(compile(here, 'README.md', 'exec'), variables)
    assert variables['result'] is True
    assert not set(before.values()) & set(daemon.wait_running('web').values())


def test_the_examples_of_programs_declare_each_value_that_there_is(tmp_path):
    text, = blocks('ini', 'RESTARTER_READY')
    configuration = tmp_path / 'supervisord.conf'
    configuration.write_text('[supervisord]\n' + text)
    options = ServerOptions()
    options.realize(['-c', str(configuration)])
    declarations = [declared(process.environment).text for group in options.process_group_configs
                    for process in group.process_configs]
    assert sorted(set(declarations)) == [
        *('http://127.0.0.1:80%02d/health' % number for number in range(4)), 'notify',
        'tcp://127.0.0.1:11211', 'unix://%s/proxy.sock' % tmp_path]
    values = [row[0].strip('`').split(':')[0] for row in rows('`RESTARTER_READY`')]
    assert values == ['notify', 'listen', 'http', 'http', 'tcp', 'unix']


def test_three_lines_say_that_a_program_is_ready(tmp_path, monkeypatch):
    text, = blocks('python', 'NOTIFY_SOCKET')
    monkeypatch.setenv('NOTIFY_SOCKET', str(tmp_path / 's'))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / 's'))
        exec(compile('import contextlib, os, socket\n' + text, 'README.md', 'exec'), {})
        assert listening.recv(100) == b'READY=1'


@pytest.mark.parametrize('command, output', list(commands()))
def test_an_example_on_the_command_line_prints_what_it_says(daemon, command, output):
    # supervisord.conf in the current folder is where supervisorctl's search finds it.
    path = '%s:%s' % (SCRIPTS, os.environ['PATH'])
    done = subprocess.run(command, shell=True, cwd=str(daemon.folder), timeout=60,
                          env=dict(os.environ, PATH=path), universal_newlines=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert 'Traceback' not in done.stdout
    if output:
        assert (sorted(done.stdout.splitlines()), done.returncode) == (
            sorted(output.splitlines()), 0)
    else:
        assert 'web' in done.stdout


def test_the_defaults_are_those_of_the_code():
    written = {name.strip('`'): default for name, default, _, _ in rows('option')}
    configured = Configured(Settings(), {})
    defaults = dict(configured.default._asdict(), page=configured.page)
    assert written == {name: str(value).lower() for name, value in defaults.items()}


def test_the_fault_codes_are_those_of_the_code():
    codes = {name: code for name, code in vars(Faults).items() if not name.startswith('_')}
    del codes['FAILED']  # a bug, or no descriptors left
    assert {name.strip('`'): int(code) for name, code, _ in rows('fault')} == codes
