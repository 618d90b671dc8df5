import re
from pathlib import Path

from setuptools import setup

here = Path(__file__).parent
version = re.search(r"^__version__ = '(.+)'$",
                    (here / 'supervisor_restarter' / '__init__.py').read_text(), re.M).group(1)

setup(
    name='supervisor-restarter',
    version=version,
    packages=['supervisor_restarter'],
    python_requires='>=3.8',
    install_requires=['supervisor>=4.2'],
    entry_points={'console_scripts': [
        'supervisorctl_restart_group = '
        'supervisor_restarter.supervisorctl_restart_group:main',
    ]},
)
