"""The sections of docs/recipes.md, as they stand there, with real programs: each is restarted in
every way, with a release that comes up and with one that does not.

    make recipes

Only paths and ports are replaced, and the user where that user cannot read the folder.
"""

import contextlib
import getpass
import os
import pwd
import re
import shutil
import signal
import stat
import textwrap
import xmlrpc.client
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

import pytest

from tests.recipes import applications as apps
from tests.support.daemon import Daemon, descendants, free_ports, wait_until
from tests.support.load import Load

pytestmark = pytest.mark.recipes

PAGE = (Path(__file__).parents[2] / 'docs' / 'recipes.md').read_text(encoding='utf-8')
# Where the packages of PyPI are; `make recipes` says it.
SCRIPTS = Path(os.environ.get('RECIPES', ''))
PORTS = re.compile(r'\b(8000|8001|80|6379|11211)\b')

# For each server that takes its time to fail: the others end at once.
SECONDS = 12
# Requests that have to be seen before and after each restart.
REQUESTS = 100


class Recipe(NamedTuple):
    """A program of the page, under its `heading` there.

    `good` is what the `file` below the folder of the test holds for a release that comes up, and
    `broken` for one that does not; without a file, `broken` is a pair of texts, the first of which
    is replaced by the second in the section. `web`: it answers requests over HTTP. `beside` is
    another recipe that it needs. One that is not on the page, but differs from one there, has a
    `name` of its own, what it `changes` there, and with `surge` whether max_surge can be.
    """

    heading: str
    program: str
    file: str = ''
    good: str = ''
    broken: Any = apps.BROKEN_PYTHON
    web: bool = False
    beside: str = ''
    name: str = ''
    changes: Tuple[Tuple[str, str], ...] = ()
    surge: str = ''


ENVIRONMENT = r'environment = .*\n'
RECIPES = {recipe.name or recipe.heading: recipe for recipe in [
    Recipe('gunicorn, a shared socket', 'gunicorn', 'shop.py', apps.WSGI, web=True),
    Recipe('gunicorn, a port for each', 'gunicorn', 'shop.py', apps.WSGI, web=True),
    Recipe('gunicorn, a unix socket', 'gunicorn', 'shop.py', apps.WSGI, web=True),
    Recipe('uvicorn, a shared socket', 'uvicorn', 'shop.py', apps.ASGI, web=True),
    Recipe('uvicorn, a port for each', 'uvicorn', 'shop.py', apps.ASGI, web=True),
    Recipe('uvicorn, several workers', 'uvicorn', 'shop.py', apps.ASGI, web=True),
    Recipe('uWSGI, a shared socket', 'uwsgi', 'shop.py', apps.WSGI, web=True),
    Recipe('node', 'node', 'server.js', apps.NODE, apps.BROKEN_NODE, web=True),
    Recipe('node, a shared socket', 'node', 'server.js', apps.NODE_SHARED, apps.BROKEN_NODE,
           web=True),
    Recipe('puma', 'puma', 'config.ru', apps.RACK, apps.BROKEN_RUBY, web=True),
    Recipe('php-fpm', 'php-fpm', 'php-fpm.conf', apps.PHP_FPM, apps.BROKEN_PHP_FPM),
    Recipe('nginx', 'nginx', 'nginx.conf', apps.NGINX, apps.BROKEN_NGINX, web=True),
    Recipe('redis', 'redis-server', 'redis.conf', apps.REDIS, apps.BROKEN_REDIS),
    Recipe('memcached', 'memcached', broken=('memcached -l', 'memcached --broken -l')),
    Recipe('celery', 'celery', 'shop.py', apps.CELERY),
    Recipe('rq', 'rq', broken=('rq worker', 'rq worker --broken'), beside='redis'),
    Recipe('a shell script', 'sh', 'mirror.sh', broken=apps.BROKEN_SHELL),

    Recipe('gunicorn, a port for each', 'gunicorn', 'shop.py', apps.WSGI, web=True,
           name='gunicorn that declares nothing', changes=((ENVIRONMENT, ''),), surge='no'),
    Recipe('gunicorn, a port for each', 'gunicorn', 'shop.py', apps.WSGI, web=True,
           name='gunicorn with a port that is reused',
           changes=(('--bind', '--reuse-port --bind'),), surge='yes'),
    Recipe('uvicorn, several workers', 'uvicorn', 'shop.py', apps.ASGI, web=True,
           name='uvicorn, several workers that notify',
           changes=((ENVIRONMENT, 'environment = RESTARTER_READY="notify"\n'),), surge='no'),
]}


def blocks(heading: str, language: str) -> List[str]:
    """The blocks of a language below a heading of the page."""
    part = PAGE[PAGE.index('\n### %s\n' % heading) + 4:]
    part = re.split(r'^##', part, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r'^```%s\n(.*?)^```$' % language, part, re.MULTILINE | re.DOTALL)


def table() -> Dict[str, List[str]]:
    """The rows of the page's first table, by their headings."""
    lines = PAGE[PAGE.index('\n| program |'):].strip().split('\n\n')[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    return {re.match(r'\[(.*)\]', row[0]).group(1): row[1:] for row in rows}


def program(name: str) -> str:
    """Return the path of a program, or skip the test."""
    if name == 'php-fpm':
        found = sorted(Path('/usr/sbin').glob('php-fpm?*'))[-1:]
    else:
        found = [path for path in (SCRIPTS / name, shutil.which(name))
                 if path and Path(path).is_file()]
    if not found:
        pytest.skip('%s is not here' % name)
    return str(found[0])


class Site:
    """A supervisord with the section of a recipe, and the folder of its application."""

    def __init__(self, recipe: Recipe):
        self.recipe, self.name = recipe, recipe.name or recipe.heading
        self.daemon = Daemon('', prefix=['env', '-C', '/'])
        self.folder = self.daemon.folder / 'shop'
        (self.folder / 'run').mkdir(parents=True)
        self.daemon.folder.chmod(0o755)  # else no other user would get in
        self.release, self.port, self.address, self.user = 0, free_ports(4)[0], None, ''
        beside = [self._section(RECIPES[recipe.beside])] if recipe.beside else []
        self.section = self._section(recipe)
        self.beside = '\n'.join(beside)
        self.group = re.search(r'^\[\S*program:(\w+)\]', self.section).group(1)
        self.size = int((re.findall(r'^numprocs = (\d+)', self.section, re.MULTILINE) or [1])[0])
        if recipe.web:
            path = re.search(r'unix:(/\S+\.sock)', self.section)
            shared = 'numprocs_start' not in self.section
            self.address = (path.group(1) if path else ('127.0.0.1', self.port) if shared else
                            [('127.0.0.1', self.port + number) for number in range(self.size)])
        self.deploy()
        self.daemon.write_configuration(self.beside + self.section)

    def _section(self, recipe: Recipe) -> str:
        text = blocks(recipe.heading, 'ini')[0]
        for pattern, text_instead in recipe.changes:
            text, count = re.subn(pattern, text_instead, text)
            assert count == 1
        path = program(recipe.program)
        text = re.sub(r'^command = \S+(?= )', 'command = ' + path, text, flags=re.MULTILINE) \
            if recipe.program != 'sh' else text
        text = re.sub(r'/(srv/shop|etc/nginx|etc/redis|etc/php/8.2/fpm)(?=[/\s])', str(self.folder),
                      text)
        text = PORTS.sub(str(self.port), text)
        user = re.search(r'^user = (\w+)\n', text, re.MULTILINE)
        self.user = user.group(1) if user else 'www-data'
        if user and not may_run(self.user, path):
            text, self.user = text.replace(user.group(), ''), getpass.getuser()
        if recipe is not self.recipe:
            self._write(recipe, recipe.good)
        return text

    def _write(self, recipe: Recipe, text: str) -> None:
        lines = {'uvicorn': blocks('uvicorn, a shared socket', 'python'),
                 'celery': blocks('uvicorn, a shared socket', 'python'),
                 'node': blocks('node', 'js')}.get(recipe.program, [''])[0]
        if recipe.program != 'node':
            lines = textwrap.indent(lines, '    ')
        for word, value in {
                'LINES': lines, 'CONNECT': blocks('celery', 'python')[0],
                'USER': '' if os.getuid() else 'user = www-data', 'PORT': str(self.port),
                'FOLDER': str(self.folder), 'RELEASE': 'release-%d' % self.release}.items():
            text = text.replace(word, value)
        path = self.folder / recipe.file
        new = path.with_suffix('.new')
        new.write_text(text)
        new.chmod(0o755)
        new.replace(path)  # at once, as a deployment does
        if not os.getuid():
            for each in (self.folder, self.folder / 'run'):
                shutil.chown(str(each), self.user)

    def deploy(self, broken: bool = False) -> None:
        """Put a new release there."""
        recipe = self.recipe
        self.release += 1
        self.broken = broken
        if not recipe.file:
            section = self.section.replace(*recipe.broken) if broken else self.section
            assert broken == (section != self.section)
            self.daemon.write_configuration(self.beside + section)
        elif broken:
            self._write(recipe, recipe.broken)
        else:
            self._write(recipe, recipe.good or blocks(recipe.heading, 'sh')[0])

    def restart(self, **options: Any) -> Tuple[Any, str]:
        """Restart the group; return what came back, and the faults as lines."""
        if not self.recipe.file:
            options['reread'] = True
        with self.daemon.connection() as rpc:
            try:
                answer = rpc.restarter.restartProcessGroup(self.group, options)
            except xmlrpc.client.Fault as why:
                return [], why.faultString
        return answer, '' if answer is True else '\n'.join(
            '%(name)s: %(text)s' % fault for fault in answer)

    def load(self) -> Load:
        """Clients of it, which ask another of its addresses once more."""
        return Load(self.address, clients=2, per_connection=10, pause=0.02)

    def up(self) -> Dict[str, int]:
        """Bring a release up that is good, if that is not so; return the process ids."""
        if self.broken:
            self.deploy()
            answer, faults = self.restart()
            assert answer is True, faults
        return self.daemon.pids(self.group)


def may_run(user: str, path: str) -> bool:
    """Whether a program can be run by a user, if it is root who asks."""
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    real = Path(path).resolve()
    return os.getuid() == 0 and all(
        folder.stat().st_mode & stat.S_IXOTH
        for each in (Path(path).absolute(), real) for folder in each.parents)


def new(before: Dict[str, int], after: Dict[str, int]) -> List[str]:
    """Those that are another process now, or none."""
    return [name for name in before if before[name] != after[name]]


@pytest.fixture(scope='module', params=[
    pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in RECIPES])
def site(request):
    running = Site(RECIPES[request.param])
    with running.daemon:
        running.daemon.wait_running(running.group, 60)
        yield running


WAYS = {'all at once': {}, 'rolling': {'max_unavailable': 1}, 'surge': {'max_surge': 1}}


@pytest.mark.parametrize('release', ['good', 'broken'])
@pytest.mark.parametrize('way', list(WAYS))
def test_a_restart(site, way, release):
    if way == 'rolling' and site.size == 1:
        pytest.skip('with one process that is all at once')
    possible = (site.recipe.surge or table()[site.recipe.heading][2]) == 'yes'
    before = site.up()
    options = dict(WAYS[way], **({'timeout': SECONDS} if release == 'broken' else {}))

    def restarted():
        site.deploy(broken=release == 'broken')
        answer, faults = site.restart(**options)
        return answer, faults, site.daemon.pids(site.group)

    if site.recipe.web:
        with site.load() as load:
            wait_until(lambda: load.counts().requests > REQUESTS, 'requests before')
            answer, faults, after = restarted()
            seen = load.counts().requests
            wait_until(lambda: load.counts().requests > seen + REQUESTS or way == 'all at once',
                       'requests after', 40)
        counts = load.counts()
        print('%s, %s, %s: %d of %d requests failed, %d retried, the slowest took %.2f s; %s' % (
            site.name, way, release, counts.failed, counts.requests, counts.retried,
            counts.slowest, faults))
        if way != 'all at once':
            assert counts.failed == 0, counts
    else:
        answer, faults, after = restarted()
        print('%s, %s, %s: %s' % (site.name, way, release, faults))
    if release == 'good' and (way != 'surge' or possible):
        assert answer is True, faults
        assert new(before, after) == list(before)
        assert not site.recipe.web or b'release-%d' % site.release in counts.bodies
        return
    assert answer is not True
    if 'START_FAILED' in faults and (way != 'surge' or possible):
        assert 'broken' in faults  # the line that says why; one that runs on may say more
    touched = {'all at once': site.size, 'rolling': 1, 'surge': 0}[way]
    assert len(new(before, after)) == touched, faults
    if way == 'surge' and not possible:
        assert re.search(r'pid \d+ does|listened on by pid \d+|would take .* away', faults)


def test_a_worker_that_is_recycled_later_says_ready_again_and_finds_nobody_missing():
    site = Site(RECIPES['uvicorn, several workers that notify'])
    with site.daemon as daemon:
        daemon.wait_running('shop', 60)
        assert site.restart()[0] is True
        wait_until(lambda: len(workers(daemon)) == 2, 'two workers')
        gone = workers(daemon)[0]
        os.kill(gone, signal.SIGKILL)
        wait_until(lambda: len(workers(daemon)) == 2 and gone not in workers(daemon),
                   'another worker')
        wait_until(lambda: said(daemon).count('Application startup complete') == 5, 'its startup')
        assert 'Traceback' not in said(daemon)


def workers(daemon):
    """The processes that uvicorn has started to serve: the other one watches its memory."""
    found = []
    for pid in descendants(daemon.pids('shop')['shop']):
        with contextlib.suppress(OSError):  # it has gone
            if b'spawn_main' in Path('/proc/%d/cmdline' % pid).read_bytes():
                found.append(pid)
    return found


def said(daemon):
    """What the process has written to its standard error, also the one before."""
    with daemon.connection() as rpc:
        return rpc.supervisor.readProcessStderrLog('shop', 0, 0)
