"""What is in a release, and what an index shows of it."""

import re
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from benchmarks.results import RESULTS
from supervisor_restarter import __version__
from tests.packaging.conftest import ROOT, Environment, run

# A release holds each file of these folders, and these files.
FOLDERS = ['supervisor_restarter', 'tests', 'examples', 'docs', 'benchmarks']
FILES = ['README.md', 'CHANGES.md', 'CONTRIBUTING.md', 'LICENSE', 'Makefile', 'MANIFEST.in',
         'pyproject.toml', 'ruff.toml', 'setup.py', 'tox.ini', '.ci/run']


@pytest.fixture(scope='module')
def names(wheel):
    return zipfile.ZipFile(str(wheel)).namelist()


@pytest.fixture(scope='module')
def metadata(wheel):
    with zipfile.ZipFile(str(wheel)) as archive:
        name = 'supervisor_restarter-%s.dist-info/METADATA' % __version__
        return message_from_string(archive.read(name).decode())


def test_the_wheel_is_for_every_python_3_and_holds_modules_page_and_section_alone(wheel, names):
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / 'supervisor_restarter').rglob('*.py')
               if path.parent.name != 'legacy'}
    assert wheel.name == 'supervisor_restarter-%s-py3-none-any.whl' % __version__
    assert {name for name in names if '.dist-info/' not in name} == (
        modules | {'supervisor_restarter/page.html', 'supervisor_restarter/page.css',
                   'supervisor_restarter/page.js', 'supervisor_restarter/restarter.conf',
                   'supervisor/plugins/restarter.py'})


def test_the_wheel_owns_no_package_of_supervisors(names):
    assert not [name for name in names if name.startswith('supervisor/') and '__init__' in name]


def test_the_wheel_holds_the_licence(names):
    assert [name for name in names if name.endswith('LICENSE')]


def test_the_sdist_holds_the_sources_the_tests_and_the_documents(unpacked):
    def sources(root):
        found = {str(path.relative_to(root)) for folder in FOLDERS
                 for path in (root / folder).rglob('*') if path.is_file()}
        return {name for name in found if not {'__pycache__', 'node_modules', '.hypothesis'} & set(
            Path(name).parts)}
    assert sources(unpacked) == sources(ROOT)
    assert [name for name in FILES if not (unpacked / name).is_file()] == []


def test_the_sdist_holds_nothing_else_but_what_the_build_adds(unpacked):
    names = {path.name for path in unpacked.iterdir()}
    assert names == (set(FOLDERS) | {name.split('/')[0] for name in FILES}
                     | {'PKG-INFO', 'setup.cfg', 'supervisor_restarter.egg-info'})


@pytest.mark.parametrize('field, value', [
    ('Name', 'supervisor-restarter'),
    ('Version', __version__),
    ('License', 'Apache-2.0'),
    ('Requires-Python', '>=3.8'),
    ('Description-Content-Type', 'text/markdown'),
])
def test_an_index_is_told(metadata, field, value):
    assert metadata[field] == value


def test_the_description_is_the_readme_with_links_that_work_elsewhere(metadata):
    description, readme = metadata.get_payload(), (ROOT / 'README.md').read_text()
    targets = re.findall(r'\]\(([^)]+)\)', description)
    assert targets and all(re.match('https?://|#', target) for target in targets)
    link = re.compile(r'\]\([^)]+\)')
    assert link.sub('', description).strip() == link.sub('', readme).strip()
    for name in re.findall(r'github.com/[^)]+/main/([^)#]+)', description):
        assert (ROOT / name).exists(), name


def test_supervisor_is_the_only_dependency_at_run_time(metadata):
    needed = [line for line in metadata.get_all('Requires-Dist') if 'extra ==' not in line]
    assert needed == ['supervisor>=4.1']


def test_every_link_names_the_same_project(metadata):
    links = [line.split(', ')[1] for line in metadata.get_all('Project-URL')]
    assert links and all(link.startswith('https://github.com/') for link in links)


def test_an_index_would_take_it(wheel, sdist):
    assert 'PASSED' in run(sys.executable, '-m', 'twine', 'check', '--strict', wheel, sdist)


def test_the_version_is_not_repeated_in_what_builds_the_release():
    for name in ['setup.py', 'pyproject.toml', 'MANIFEST.in', 'Makefile', 'tox.ini']:
        assert __version__ not in (ROOT / name).read_text(), name


def test_the_changes_begin_with_this_version():
    headings = [line for line in (ROOT / 'CHANGES.md').read_text().splitlines()
                if line.startswith('## ')]
    assert headings[0].split()[1] == __version__


def test_the_tests_in_the_sdist_pass_where_the_sdist_is_installed(unpacked, sdist, tmp_path):
    environment = Environment(tmp_path / 'environment')
    environment.pip('install', '%s[test]' % sdist)
    said = run(environment.python, '-m', 'pytest', '-m', 'not packaging', 'tests/unit',
               'tests/integration/test_demo.py', cwd=str(unpacked))
    assert ' passed' in said and ' failed' not in said


def test_the_results_of_a_benchmark_go_where_git_does_not_look():
    ignored = (ROOT / '.gitignore').read_text().split()
    assert RESULTS.relative_to(ROOT).parts[0] + '/' in ignored
