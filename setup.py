import re
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
PAGE = 'https://github.com/supervisor-restarter/supervisor-restarter'


def text(name):
    return (HERE / name).read_text(encoding='utf-8')


def with_full_links(page):
    """Return a document whose links into this tree work away from it, as on a package index."""
    def full(link):
        kind = 'raw' if link.group(1)[0] == '!' else 'blob'
        return '%s(%s/%s/main/' % (link.group(1), PAGE, kind)
    return re.sub(r'(!?\[[^]]*\])\((?!https?:|#)', full, page)


setup(
    name='supervisor-restarter',
    version=re.search(r"^__version__ = '(.+)'$",
                      text('supervisor_restarter/__init__.py'), re.M).group(1),
    description='Restarts the process groups of Supervisor at the speed of the processes: '
                'all at once, staggered, rolling or new before old',
    long_description=with_full_links(text('README.md')),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    url=PAGE,
    project_urls={'Changes': PAGE + '/blob/main/CHANGES.md'},
    keywords='supervisor supervisord plugin restart rolling deploy',
    classifiers=[
        'Development Status :: 5 - Production/Stable',
        'Environment :: No Input/Output (Daemon)',
        'Intended Audience :: System Administrators',
        'Operating System :: POSIX',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3 :: Only',
        'Programming Language :: Python :: 3.8',
        'Programming Language :: Python :: 3.9',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: System :: Boot',
        'Topic :: System :: Monitoring',
        'Topic :: System :: Systems Administration',
    ],
    # supervisor.plugins is where the plugin was until 1.1.0. It has no __init__.py, and neither has
    # its parent here, so that the installed Supervisor's own package stays the only owner.
    packages=['supervisor_restarter', 'supervisor_restarter.commands',
              'supervisor_restarter.daemon', 'supervisor_restarter.restart', 'supervisor.plugins'],
    package_data={'supervisor_restarter': ['page.html', 'page.css', 'page.js', 'restarter.conf']},
    package_dir={'supervisor.plugins': 'supervisor_restarter/legacy'},
    python_requires='>=3.8',
    install_requires=['supervisor>=4.1'],
    extras_require={
        # supervisor_twiddler imports pkg_resources, which newer ones warn about or no longer have.
        'test': ['pytest', 'pytest-xdist', 'hypothesis', 'pyte', 'uvicorn',
                 'supervisor_twiddler', 'setuptools<80'],
        'lint': ['ruff', 'check-manifest', 'twine', 'build', 'setuptools>=61', 'wheel'],
        'fleet': ['ansible-core'],
        'benchmark': ['matplotlib', 'circus', 'supervisor-wildcards', 'supervisor-serialrestart',
                      'uvicorn', 'uvicorn-worker', 'gunicorn', 'ansible-core'],
    },
    entry_points={'console_scripts': [
        'supervisorctl_restart_group = supervisor_restarter.supervisorctl_restart_group:main',
    ]},
)
