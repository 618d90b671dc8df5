"""What docs/recipes.md says of its sections is what they say."""

import re

import pytest
from supervisor.options import ServerOptions

from supervisor_restarter.daemon.declaration import declared
from tests.recipes.test_recipes import PAGE, RECIPES, blocks, table


@pytest.mark.parametrize('heading, says', [(heading, row) for heading, row in table().items()])
def test_a_section_is_what_the_table_says_and_has_whole_paths_and_its_times(
        heading, says, tmp_path):
    section = blocks(heading, 'ini')[0]
    configuration = tmp_path / 'supervisord.conf'
    # That user and that folder need not be here.
    configuration.write_text('[supervisord]\n' + re.sub('(?m)^(user|directory) = .*', '', section))
    options = ServerOptions()
    options.realize(['-c', str(configuration)])
    for process in options.process_group_configs[0].process_configs:
        declaration = declared(process.environment)
        assert declaration is None if says[0] == 'RUNNING' else (
            declaration.text.startswith(says[0].strip('`')))
        assert process.command.startswith('/')
    assert 'stopsignal = ' in section and 'stopwaitsecs = ' in section
    assert ('user = ' in section) == (heading not in ('php-fpm', 'nginx'))
    assert says[1].startswith('`max_surge') <= (says[2] == 'yes')


def test_the_table_has_all_that_there_is_and_what_no_test_runs_is_marked():
    headings = re.findall(r'^### (.*)$', PAGE[:PAGE.index('\n## Deploy')], re.MULTILINE)
    assert headings and set(headings) == set(table())
    for heading in headings:
        part = PAGE[PAGE.index('\n### %s\n' % heading):].split('\n### ')[1]
        assert ('Not run by `make recipes`' in part) == (
            heading not in {recipe.heading for recipe in RECIPES.values()})
