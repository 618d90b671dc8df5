"""The file is read in a supervisord that runs, and nothing of it changes."""

import copy
import os

import pytest

from supervisor_restarter.daemon import configuration
from tests.unit.test_plan import File, program

# All that can be wrong with a file: what stands in it below [supervisord], and what is said. Only
# some of it is a ValueError that supervisorctl reread could tell.
BROKEN = {
    'no file': (None, 'could not find config file {folder}/supervisord.conf'),
    'a folder': ('folder', 'could not read config file {folder}/supervisord.conf'),
    'not text': (b'\xff\xfe\x00', "'utf-8' codec can't decode byte 0xff in position "),
    'no key': ('[program:web]\ncommand', 'Source contains parsing errors: '),
    'no command': ('[program:web]\n',
                   'program section program:web does not specify a command in section '),
    'no number': (program(numprocs='many'), "invalid literal for int() with base 10: 'many'"),
    'no such variable': (program(environment='KEY="%(ENV_NO_SUCH)s"'), 'Format string '),
    'no such program in a group': ('[group:web]\nprograms = no_such\n',
                                   '[group:web] names unknown program or fcgi-program no_such'),
    'no such user': (program(user='no_such_user'), 'Invalid user name no_such_user'),
    'no such event': ('[eventlistener:web]\ncommand = /bin/cat\nevents = NO_SUCH\n',
                      'Unknown event type NO_SUCH in [eventlistener:web] events'),
    'a module that cannot be imported': (
        '[eventlistener:web]\ncommand = /bin/cat\nevents = TICK_5\n'
        'result_handler = supervisor_restarter_broken:handler\n', 'SyntaxError: '),
    'a module that ends': (
        '[eventlistener:web]\ncommand = /bin/cat\nevents = TICK_5\n'
        'result_handler = supervisor_restarter_ends:handler\n', 'SystemExit: 3'),
    'a broken include': ('[include]\nfiles = broken.ini\n', 'Source contains parsing errors: '),
    'no section': (b'command = 1\n', 'File contains no section headers.'),
}


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Modules that cannot be imported."""
    (tmp_path / 'supervisor_restarter_broken.py').write_text('def (')
    (tmp_path / 'supervisor_restarter_ends.py').write_text('import sys\nsys.exit(3)\n')
    monkeypatch.syspath_prepend(str(tmp_path))


def everything(options):
    section = options.configroot.supervisord
    return [copy.copy(vars(options)), copy.copy(vars(section)), dict(options.environ_expansions),
            dict(options.attr_priorities)]


@pytest.mark.parametrize('kind', BROKEN)
def test_a_broken_file_is_one_sentence_and_nothing_has_changed(tmp_path, modules, kind):
    file = File(tmp_path, program())
    (tmp_path / 'broken.ini').write_text('[program:web]\ncommand')
    before = everything(file.options)
    text, sentence = BROKEN[kind]
    if isinstance(text, bytes):
        file.path.write_bytes(text)
    elif text in (None, 'folder'):
        os.remove(str(file.path))
        if text:
            file.path.mkdir()
    else:
        file.write('minfds = 77\nenvironment = KEY="value"\n' + text)
    with pytest.raises(configuration.CannotReread) as why:
        configuration.read(file.options)
    said = str(why.value)
    assert said.startswith(sentence.format(folder=tmp_path)) and said.isprintable()
    assert everything(file.options) == before


def test_what_is_read_belongs_to_the_supervisord_that_runs_which_has_not_changed(tmp_path):
    file = File(tmp_path, program())
    before = everything(file.options)
    file.write('minfds = 77\nloglevel = trace\nenvironment = KEY="value"\n' + program(numprocs=3))
    config = file.read()
    assert everything(file.options) == before
    assert [each.name for each in config.process_configs] == ['web_0', 'web_1', 'web_2']
    assert {each.options for each in [config, *config.process_configs]} == {file.options}
    assert config.process_configs[0].environment == {'KEY': 'value'}


def test_a_variable_of_supervisords_and_an_included_file_are_read_as_at_the_start(tmp_path,
                                                                                 monkeypatch):
    monkeypatch.setenv('SECONDS', '7')
    file = File(tmp_path, '[include]\nfiles = *.ini\n')
    (tmp_path / 'web.ini').write_text(program(command='/bin/sleep %(ENV_SECONDS)s', numprocs=1,
                                              directory='%(here)s'))
    monkeypatch.setenv('SECONDS', '8')
    config, = file.read().process_configs
    assert (config.command, config.directory) == ('/bin/sleep 7', str(tmp_path))


def test_a_group_is_known_for_add_as_it_is_in_the_file_and_no_other_is(tmp_path):
    other = '[program:other]\ncommand = /bin/sleep %d\n'
    file = File(tmp_path, program() + other % 1)
    file.write(program(numprocs=3) + other % 2)
    known = list(file.options.process_group_configs)
    new = file.read()
    configuration.take_over(file.options, new)
    after = {config.name: config for config in file.options.process_group_configs}
    assert after['web'] is new and after['other'] in known and len(after) == 2
    file.options.process_group_configs = []
    configuration.take_over(file.options, new)
    assert file.options.process_group_configs == [new]


@pytest.mark.parametrize('command, why', [
    ('/no/such/program', "can't find command '/no/such/program'"),
    ('/etc/passwd', "command at '/etc/passwd' is not executable"),
    ('sh "', "can't parse command "),
])
def test_a_program_that_cannot_be_started_is_seen_without_starting_it(tmp_path, command, why):
    file = File(tmp_path, program())
    group = file.group()
    assert configuration.cannot_start(group, file.read().process_configs) is None
    file.write(program(command=command))
    name, said = configuration.cannot_start(group, file.read().process_configs)
    assert name == 'web_0' and said.startswith(why)

