"""README and the pages of docs/ are true: examples run as they stand, names are the code's."""

import ast
import contextlib
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest
from supervisor.options import ServerOptions
from supervisor.rpcinterface import SupervisorNamespaceRPCInterface

from supervisor_restarter import controllerplugin, supervisorctl_restart_group
from supervisor_restarter.commands.options import OPTIONS, SUPERVISORCTL
from supervisor_restarter.daemon.declaration import declared
from supervisor_restarter.options import _FLAGS, Configured
from supervisor_restarter.restart.faults import Faults
from supervisor_restarter.restart.settings import Settings
from supervisor_restarter.restart.slot import PHASES
from supervisor_restarter.rpcinterface import RestarterNamespaceRPCInterface
from tests.support.daemon import SCRIPTS, Daemon, group
from tests.support.rolling_example import EXAMPLE, RollingExample

ROOT = Path(__file__).parents[2]
DOCUMENTS = {str(path.relative_to(ROOT)): path.read_text(encoding='utf-8')
             for pattern in ('*.md', 'docs/*.md', 'examples/*/*.md')
             for path in ROOT.glob(pattern)}
PAGES = {name: text for name, text in DOCUMENTS.items()
         if name == 'README.md' or name.startswith('docs/')}
README, API, READINESS, UPGRADING = (PAGES[name] for name in (
    'README.md', 'docs/api.md', 'docs/readiness.md', 'docs/upgrading.md'))
# Their examples run here, with groups web and worker.
WITH_EXAMPLES = ('README.md', 'docs/api.md', 'docs/updating.md')
DEPLOY = '$ cp releases/'

METHODS = {name for name in vars(RestarterNamespaceRPCInterface) if not name.startswith('_')}
CODES = {name: code for name, code in vars(Faults).items() if not name.startswith('_')}
SETTINGS = dict(Settings()._asdict(), page=Configured(Settings(), {}).page)
WORDS = {option.typed for option in OPTIONS.values()}
CONSOLE_WORDS = {*supervisorctl_restart_group.OTHER_ACTIONS, '--version'}


def blocks(page, language, word=''):
    found = re.findall(r'^```(\w+)\n(.*?)^```$', page, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language and word in text]


def rows(page, heading):
    """The cells of the first table with this heading in its first column."""
    lines = page[page.index('\n| %s |' % heading):].strip().split('\n\n')[0].splitlines()
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[2:]]


def names(page, heading, pattern='`([^`]+)`'):
    """What stands as code in the first column of such a table."""
    return [name for row in rows(page, heading) for name in re.findall(pattern, row[0])]


def commands():
    """Each command of the examples, and what it prints there."""
    for name in WITH_EXAMPLES:
        for text in blocks(PAGES[name], 'console'):
            if DEPLOY not in text:
                yield from re.findall(r'^\$ (.*)\n((?:[^$].*\n)*)', text, re.MULTILINE)


def run(command, folder):
    # supervisord.conf in the current folder is where supervisorctl's search finds it.
    path = '%s:%s' % (SCRIPTS, os.environ['PATH'])
    return subprocess.run(command, shell=True, cwd=str(folder), timeout=60,
                          env=dict(os.environ, PATH=path), universal_newlines=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


# its length, and what it leads to

def test_the_readme_is_short_and_restarts_a_group_early():
    lines = README.splitlines()
    assert len(lines) <= 200
    assert lines.index('$ supervisorctl restartgroup web') < 60


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r'^```.*?^```$', '', page, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r'^#+ (.*)$', text, re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.mark.parametrize('name', sorted(DOCUMENTS))
def test_each_link_leads_to_a_file_and_a_heading(name):
    broken = []
    for link in re.findall(r'\]\(([^)\s]+)\)', DOCUMENTS[name]):
        if re.match('https?://', link):
            continue
        path, _, anchor = link.partition('#')
        target = (ROOT / name).parent / path if path else ROOT / name
        if not target.exists() or (
                anchor and anchor not in anchors(target.read_text(encoding='utf-8'))):
            broken.append(link)
    assert not broken


def test_the_readme_leads_to_each_page():
    linked = set(re.findall(r'\]\((docs/\w[\w-]*\.md)', README))
    assert linked >= PAGES.keys() - {'README.md'}


@pytest.mark.parametrize('name', sorted(DOCUMENTS))
def test_each_test_that_is_named_is_there(name):
    there = [str(path.relative_to(ROOT)) for path in (ROOT / 'tests').rglob('*.py')]
    named = re.findall(r'`((?:tests/)?[\w/]*\.py)`', DOCUMENTS[name])
    assert not [path for path in named if 'test_' in path
                and not any(each.endswith('/' + path) or each == path for each in there)]


# the examples

@pytest.fixture(scope='module')
def daemon():
    sections, = blocks(README, 'ini', '[rpcinterface:')
    assert '[ctlplugin:' in sections and '[program:web]' in sections
    with Daemon(group('worker', 2), plugin=sections, inet=True, username='user',
                password='123') as running:
        running.wait_running('web')
        running.wait_running('worker')
        yield running


@pytest.mark.parametrize('command, output', list(commands()))
def test_an_example_on_the_command_line_prints_what_it_says(daemon, command, output):
    if '--resume' in command:  # as in the pages, after one that has left some
        assert daemon.supervisorctl('restartgroup', 'web:web_0').returncode == 0
    done = run(command, daemon.folder)
    assert 'Traceback' not in done.stdout
    if output:
        assert (sorted(done.stdout.splitlines()), done.returncode) == (
            sorted(output.splitlines()), 0)
    else:
        assert (not done.returncode) and ('web' in done.stdout or '--version' in command)


@pytest.mark.slow
def test_the_terminal_at_the_top_is_that_of_a_good_and_of_a_broken_release():
    terminal, = blocks(README, 'console', DEPLOY)
    good = (EXAMPLE / 'app.py').read_text(encoding='utf-8')
    with RollingExample() as example:
        example.wait_serving()
        (example.folder / 'releases').mkdir()
        for name, text in (('2.py', good), ('3.py', 'import databse\n' + good)):
            (example.folder / 'releases' / name).write_text(text, encoding='utf-8')
        seen = ''
        for command in re.findall(r'^\$ (.*)$', terminal, re.MULTILINE):
            seen += '$ %s\n%s' % (command, run(command, example.folder).stdout)
            if '3.py' in command:
                before = example.pids('web')
        assert example.pids('web') == before
    assert without_numbers(seen.replace(str(example.folder), '/srv/web')) == without_numbers(
        terminal)


def without_numbers(text):
    # A slow machine finds startsecs to be over when the program ends.
    text = re.sub('START_FAILED: (Exited too quickly [^;]*|exited with status 1[^;]*);',
                  'START_FAILED: REASON;', text)
    return re.sub(r'pid \d+, uptime [\d:]+', 'pid N, uptime T', text)


def test_the_example_over_http_has_the_address_and_the_login_of_its_section():
    section, = blocks(API, 'ini', '[inet_http_server]')
    values = dict(re.findall(r'^(\w+) = (.*)$', section, re.MULTILINE))
    text, = blocks(API, 'python', 'http://user')
    assert "'http://%(username)s:%(password)s@%(port)s/RPC2'" % values in text


@pytest.mark.parametrize('text', blocks(API, 'python', 'ServerProxy'))
def test_an_example_in_python_restarts_the_group(daemon, text):
    before = daemon.pids('web')
    here = text.replace('127.0.0.1:9001', '127.0.0.1:%d' % daemon.port)
    here = here.replace('unix:///tmp/supervisor.sock', daemon.unix_url)
    assert here != text
    variables = {}
    exec(compile(here, 'api.md', 'exec'), variables)
    assert variables['result'] is True
    assert not set(before.values()) & set(daemon.wait_running('web').values())


def test_the_examples_of_programs_declare_each_value_that_there_is(tmp_path):
    text, = blocks(READINESS, 'ini', 'RESTARTER_READY')
    configuration = tmp_path / 'supervisord.conf'
    assert text.count('user = ') == text.count('command = ')
    # They need not be here.
    configuration.write_text('[supervisord]\n' + re.sub('(?m)^(user|directory) = .*', '', text))
    options = ServerOptions()
    options.realize(['-c', str(configuration)])
    programs = [process for group in options.process_group_configs
                for process in group.process_configs]
    assert all(process.command.startswith('/') for process in programs)
    declarations = [declared(process.environment).text for process in programs]
    assert sorted(set(declarations)) == [
        *('http://127.0.0.1:80%02d/health' % number for number in range(4)),
        'http://unix:/srv/blog/run/blog.sock:/health', 'listen', 'notify',
        'tcp://127.0.0.1:11211', 'unix:///srv/proxy/run/proxy.sock']
    for page in (README, READINESS):
        values = [declared({'RESTARTER_READY': value.replace('HOST:PORT', '127.0.0.1:80')})
                  for value in names(page, '`RESTARTER_READY`')]
        assert [(value.text.split(':')[0], value.family) for value in values] == [
            ('notify', None), ('listen', None), ('http', socket.AF_INET), ('http', socket.AF_UNIX),
            ('tcp', socket.AF_INET), ('unix', socket.AF_UNIX)]


def test_a_few_lines_say_that_a_program_is_ready(tmp_path, monkeypatch):
    text, = blocks(READINESS, 'python', 'NOTIFY_SOCKET')
    program = compile('import contextlib, os, socket\n' + text, 'readiness.md', 'exec')
    monkeypatch.setenv('NOTIFY_SOCKET', str(tmp_path / 's'))
    exec(program, {})  # nobody listens, and it does no harm
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.bind(str(tmp_path / 's'))
        exec(program, {})
        assert listening.recv(100) == b'READY=1'


# the tables, which are the code's

def test_the_options_and_their_defaults_are_those_of_the_code():
    written = {name.strip('`'): default for name, default, _, _ in rows(API, 'option')}
    assert written == {name: 'not set' if value is None else str(value).lower()
                       for name, value in SETTINGS.items()}


def test_the_options_of_supervisorctls_section_are_those_of_the_code():
    assert tuple(names(API, 'option of supervisorctl')) == controllerplugin._OPTIONS


def test_the_options_of_one_call_are_those_of_the_code():
    assert set(names(API, 'option of a call')) == set(_FLAGS)


def test_the_options_of_the_commands_are_those_of_the_code():
    assert set(names(API, 'command line option', '`(--[a-z-]+)')) == WORDS | CONSOLE_WORDS
    arguments = dict(re.findall('`(--[a-z-]+) ([A-Z]+)`', API))
    assert arguments == {option.typed: option.argument for option in OPTIONS.values()
                         if option.argument}
    assert names(README, 'in supervisorctl') == list(SUPERVISORCTL.values())


def test_the_exit_statuses_are_those_of_the_script():
    script = supervisorctl_restart_group
    assert {row[0] for row in rows(API, 'exit status')} == {'n', *map(str, (
        script.RESTARTED, script.DISCONNECTED, script.FAULT, script.NO_NAME, script.HTTP_ERROR,
        script.INTERRUPTED))}
    assert 'at most %d;' % script.MOST_FAILED in API


def test_the_faults_and_warnings_are_those_of_the_code():
    written = {name.strip('`'): int(code) for heading in ('fault', 'warning')
               for name, code, _ in rows(API, heading)}
    assert written == CODES


def test_the_methods_are_those_of_the_code(daemon):
    assert set(names(API, 'method', r'`(\w+)\(')) == METHODS
    versions = dict(re.findall(r"\| `(get\w+Version)\(\)` \| `'(.*)'` \|", API))
    assert versions == {name: getattr(daemon.rpc.restarter, name)() for name in versions}
    assert len(versions) == 2


def test_the_info_has_the_fields_that_are_written(daemon):
    info = daemon.rpc.restarter.getRestartInfo('web', True)
    assert set(names(API, '`getRestartInfo` returns')) == set(info)


def test_the_phases_are_those_of_the_code():
    written = names(PAGES['docs/how-it-works.md'], 'phase')
    assert tuple(dict.fromkeys(written)) == PHASES


# and what is said elsewhere of them

@pytest.mark.parametrize('name', sorted(PAGES))
def test_no_page_names_what_there_is_not(name):
    """Options of our commands and options of the file, faults, and methods with their brackets."""
    text, unknown = PAGES[name], []
    ours = '|'.join(['supervisorctl_restart_group', *SUPERVISORCTL.values()])
    for line in re.findall(r'(?:%s)\b([^`\n]*)' % ours, text):
        unknown += set(re.findall(r'(?<!\S)--[a-z-]+', line)) - WORDS - CONSOLE_WORDS
    unknown += set(re.findall(r'`((?:restart|update|get|cancel)[A-Z]\w*)', text)) - METHODS - set(
        vars(SupervisorNamespaceRPCInterface))
    unknown += set(re.findall(r'(?:ERROR \(|web_0: |`)([A-Z]+(?:_[A-Z]+)*): ', text)) - {
        'NAME', *CODES}
    for section in blocks(text, 'ini', '[rpcinterface:restarter]'):
        section = re.split(r'^\[(?!rpcinterface:restarter)', section.partition(
            '[rpcinterface:restarter]')[2], flags=re.MULTILINE)[0]
        unknown += {option.rpartition('.')[2] for option in re.findall(
            r'^([\w.-]+) *=', section, re.MULTILINE) if 'factory' not in option} - set(SETTINGS)
    assert not unknown


def literals():
    """What the plugin writes to supervisord's log, without the values in it."""
    for path in sorted((ROOT / 'supervisor_restarter').rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Call) and getattr(node.func, 'attr', '') in (
                    'log', '_log', '_cannot'):
                yield from strings(node.args[-1])
            else:
                yield from (text for text in strings(node, nested=False)
                            if re.match(r'restarter: \S', text))


def strings(node, nested=True):
    return [each.value for each in (ast.walk(node) if nested else [node])
            if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def test_each_message_in_the_log_stands_under_trouble():
    pieces = {piece.strip(' :;,()') for text in literals() for piece in re.split(
        r'%(?:\.\d)?[sdfg]', text)}
    pieces = {piece for piece in pieces if len(piece) > 3}
    assert len(pieces) > 20
    assert not {piece for piece in pieces if piece not in UPGRADING}
