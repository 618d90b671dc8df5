"""The release, and fresh environments to install it in."""

import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_SOURCE = shutil.ignore_patterns('.git', '.venv', '.tox', '*.egg-info', 'build', 'dist',
                                    '.*_cache', '.hypothesis', '__pycache__', 'node_modules')


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in Path(str(item.fspath)).parents:
            item.add_marker(pytest.mark.packaging)
            item.add_marker(pytest.mark.stress)


def run(*command, **options):
    """Run a command, and return what it wrote; fails with that where the command fails."""
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, timeout=600, **options)
    assert done.returncode == 0, '%s\n%s' % (command, done.stdout)
    return done.stdout


class Environment:
    """A virtual environment with nothing but pip."""

    def __init__(self, folder, **options):
        venv.create(str(folder), with_pip=True, symlinks=True, **options)
        self.folder = folder
        self.scripts = folder / 'bin'
        self.python = self.scripts / 'python'

    def pip(self, *arguments):
        return run(self.python, '-m', 'pip', '--disable-pip-version-check', *arguments)

    @property
    def site_packages(self):
        return next(self.folder.glob('lib/python*/site-packages'))


@pytest.fixture(scope='session')
def release(tmp_path_factory):
    """A folder with the sdist and the wheel that `python -m build` makes of this tree."""
    folder = tmp_path_factory.mktemp('release')
    # A copy: what an earlier build or editable install left in the tree would get into the sdist.
    shutil.copytree(str(ROOT), str(folder / 'tree'), ignore=NOT_SOURCE)
    run(sys.executable, '-m', 'build', '--outdir', folder, folder / 'tree')
    return folder


@pytest.fixture(scope='session')
def wheel(release):
    (found,) = release.glob('*.whl')
    return found


@pytest.fixture(scope='session')
def sdist(release):
    (found,) = release.glob('*.tar.gz')
    return found


@pytest.fixture(scope='session')
def unpacked(sdist, tmp_path_factory):
    """The folder that the sdist unpacks to."""
    folder = tmp_path_factory.mktemp('sdist')
    with tarfile.open(str(sdist)) as archive:
        archive.extractall(str(folder))
    (found,) = folder.iterdir()
    return found


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path / 'environment')
