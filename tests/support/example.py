"""An example, as it is, in a temporary folder."""

import os
import shutil
from pathlib import Path

from tests.support.daemon import SCRIPTS, Daemon

EXAMPLES = Path(__file__).parents[2] / 'examples'


class Example(Daemon):
    """A supervisord with a copy of an example's folder; ended with all that it started, on exit.

    `extra` is appended to its configuration.
    """

    def __init__(self, name: str, extra: str = ''):
        self.example = EXAMPLES / name
        path = '%s%s%s' % (SCRIPTS, os.pathsep, os.environ.get('PATH', ''))
        Daemon.__init__(self, '', extra=extra, env=dict(os.environ, PATH=path))
        self.unix_url = self.url = 'unix://%s' % (self.folder / 'supervisor.sock')

    def write_configuration(self, programs: str) -> None:
        """Copy the example; there are no other programs."""
        for source in self.example.iterdir():
            if source.is_file():
                shutil.copy(str(source), str(self.folder))
        text = self.configuration.read_text(encoding='utf-8')
        self.configuration.write_text(text + '\n' + self._extra, encoding='utf-8')
