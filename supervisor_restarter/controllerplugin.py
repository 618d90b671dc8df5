"""The commands for supervisorctl: restartgroup, updategroup, restartinfo, cancelrestart."""

import json
import shlex
import sys
import xmlrpc.client
from typing import Any, Dict, Iterable, List, Optional

from supervisor.datatypes import boolean
from supervisor.supervisorctl import ControllerPluginBase, LSBInitExitStatuses

from supervisor_restarter.commands import command, output, side_by_side
from supervisor_restarter.commands.connection import (
    SECTIONS,
    TROUBLE,
    connection_trouble,
    login_trouble,
)
from supervisor_restarter.commands.names import NoSuchName
from supervisor_restarter.commands.options import (
    CANCEL,
    INFO,
    OPTIONS,
    RESTART,
    SUPERVISORCTL,
    UPDATE,
    explanations,
    parse,
)
from supervisor_restarter.commands.taken_over import TakenOver
from supervisor_restarter.daemon.start import keep_from_starting

_OPTIONS = ('restart', 'update')

_COMMANDS = {typed: action for action, typed in SUPERVISORCTL.items()}


class RestarterControllerPlugin(ControllerPluginBase):
    """Restarts groups from supervisorctl's command line and shell.

    `controller` is supervisorctl's; all output and the exit status go through it.
    """

    name = 'restarter'

    def __init__(self, controller: Any):
        self.ctl = controller
        # supervisorctl asks the help of every plugin, and each says that it has none; and its
        # completer knows no command of a plugin (supervisor/supervisorctl.py: Controller.do_help,
        # complete).
        self._help_of_all, self._complete = controller.do_help, controller.complete
        controller.do_help, controller.complete = self._help_of, self.complete

    def do_restartgroup(self, arg: str) -> None:
        self._command(RESTART, arg)

    def help_restartgroup(self) -> None:
        self._help('restartgroup <group>', 'Restart a group, each process as soon as it is down')
        self._help('restartgroup <group> <group>', 'Restart several groups side by side')
        self._help('restartgroup <group>:<name> [...]', 'Restart some processes of a group')
        self._help("restartgroup 'api-*'", 'Restart the groups that match the pattern')
        self._help('restartgroup all', 'Restart all groups')
        self._help_options(RESTART)

    def do_updategroup(self, arg: str) -> None:
        self._command(UPDATE, arg)

    def help_updategroup(self) -> None:
        self._help('updategroup <group> [...]', 'Make a group what the configuration file says: '
                   'start and stop only the processes that changed')
        self._help('updategroup <group>:<name> [...]', 'Do it for some processes of a group')
        self._help('updategroup all', 'Do it for all groups, side by side; add those that are '
                   'new in the file, and remove those that are gone')
        self._help_options(UPDATE)

    def do_restartinfo(self, arg: str) -> None:
        self._command(INFO, arg)

    def help_restartinfo(self) -> None:
        self._help('restartinfo <group> [...]',
                   'Show how the running or the last restart of a group stands')
        self._help('restartinfo all', 'Show it for all groups')
        self._help_options(INFO)

    def do_cancelrestart(self, arg: str) -> None:
        self._command(CANCEL, arg)

    def help_cancelrestart(self) -> None:
        self._help('cancelrestart <group> [...]',
                   'Let a restart stop nothing more, and only bring up what is down')
        self._help_options(CANCEL)

    def do_help(self, arg: str) -> None:
        """Show the help of our commands, or of one of them; nothing for any other command."""
        if not arg or hasattr(self, 'help_' + arg):
            ControllerPluginBase.do_help(self, arg)

    def complete(self, text: str, state: int, line: Any = None) -> Any:
        """Return the completion of `text` with the number `state`; None after the last one."""
        if line is None:
            import readline  # as supervisorctl does: not every Python has it
            line = readline.get_line_buffer()
        words = line.split()
        if not words or words[0] not in _COMMANDS or line.rstrip() == words[0] == line:
            return self._complete(text, state, line)
        matches = [option.typed + ' ' for option in OPTIONS.values()
                   if text.startswith('-') and option.typed.startswith(text)
                   and _COMMANDS[words[0]] in option.actions]
        matches += [name + ' ' for name in self._names(':' in text) if name.startswith(text)]
        return matches[state] if state < len(matches) else None

    # how a command is carried out

    def _command(self, action: str, arg: str) -> None:
        try:
            asked = parse(shlex.split(arg), action)
            if asked is not None and not asked.names:
                raise ValueError('a group name is needed')
        except ValueError as why:
            self._output(['Error: %s' % why])
            self.ctl.exitstatus = LSBInitExitStatuses.GENERIC
            return self._show_help(action)
        if asked is None:
            return self._show_help(action)
        try:
            # Supervisor's own check writes lines.
            if 'json' in asked.flags or self.ctl.upcheck():
                self._carry_out(asked)
        except xmlrpc.client.ProtocolError as why:
            if why.errcode == 401 and self.ctl.options.interactive:
                raise  # supervisorctl asks for the login
            self._say(asked, [], [self._trouble(why)])
        except NoSuchName as why:
            self._say(asked, [], ['Error: %s' % why])
        except xmlrpc.client.Fault as why:
            self._say(asked, [], ['ERROR (%s)' % why.faultString])
        except (*TROUBLE, ValueError) as why:
            self._say(asked, [], [self._trouble(why)])
        return None

    def _carry_out(self, asked: Any) -> None:
        errands = command.errands(asked, self.ctl.get_server_proxy())
        try:
            with command.shown_progress(asked, errands, self.ctl.get_server_proxy):
                side_by_side.run(errands, self.ctl.get_server_proxy)
        except KeyboardInterrupt:
            self._say(asked, errands, command.interruption(
                errands, lambda groups: 'cancelrestart ' + ' '.join(groups)))
            return
        self._say(asked, errands, dict.fromkeys(
            self._trouble(errand.trouble) for errand in errands if errand.trouble is not None))

    def _trouble(self, why: Exception) -> str:
        options = self.ctl.options
        if isinstance(why, xmlrpc.client.ProtocolError) and why.errcode == 401:
            return login_trouble(options.serverurl, options.username, options.password)
        return connection_trouble(options.serverurl, why)

    def _say(self, asked: Any, errands: List[Any], troubles: Iterable[str]) -> None:
        reports = command.reports(errands)
        for line in [line for report in reports for line in report.lines()]:
            if line.code:
                self.ctl.set_exitstatus_from_xmlrpc_fault(line.code)
        if list(troubles):
            self.ctl.exitstatus = LSBInitExitStatuses.GENERIC
        if 'json' in asked.flags:
            self._output([json.dumps(command.document(
                reports, self.ctl.exitstatus, '; '.join(troubles)), indent=2)])
            return
        self._output([str(line) for report in reports for line in report.lines()])
        output.write([str(line) for report in reports for line in report.warning_lines()],
                     sys.stderr)
        self._output(troubles)

    def _output(self, lines: Iterable[str]) -> None:
        """Write lines as supervisorctl does; where that cannot be done, say that alone."""
        try:
            for line in lines:
                self.ctl.output(output.fitting(line, self.ctl.stdout))
            self.ctl.stdout.flush()
        except OSError as why:
            output.discard(self.ctl.stdout)
            sentence = output.cannot_be_written('standard output', why)
            output.write([sentence] if sentence else [], sys.stderr)

    def _names(self, of_processes: bool) -> List[str]:
        infos = self.ctl._get_complete_info()  # kept until the next command
        if of_processes:
            return ['%s:%s' % (info['group'], info['name']) for info in infos]
        return list(dict.fromkeys(['all', *(info['group'] for info in infos)]))

    def _help_of(self, arg: str) -> None:
        if arg.strip() and hasattr(self, 'help_' + arg.strip()):
            self.do_help(arg.strip())
        else:
            self._help_of_all(arg)

    def _show_help(self, action: str) -> None:
        getattr(self, 'help_' + SUPERVISORCTL[action])()

    def _help_options(self, action: str) -> None:
        for option, text in explanations(action):
            self._help('  ' + option, text)

    def _help(self, usage: str, text: str) -> None:
        self.ctl.output('%-34s\t%s' % (usage, text))


def make_controllerplugin(controller: Any, **config: str) -> Optional[RestarterControllerPlugin]:
    """Make the commands for a supervisorctl.

    `config` are the options of the section [ctlplugin:restarter], as text: with `restart` and
    `update` true, supervisorctl's own commands of that name go through the plugin. For a wrong
    value supervisorctl ends with a sentence. Where it is a supervisord's section that names this
    factory, it returns None, and supervisord ends with a sentence before it has started.
    """
    if hasattr(controller, 'process_groups'):  # it is a supervisord
        return keep_from_starting(
            controller, 'a section [rpcinterface:...] names the factory of the commands for '
            'supervisorctl; its own is %s' % SECTIONS['restarter'])
    taken = _taken_over(controller, config)
    # Its own plugin is the first (supervisor/options.py: ClientOptions.__init__).
    own = TakenOver(controller.options.plugins[0]) if taken else None
    for name in taken:
        getattr(own, 'take_' + name)()
    return RestarterControllerPlugin(controller)


def _taken_over(controller: Any, config: Dict[str, str]) -> List[str]:
    taken = []
    for name, value in sorted(config.items()):
        if name not in _OPTIONS:
            output.write(['[ctlplugin:restarter]: unknown option %s; the options are %s' % (
                name, ', '.join(_OPTIONS))], sys.stderr)
            continue
        try:
            taken += [name] if boolean(value) else []
        except ValueError:
            controller.options.usage('[ctlplugin:restarter]: %s = %s: must be true or false'
                                     % (name, value))
    return taken
