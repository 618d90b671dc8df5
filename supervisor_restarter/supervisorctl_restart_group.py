"""supervisorctl_restart_group -- restart a process group of supervisord.

Usage: %s [options] group [options]

Options:
-c/--configuration FILENAME -- configuration file path (searches if not given)
-h/--help -- print usage message and exit
-i/--interactive -- ask for username and password if the server wants them
-s/--serverurl URL -- URL on which supervisord server is listening
     (default "http://localhost:9001").
-u/--username USERNAME -- username to use for authentication with server
-p/--password PASSWORD -- password to use for authentication with server
-r/--history_file FILENAME -- taken as supervisorctl takes it, and not used
{call_options}
--quiet -- show no progress
--cancel -- restart nothing: let a running restart of the group stop no more
     processes, and only bring up what is down
--info -- restart nothing: show how the running or last restart stands

Exit status: 0 restarted, cancelled or shown; 1 no connection; 2 a fault, a
wrong option or a refused login; 5 not exactly one group; 10 any other HTTP
error; 130 interrupted; or the number of processes that failed, at most 125.
"""

import configparser
import contextlib
import getopt
import getpass
import os
import shlex
import sys
import xmlrpc.client
from typing import Any, Dict, List, Optional

from supervisor.options import ClientOptions

from supervisor_restarter.commands.client import (
    NO_ANSWER,
    NO_CONNECTION,
    NO_HTTP,
    Line,
    cancel,
    connection_trouble,
    explain,
    group_name,
    info,
    login_trouble,
    restart,
)
from supervisor_restarter.commands.options import CALL_OPTIONS, explanations, getopt_name
from supervisor_restarter.commands.progress import progress

RESTARTED = 0
DISCONNECTED = 1
FAULT = 2
NOT_ONE_GROUP = 5
HTTP_ERROR = 10
MOST_FAILED = 125
INTERRUPTED = 130

# What else than a restart can be done with a group.
OTHER_ACTIONS = {'cancel': cancel, 'info': info}

# Which supervisord is meant, and who asks; a password is not for others to read.
CONNECTION = ('-c', '--configuration', '-s', '--serverurl', '-u', '--username')


class RestartOptions(ClientOptions):
    """supervisorctl's options, and those of a restart."""

    def __init__(self):
        ClientOptions.__init__(self)
        for option, about in CALL_OPTIONS.items():
            self.add('call_' + about.name, None, None, getopt_name(option, about),
                     about.from_text)
        self.add('quiet', None, None, 'quiet', flag=1, default=0)
        for option, action in OTHER_ACTIONS.items():
            self.add('other_action', None, None, option, flag=action)

    def realize(self, args: Optional[List[str]] = None, doc: Optional[str] = None,
                progname: Optional[str] = None) -> None:
        """Read the command line, whose options may stand behind the group, and the configuration.

        For the parameters, see `supervisor.options.Options`.
        """
        words = sys.argv[1:] if args is None else args
        try:
            given, groups = getopt.gnu_getopt(words, ''.join(self.short_options),
                                              self.long_options)
        except getopt.error as why:
            self.progname = progname or sys.argv[0]
            self.usage(str(why))
        words = [word for option, text in given for word in self._words(option, text)]
        ClientOptions.realize(self, [*words, '--', *groups], doc, progname)

    def _words(self, option: str, text: str) -> List[str]:
        takes_text = {*self.short_options, *self.long_options}.intersection(
            [option[1:] + ':', option[2:] + '='])
        return [option, text] if takes_text else [option]

    def for_call(self) -> Dict[str, Any]:
        """Return the options of the call: those that were given."""
        given = {about.name: getattr(self, 'call_' + about.name)
                 for about in CALL_OPTIONS.values()}
        return {name: value for name, value in given.items() if value is not None}


def main(args: Optional[List[str]] = None, options: Optional[RestartOptions] = None) -> None:
    """Restart the group that the command line names, and exit with the status of the outcome.

    `args` are the arguments without the program's name, those of the process by default. Raises
    SystemExit.
    """
    options = options or RestartOptions()
    try:
        options.realize(args, doc=usage())
    except configparser.Error as why:
        options.usage('%s: %s' % (options.configfile, ' '.join(str(why).split())))
    if options.other_action and options.for_call():
        options.usage('--cancel and --info restart nothing and take no option of a restart')
    if len(options.args) != 1:
        sys.stderr.write('Error: exactly one group is needed, not %d\n' % len(options.args))
        sys.stderr.write('For help, use %s -h\n' % options.progname)
        sys.exit(NOT_ONE_GROUP)
    sys.exit(run(options, group_name(options.args[0])))


def usage() -> str:
    """Return the help text."""
    return (__doc__ or '').format(
        call_options='\n'.join('%s -- %s' % pair for pair in explanations(CALL_OPTIONS)))


def run(options: RestartOptions, group: str) -> int:
    """Do what is asked with a group, say how it went, and return the exit status."""
    try:
        return report(ask(options, group))
    except KeyboardInterrupt:
        if options.other_action:
            return say('%s: interrupted' % group, INTERRUPTED)
        return say('%s: interrupted; the restart goes on in supervisord. To stop it: %s'
                   % (group, command_line(options, '--cancel', group)), INTERRUPTED)
    except xmlrpc.client.ProtocolError as why:
        if why.errcode == 401:
            return say(refusal(options), FAULT)
        return say('%s: HTTP error %s %s' % (options.serverurl, why.errcode, why.errmsg),
                   HTTP_ERROR)
    except NO_CONNECTION as why:
        return say(connection_trouble(options.serverurl, why), DISCONNECTED)
    except NO_HTTP + NO_ANSWER as why:
        return say(connection_trouble(options.serverurl, why), HTTP_ERROR)
    except ValueError as why:  # supervisor/xmlrpc.py: SupervisorTransport, for a URL it cannot use
        return say('%s: %s' % (options.serverurl, why), FAULT)


def ask(options: RestartOptions, group: str) -> List[Line]:
    """Do it, with a login if supervisord wants one and the user may be asked."""
    while True:
        try:
            proxy = options.getServerProxy()
            try:
                proxy.supervisor.getVersion()
            except xmlrpc.client.Fault as fault:
                return [Line(group, explain(proxy, fault), fault.faultCode)]
            if options.other_action:
                return options.other_action(proxy, group)
            with shown_progress(options, group):
                return restart(proxy, group, options.for_call())
        except xmlrpc.client.ProtocolError as why:
            if why.errcode != 401 or not options.interactive:
                raise
        sys.stderr.write('%s\n' % refusal(options))
        try:
            options.username = input('Username:')
            options.password = getpass.getpass('Password:')
        except (EOFError, KeyboardInterrupt):
            sys.exit(say('\n%s: no login, not restarted' % group, INTERRUPTED))


def refusal(options: RestartOptions) -> str:
    """Return the sentence for a login that is missing or wrong."""
    return login_trouble(options.serverurl, options.username, options.password)


def command_line(options: RestartOptions, *arguments: str) -> str:
    """Return a command for the same supervisord, as one types it."""
    connection = [word for pair in options.options if pair[0] in CONNECTION for word in pair]
    return ' '.join(shlex.quote(word) for word in [options.progname, *connection, *arguments])


def shown_progress(options: RestartOptions, group: str) -> Any:
    """Return a context in which a person at a terminal sees how the restart stands."""
    waits = options.for_call().get('wait', True)
    if options.quiet or not waits or not sys.stderr.isatty():
        return contextlib.nullcontext()
    return progress(group, options.getServerProxy, sys.stderr)


def report(lines: List[Line]) -> int:
    """Write the lines where they belong, and return the exit status."""
    try:
        for line in lines:
            (sys.stderr if line.code else sys.stdout).write(str(line) + '\n')
        sys.stdout.flush()
    except BrokenPipeError:  # Nobody reads what happened; the status still tells.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    failed = sum(line.is_process for line in lines)
    if failed:
        return min(failed, MOST_FAILED)
    return FAULT if any(line.code for line in lines) else RESTARTED


def say(sentence: str, status: int) -> int:
    """Write a sentence to standard error, and return the status."""
    sys.stderr.write('%s\n' % sentence)
    return status


if __name__ == '__main__':
    main()
