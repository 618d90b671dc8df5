"""examples/rolling, as it is, in a temporary folder."""

import http.client

from tests.support.daemon import descriptors, wait_until
from tests.support.example import EXAMPLES, Example
from tests.support.load import Load, fetch

EXAMPLE = EXAMPLES / 'rolling'
GROUP = 'web'
NUMPROCS = 'numprocs = 4'
BROKEN = "raise SystemExit('a broken release')\n"


class RollingExample(Example):
    """A supervisord with a copy of the example's folder; ended with all that it started, on exit.

    `extra` is appended to its configuration; `numprocs` is how many processes it has.
    """

    def __init__(self, extra: str = '', numprocs: int = 4):
        self.numprocs = numprocs
        Example.__init__(self, 'rolling', extra)
        self.address = str(self.folder / 'web.sock')

    def write_configuration(self, programs: str) -> None:
        """Copy the example; there are no other programs."""
        Example.write_configuration(self, programs)
        text = self.configuration.read_text(encoding='utf-8')
        assert NUMPROCS in text
        self.configuration.write_text(text.replace(NUMPROCS, 'numprocs = %d' % self.numprocs),
                                      encoding='utf-8')

    def load(self, **options: float) -> Load:
        """Return clients for it; see Load."""
        return Load(self.address, **options)

    def wait_serving(self) -> None:
        """Wait until all processes serve: on a busy machine they are RUNNING before."""
        for pid in self.wait_running(GROUP, 30.0).values():
            wait_until(lambda pid=pid: _serves(pid), '%d serves' % pid, 30.0)
        wait_until(self._answers_a_request, '%s answers a request' % GROUP, 30.0)

    def _answers_a_request(self) -> bool:
        try:
            return fetch(self.address).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def release(self, text: str) -> None:
        """Replace the application: the next process that starts runs `text`."""
        (self.folder / 'app.py').write_text(text)


def _serves(pid: int) -> bool:
    # uvicorn/server.py: Server.startup opens its descriptor 0 once more when all else is there.
    opened = descriptors(pid)
    return list(opened.values()).count(opened[0]) > 1
