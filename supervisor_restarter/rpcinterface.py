"""The restarter namespace of supervisord's XML-RPC interface."""

import functools
import inspect
import traceback
import types
from typing import Any, Callable, List, Optional, Sequence

from supervisor.http import NOT_DONE_YET
from supervisor.options import split_namespec
from supervisor.states import SupervisorStates

from supervisor_restarter import __version__, plans
from supervisor_restarter import options as plugin_options
from supervisor_restarter.daemon import configuration
from supervisor_restarter.daemon.mainloop import MainLoop
from supervisor_restarter.daemon.readiness import Readiness
from supervisor_restarter.daemon.start import keep_from_starting
from supervisor_restarter.page import Page
from supervisor_restarter.restart.faults import Faults, RPCError
from supervisor_restarter.restart.plan import Plan
from supervisor_restarter.restart.restarts import Restarts
from supervisor_restarter.text import kind, shown

API_VERSION = '3.3'

# The modules in which a section of ours may name its factory.
_OUR_MODULES = (__package__, __name__, 'supervisor.plugins.restarter')


class _RPCMethod:
    # A call that does not fit the signature is a bare INCORRECT_PARAMETERS, and so is any TypeError
    # of ours (supervisor/xmlrpc.py: traverse, which calls nothing but a MethodType). So say what is
    # wrong before the method is called.

    def __init__(self, method: Callable):
        functools.update_wrapper(self, method)
        # Readers of `__code__` find the parameters (supervisor/tests/test_rpcinterfaces.py:
        # test_allMethodDocs).
        self.__code__ = method.__code__
        self._signature = inspect.signature(method)

    def __get__(self, interface: Any, owner: Any = None) -> Any:
        return self if interface is None else types.MethodType(self, interface)

    def __call__(self, *arguments: Any) -> Any:
        try:
            self._signature.bind(*arguments)
        except TypeError as why:
            raise RPCError(Faults.INCORRECT_PARAMETERS,
                           '%s: %s' % (self.__name__, why)) from None
        return self.__wrapped__(*arguments)


class RestarterNamespaceRPCInterface:
    """Restarts process groups in the time that the processes themselves need.

    supervisord makes one for each of its HTTP servers; they share `restarts`, `mainloop` and
    `configured`.
    """

    def __init__(self, supervisord: Any, restarts: Restarts, mainloop: MainLoop,
                 configured: plugin_options.Configured):
        self.supervisord = supervisord
        self._restarts = restarts
        self._mainloop = mainloop
        self._configured = configured

    def _update(self, text: str) -> None:
        self.update_text = text  # for unit tests, mainly
        if self.supervisord.options.mood < SupervisorStates.RUNNING:
            raise RPCError(Faults.SHUTDOWN_STATE, 'supervisord is stopping')

    # RPC API methods

    @_RPCMethod
    def getAPIVersion(self):
        """ Return the version of the RPC API of this namespace

        @return string version  '3.3'
        """
        self._update('getAPIVersion')
        return API_VERSION

    @_RPCMethod
    def getPluginVersion(self):
        """ Return the version of supervisor-restarter

        @return string version  such as '2.0.0'
        """
        self._update('getPluginVersion')
        return __version__

    @_RPCMethod
    def restartProcessGroup(self, name, options={}):  # noqa: B006  it is never changed
        """ Restart the processes of a group, each as soon as it is down

        The restart goes on in supervisord whatever happens to the caller. Faults that are raised:
        BAD_GROUP, RESTART_IN_PROGRESS, NO_RESTART, TIMEOUT, STOPPED_EARLY, CANCELLED,
        SHUTDOWN_STATE, INCORRECT_PARAMETERS; with reread also those of updateProcessGroup.

        @param string name     The group; 'group:*' and 'group:' mean it too
        @param struct options  May be left out. Overrides the configuration for this call: delay,
                               timeout and min_ready_seconds in seconds, stagger_factor,
                               max_unavailable and max_surge (a number or a percentage such as
                               '25%'), only_running: true to leave what is STOPPED or EXITED. And
                               for this call alone: wait: false to return at once; processes: an
                               array of the names of those to restart, and no others; reread: true
                               to restart them with their configuration in the file; resume: true
                               to restart what the last restart of the group left as it was, or
                               could not start, with the options that it had
        @return boolean result  True; or an array of faults, structs of code, text, group and name,
                               when some processes have failed and all others have restarted
        """
        self._update('restartProcessGroup')
        group = self._group_name(name)
        flags = 'processes', 'reread', 'resume'
        call = self._call('restartProcessGroup', group, options, *flags)
        if call.resume:
            names, settings, reread = self._restarts.left(group)
            call = plugin_options.from_call(settings, options)._replace(
                processes=names, reread=call.reread or reread)
        plan = self._plan(group, restart=True) if call.reread else None
        if call.reread and not call.resume:  # the file may have other options by now
            call = self._call('restartProcessGroup', group, options, *flags)
        plan = plans.limited(self._restarts, group, plan, call.processes,
                             call.settings.only_running)
        return self._begin(group, call, plan, call.processes if call.resume else None)

    @_RPCMethod
    def updateProcessGroup(self, name, options={}):  # noqa: B006  it is never changed
        """ Make a group what its configuration in the file says, and leave the rest as it is

        Processes that are new in the file are added, those that are gone removed, and those whose
        configuration has changed replaced; the others are kept. Faults that are raised, beside
        those of restartProcessGroup: CANT_REREAD for a file that cannot be read; BAD_GROUP for a
        group that is not active or not in the file; CANT_UPDATE for a change of the group as a
        whole; SPAWN_ERROR for a program that does not exist.

        @param string name     The group; 'group:*' and 'group:' mean it too
        @param struct options  May be left out. Those of restartProcessGroup without reread and
                               resume; and dry_run: true to be told what would be done
        @return boolean result  As restartProcessGroup; or with dry_run an array of structs of name,
                               action (keep, replace, add, remove) and changed, an array of the
                               names of the options that have changed
        """
        self._update('updateProcessGroup')
        group = self._group_name(name)
        flags = 'processes', 'dry_run'
        self._call('updateProcessGroup', group, options, *flags)
        plan = self._plan(group)
        call = self._call('updateProcessGroup', group, options, *flags)
        plan = plans.limited(self._restarts, group, plan, call.processes,
                             call.settings.only_running)
        if call.dry_run:
            return [slot.struct() for slot in plan.slots]
        done = [slot.name for slot in plan.to_do]
        return self._begin(group, call, plan, done)

    @_RPCMethod
    def getRestartInfo(self, name, slots=False):
        """ Return how the running, or else the last, restart of a group stands

        @param string name     The group
        @param boolean slots   May be left out; true for slots, what became of each process
        @return struct info    group, state (IDLE: never restarted, RESTARTING, SETTLING, FINISHED),
                               total and the numbers of processes that add up to it: waiting,
                               stopping, starting, restarted, failed, removed; surging, how many
                               of these have two processes now; began, when it was called, in
                               seconds since the epoch (0: never); elapsed in seconds; awaiting, an
                               array of structs for what is waited for: name, phase (leaving,
                               starting, ready), the seconds so far and their limit, and for one
                               that is to become ready what is awaited and was seen; faults and
                               warnings, arrays of structs of code, text, group and name; slots,
                               if asked for, an array of structs of name, phase and changes, an
                               array of the phases so far and their seconds
        """
        self._update('getRestartInfo')
        if not isinstance(slots, bool):
            raise RPCError(Faults.INCORRECT_PARAMETERS, 'getRestartInfo: slots must be a boolean, '
                           'not %s' % kind(slots))
        return self._restarts.info(self._group_name(name), slots)

    @_RPCMethod
    def cancelRestart(self, name):
        """ Let the restart of a group stop nothing more, and only bring up what is down

        @param string name      The group
        @return boolean result  Always true unless error; the caller of the restart gets CANCELLED
        """
        self._update('cancelRestart')
        self._restarts.cancel(self._group_name(name))
        return True

    def _call(self, method: str, group: str, options: Any, *flags: str) -> plugin_options.Call:
        try:
            return plugin_options.from_call(self._configured.of(group), options, ('wait', *flags))
        except plugin_options.BadOption as why:
            raise RPCError(Faults.INCORRECT_PARAMETERS, '%s: %s' % (method, why)) from None

    def _plan(self, group: str, restart: bool = False) -> Plan:
        try:
            file = configuration.read(self.supervisord.options)
            section = next((section for factory, section in file.sections.items()
                            if factory.__module__ in _OUR_MODULES), {})
            configured = plugin_options.from_config(section, self.supervisord.options.logger.warn)
        except (configuration.CannotReread, plugin_options.BadOption) as why:
            raise RPCError(Faults.CANT_REREAD, '%s: %s' % (group, why)) from None
        for sentence in configured.for_no_group(list(file.groups)):
            self.supervisord.options.logger.warn(sentence)
        plan = plans.from_file(self._restarts, group, file.groups, restart)
        self._configured.take_over(configured)
        return plan

    def _begin(self, group: str, call: plugin_options.Call, plan: Plan,
               of: Optional[Sequence[str]]) -> Any:
        try:
            self._mainloop.prepare()
        except OSError as why:
            raise RPCError(Faults.FAILED, '%s: not begun: %s' % (group, why)) from None
        try:
            restart = self._restarts.begin(group, call.settings, plan, of)
        except RPCError:
            self._mainloop.rest()
            raise
        except Exception as why:
            self._mainloop.rest()
            self.supervisord.options.logger.critical('restarter: %s' % traceback.format_exc())
            raise RPCError(Faults.FAILED, '%s: not begun: %s: %s' % (
                group, type(why).__name__, why)) from None
        if not call.wait:
            return True

        def restarting():
            self._mainloop.polled()
            if restart.outcome is None:
                return NOT_DONE_YET
            return _answer(restart.outcome)

        restarting.delay = call.settings.delay
        restarting.rpcinterface = self
        self._mainloop.hand_over(restart, restarting)
        return restarting  # deferred

    def _group_name(self, name: Any) -> str:
        if not isinstance(name, str):
            raise RPCError(Faults.INCORRECT_PARAMETERS, 'name must be a string, the name of a '
                           'process group, not %s' % kind(name))
        group, process = split_namespec(name)
        if ':' in name and process is not None:
            raise RPCError(Faults.BAD_GROUP, '%s: names a process; this takes a group, such as '
                           '%s' % (shown(name), shown(group)))
        return group


def _answer(outcome: Any) -> Any:
    """Return or raise an outcome, in ASCII.

    A deferred response is announced with its length in characters and sent as bytes, so that other
    text would be cut off (supervisor/xmlrpc.py: DeferredXMLRPCResponse.getresponse).
    """
    if isinstance(outcome, RPCError):
        outcome.text = _ascii(outcome.text)
        raise outcome
    if isinstance(outcome, list):
        return [{key: _ascii(value) for key, value in fault.items()} for fault in outcome]
    return outcome


def _ascii(value: Any) -> Any:
    return value.encode('ascii', 'backslashreplace').decode() if isinstance(value, str) else value


def make_rpcinterface(supervisord: Any,
                      **config: str) -> Optional[RestarterNamespaceRPCInterface]:
    """Make the restarter namespace for one of supervisord's HTTP servers.

    `config` are the options of the section [rpcinterface:restarter], as text. For a wrong value it
    returns None, and supervisord ends with a sentence before it has started. Raises SystemExit
    where it is supervisorctl's section that names this factory.
    """
    if not hasattr(supervisord, 'process_groups'):  # it is a supervisorctl
        supervisord.options.usage(
            "a section [ctlplugin:...] names the factory of supervisord's interface; its own is "
            'supervisor.ctl_factory = supervisor_restarter.controllerplugin:make_controllerplugin')
    said: List[str] = []
    try:
        configured = plugin_options.from_config(config, said.append)
    except plugin_options.BadOption as why:
        return keep_from_starting(supervisord, str(why))
    # All HTTP servers of a supervisord share these, so they are kept with it.
    if not hasattr(supervisord, 'restarter_mainloop'):
        said += configured.for_no_group(
            [each.name for each in supervisord.options.process_group_configs])
        for sentence in said:
            supervisord.options.logger.warn(sentence)
        restarts = Restarts(supervisord, readiness=Readiness(supervisord.options))
        supervisord.restarter_mainloop = MainLoop(supervisord.options, restarts)
        supervisord.restarter_configured = configured
    mainloop, configured = supervisord.restarter_mainloop, supervisord.restarter_configured
    interface = RestarterNamespaceRPCInterface(supervisord, mainloop.restarts, mainloop, configured)
    if configured.page and not hasattr(supervisord, 'restarter_page'):
        supervisord.restarter_page = Page(supervisord, interface, mainloop.restarts, configured)
    return interface
