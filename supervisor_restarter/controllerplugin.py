"""The commands for supervisorctl: restartgroup, updategroup, restartinfo, cancelrestart."""

import fnmatch
import shlex
import threading
import xmlrpc.client
from typing import Any, Callable, Dict, List

from supervisor.supervisorctl import ControllerPluginBase, LSBInitExitStatuses

from supervisor_restarter.commands.client import (
    NO_ANSWER,
    NO_CONNECTION,
    NO_HTTP,
    SECTIONS,
    Line,
    cancel,
    connection_trouble,
    group_name,
    info,
    login_trouble,
    restart,
    update,
)
from supervisor_restarter.commands.options import (
    CALL_OPTIONS,
    UPDATE_OPTIONS,
    CallOption,
    explanations,
    parse,
)


class WrongUse(Exception):
    """What is wrong with a command line, as a sentence."""


class NoSuchGroup(Exception):
    """A name that matches no group, as a line to print."""


class RestarterControllerPlugin(ControllerPluginBase):
    """Restarts groups from supervisorctl's command line and shell.

    `controller` is supervisorctl's; all output and the exit status go through it.
    """

    name = 'restarter'

    def __init__(self, controller: Any):
        self.ctl = controller

    def do_restartgroup(self, arg: str) -> None:
        self._command(arg, self._restart, self.help_restartgroup)

    def help_restartgroup(self) -> None:
        self._help('restartgroup <group>', 'Restart a group, each process as soon as it is down')
        self._help('restartgroup <group> <group>', 'Restart several groups side by side')
        self._help("restartgroup 'api-*'", 'Restart the groups that match the pattern')
        self._help('restartgroup all', 'Restart all groups')
        self._help_options(CALL_OPTIONS)

    def do_updategroup(self, arg: str) -> None:
        self._command(arg, self._update, self.help_updategroup)

    def help_updategroup(self) -> None:
        self._help('updategroup <group> [...]', 'Make a group what the configuration file says: '
                   'start and stop only the processes that changed')
        self._help('updategroup all', 'Do it for all groups, side by side')
        self._help_options(UPDATE_OPTIONS)

    def do_restartinfo(self, arg: str) -> None:
        self._command(arg, self._info, self.help_restartinfo)

    def help_restartinfo(self) -> None:
        self._help('restartinfo <group> [...]', 'Show how the last restart of a group stands')
        self._help('restartinfo all', 'Show it for all groups')

    def do_cancelrestart(self, arg: str) -> None:
        self._command(arg, self._cancel, self.help_cancelrestart)

    def help_cancelrestart(self) -> None:
        self._help('cancelrestart <group> [...]',
                   'Let a restart stop nothing more, and only bring up what is down')

    # the commands' inside

    def _restart(self, arg: str) -> None:
        options, patterns = parse(shlex.split(arg), CALL_OPTIONS)
        self._side_by_side(self._groups(patterns), restart, options)

    def _update(self, arg: str) -> None:
        options, patterns = parse(shlex.split(arg), UPDATE_OPTIONS)
        self._side_by_side(self._groups(patterns, names_too=True), update, options)

    def _side_by_side(self, groups: List[str], action: Callable, options: Dict[str, Any]) -> None:
        outcomes: Dict[str, List[Line]] = {}

        def with_one(group: str) -> None:
            try:
                outcomes[group] = action(self.ctl.get_server_proxy(), group, options)
            except (xmlrpc.client.Error, *NO_CONNECTION, *NO_HTTP, *NO_ANSWER) as why:
                text = (str(why) if isinstance(why, xmlrpc.client.ProtocolError) else
                        connection_trouble(self.ctl.options.serverurl, why))
                outcomes[group] = [Line(group, text, LSBInitExitStatuses.GENERIC)]

        threads = [threading.Thread(target=with_one, args=(group,), daemon=True)
                   for group in groups]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            self.ctl.output('interrupted; the restart goes on in supervisord. To stop it: '
                            'cancelrestart %s' % ' '.join(groups))
            self.ctl.exitstatus = LSBInitExitStatuses.GENERIC
            return
        for group in groups:
            self._say(outcomes[group])

    def _info(self, arg: str) -> None:
        for group in self._groups(shlex.split(arg)):
            self._say(info(self.ctl.get_server_proxy(), group))

    def _cancel(self, arg: str) -> None:
        for group in self._groups(shlex.split(arg)):
            self._say(cancel(self.ctl.get_server_proxy(), group))

    # what they share

    def _command(self, arg: str, action: Callable[[str], None], show_help: Callable) -> None:
        try:
            if self.ctl.upcheck():
                action(arg)
        except xmlrpc.client.ProtocolError as why:
            options = self.ctl.options
            if why.errcode != 401 or options.interactive:
                raise  # supervisorctl asks for the login, or says what is wrong
            self.ctl.output(login_trouble(options.serverurl, options.username, options.password))
            self.ctl.exitstatus = LSBInitExitStatuses.GENERIC
        except NoSuchGroup as why:
            self.ctl.output(str(why))
            self.ctl.exitstatus = LSBInitExitStatuses.GENERIC
        except (WrongUse, ValueError) as why:
            self.ctl.output('Error: %s' % why)
            self.ctl.exitstatus = LSBInitExitStatuses.GENERIC
            show_help()

    def _groups(self, patterns: List[str], names_too: bool = False) -> List[str]:
        """Return the names of the groups that the patterns match; each must match one.

        With `names_too` it may also be the name of a group that has no process: supervisord tells
        what there is to say of it.
        """
        if not patterns:
            raise WrongUse('a group name is needed')
        infos = self.ctl.get_supervisor().getAllProcessInfo()
        there = [info['group'] for info in infos]
        chosen: List[str] = []
        for pattern in patterns:
            name = group_name(pattern)
            matching = there if name == 'all' else fnmatch.filter(there, name)
            if not matching and names_too and not set('*?[:') & set(name):
                matching = [name]
            if not matching:
                why = self._why_none(pattern, name)
                raise NoSuchGroup(why if len(patterns) == 1 else why + '; nothing is done')
            chosen += matching
        return list(dict.fromkeys(chosen))

    def _why_none(self, pattern: str, name: str) -> str:
        if ':' not in name:
            return 'Error: %s: no such group' % pattern
        # supervisord says that a restart takes a group, as it says to the console script.
        return '\n'.join(str(line) for line in info(self.ctl.get_server_proxy(), name))

    def _say(self, lines: List[Line]) -> None:
        for line in lines:
            self.ctl.output(str(line))
            if line.code:
                self.ctl.set_exitstatus_from_xmlrpc_fault(line.code)

    def _help_options(self, known: Dict[str, CallOption]) -> None:
        for option, text in explanations(known):
            self._help('  ' + option, text)

    def _help(self, command: str, text: str) -> None:
        self.ctl.output('%-28s\t%s' % (command, text))


def make_controllerplugin(controller: Any, **config: str) -> RestarterControllerPlugin:
    """Make the commands for a supervisorctl; the section has no options of its own.

    Raises ValueError, and supervisord does not start, where it is a supervisord's section that
    names this factory.
    """
    if hasattr(controller, 'process_groups'):  # it is a supervisord
        why = ('a section [rpcinterface:...] names the factory of the commands for supervisorctl; '
               'its own is %s' % SECTIONS['restarter'])
        controller.options.logger.critical('restarter: %s' % why)
        raise ValueError(why)
    return RestarterControllerPlugin(controller)
