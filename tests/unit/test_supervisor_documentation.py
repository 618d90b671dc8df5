"""Supervisor's own test of what its interfaces say about themselves, with ours among them."""

from supervisor import events, xmlrpc
from supervisor.rpcinterface import SupervisorNamespaceRPCInterface
from supervisor.tests.base import DummySupervisor
from supervisor.tests.test_rpcinterfaces import (
    SystemNamespaceXMLRPCInterfaceTests as SupervisorsOwn,
)

import supervisor_restarter


class WithOurNamespace(SupervisorsOwn):
    """Supervisor's tests of the namespace `system`, which lists and explains all others."""

    # Supervisor's test asks for the interfaces here.
    def _makeOne(self):
        supervisord = DummySupervisor()
        self.addCleanup(events.clear)
        return xmlrpc.SystemNamespaceRPCInterface([
            ('supervisor', SupervisorNamespaceRPCInterface(supervisord)),
            ('restarter', supervisor_restarter.make_rpcinterface(supervisord))])


del SupervisorsOwn  # or pytest runs it here too
