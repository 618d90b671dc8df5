"""Takes `restart` and `update` over in Supervisor's own tests of them: `make supervisor-tests`.

The server that those tests have is one without the plugin.
"""

import xmlrpc.client

import pytest
from supervisor.tests.test_supervisorctl import TestDefaultControllerPlugin
from supervisor.xmlrpc import Faults

from supervisor_restarter.commands.taken_over import TakenOver

asked = []
make_one = TestDefaultControllerPlugin._makeOne


class NoPlugin:
    """The namespace `restarter` of a supervisord that does not have it."""

    def getAPIVersion(self):
        asked.append('getAPIVersion')
        raise xmlrpc.client.Fault(Faults.UNKNOWN_METHOD, 'UNKNOWN_METHOD')


def make_one_taken_over(self, *arguments, **options):
    own = make_one(self, *arguments, **options)
    own.ctl.options._server.restarter = NoPlugin()
    taken = TakenOver(own)
    taken.take_restart()
    taken.take_update()
    return own


TestDefaultControllerPlugin._makeOne = make_one_taken_over


@pytest.hookimpl
def pytest_sessionfinish(session):
    if session.testscollected and len(asked) < 10:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print('the commands were not taken over: %d calls' % len(asked))
