"""supervisorctl_restart_group -- restart process groups of supervisord.

Usage: %s [options] name [...] [options]

A name is that of a group, a pattern such as 'api-*', "all", or that of a
process of a group, web:web_0.

Options:
-c/--configuration FILENAME -- configuration file path (searches if not given)
-h/--help -- print usage message and exit
-i/--interactive -- ask for username and password if the server wants them
-s/--serverurl URL -- URL on which supervisord server is listening
     (default "http://localhost:9001").
-u/--username USERNAME -- username to use for authentication with server
-p/--password PASSWORD -- password to use for authentication with server
-r/--history_file FILENAME -- taken as supervisorctl takes it, and not used
{options}
--update -- do not restart all: make the groups what the file says; with all,
     add the groups that are new in the file and remove those that are gone
--cancel -- restart nothing: let a running restart of the group stop no more
     processes, and only bring up what is down
--info -- restart nothing: show how the running or last restart stands
--version -- print the version, and that of the plugin in supervisord

Exit status: 0 restarted, updated, cancelled or shown; 1 no connection; 2 a
fault, a wrong option or URL, or a refused login; 5 no name was given; 10 any
other HTTP error, or an answer that is not supervisord's; 130 interrupted; or
the number of processes that failed, at most 125.
"""

import configparser
import getopt
import getpass
import json
import shlex
import sys
import xmlrpc.client
from typing import Any, List, Optional

from supervisor.options import ClientOptions

from supervisor_restarter import __version__
from supervisor_restarter.commands import command, output, side_by_side
from supervisor_restarter.commands.connection import (
    NO_CONNECTION,
    TROUBLE,
    connection_trouble,
    login_trouble,
    missing_sections,
)
from supervisor_restarter.commands.errands import Errand
from supervisor_restarter.commands.names import NoSuchName
from supervisor_restarter.commands.options import (
    CANCEL,
    CONSOLE,
    INFO,
    OPTIONS,
    RESTART,
    UPDATE,
    Asked,
    explanations,
    read,
)

RESTARTED = 0
DISCONNECTED = 1
FAULT = 2
NO_NAME = 5
HTTP_ERROR = 10
MOST_FAILED = 125
INTERRUPTED = 130

# What can be done with a group instead of a restart.
OTHER_ACTIONS = {'--update': UPDATE, '--cancel': CANCEL, '--info': INFO}

# The options that say which supervisord is meant, and who asks; not the password, which is secret.
CONNECTION = ('-c', '--configuration', '-s', '--serverurl', '-u', '--username')


class NoLogin(Exception):
    """supervisord wants a login, and the user gave none."""


class RestartOptions(ClientOptions):
    """supervisorctl's options, and those of a restart: `asked`."""

    asked: Asked
    version = False

    def realize(self, args: Optional[List[str]] = None, doc: Optional[str] = None,
                progname: Optional[str] = None) -> None:
        """Read the command line, whose options may stand behind the names, and the configuration.

        For the parameters, see `supervisor.options.Options`.
        """
        words = sys.argv[1:] if args is None else args
        ours = [option.for_getopt for option in OPTIONS.values()]
        flags = [word[2:] for word in OTHER_ACTIONS] + ['version']
        self.progname = progname or sys.argv[0]
        try:
            given, names = getopt.gnu_getopt(words, ''.join(self.short_options),
                                             [*self.long_options, *ours, *flags])
        except getopt.error as why:
            self.usage(str(why))
        mine = {'--' + word.rstrip('=') for word in [*ours, *flags]}
        words = [word for option, text in given if option not in mine
                 for word in self._words(option, text)]
        ClientOptions.realize(self, [*words, '--', *names], doc, progname)
        self._ask([pair for pair in given if pair[0] in mine], names)

    def _words(self, option: str, text: str) -> List[str]:
        takes_text = {*self.short_options, *self.long_options}.intersection(
            [option[1:] + ':', option[2:] + '='])
        return [option, text] if takes_text else [option]

    def _ask(self, given: Any, names: List[str]) -> None:
        typed = [option for option, _ in given]
        self.version = '--version' in typed
        others = list(dict.fromkeys(option for option in typed if option in OTHER_ACTIONS))
        if len(others) > 1:
            self.usage('%s exclude each other' % ' and '.join(others))
        action = OTHER_ACTIONS[others[0]] if others else INFO if '--follow' in typed else RESTART
        try:
            self.asked = read([pair for pair in given if pair[0][2:] in OPTIONS], names, action,
                              CONSOLE)
        except ValueError as why:
            self.usage(str(why))


def main(args: Optional[List[str]] = None, options: Optional[RestartOptions] = None) -> None:
    """Do what the command line says, and exit with the status of the outcome.

    `args` are the arguments without the program's name, those of the process by default. Raises
    SystemExit.
    """
    options = options or RestartOptions()
    try:
        options.realize(args, doc=usage())
    except configparser.Error as why:
        options.usage('%s: %s' % (options.configfile, ' '.join(str(why).split())))
    if not options.version and not options.asked.names:
        say('Error: a group name is needed', NO_NAME)
        sys.exit(say('For help, use %s -h' % options.progname, NO_NAME))
    sys.exit(run(options))


def usage() -> str:
    """Return the text that -h prints; Supervisor fills in the program's name."""
    return (__doc__ or '').format(
        options='\n'.join('%s -- %s' % pair for pair in explanations(*CONSOLE)))


def run(options: RestartOptions) -> int:
    """Do what is asked, say how it went, and return the exit status."""
    errands: List[Errand] = []
    try:
        proxy = connected(options)
        if options.version:
            return told_version(proxy)
        errands = command.errands(options.asked, proxy)
        with command.shown_progress(options.asked, errands, options.getServerProxy):
            side_by_side.run(errands, options.getServerProxy)
    except KeyboardInterrupt:
        return report(options, errands, command.interruption(errands, lambda groups: command_line(
            options, '--cancel', *groups)) or ['interrupted'], INTERRUPTED)
    except NoLogin:
        return report(options, [], ['no login, nothing is done'], INTERRUPTED)
    except NoSuchName as why:
        return report(options, [], ['Error: %s' % why], FAULT)
    except xmlrpc.client.Fault as why:
        return report(options, [], ['ERROR (%s)' % why.faultString], FAULT)
    except (*TROUBLE, ValueError) as why:
        return report(options, [], *trouble(options, why))
    for errand in errands:
        if errand.trouble is not None:
            return report(options, errands, *trouble(options, errand.trouble))
    return report(options, errands)


def connected(options: RestartOptions) -> Any:
    """Return a proxy that answers, with a login if supervisord wants one and the user may be asked.

    Raises a Fault where supervisord does not have the namespace of Supervisor's own.
    """
    while True:
        try:
            proxy = options.getServerProxy()
            try:
                proxy.supervisor.getVersion()
            except xmlrpc.client.Fault as fault:
                missing = missing_sections(proxy.system.listMethods())
                raise xmlrpc.client.Fault(
                    fault.faultCode, ' '.join(missing) or fault.faultString) from None
            return proxy
        except xmlrpc.client.ProtocolError as why:
            if why.errcode != 401 or not options.interactive:
                raise
        say(refusal(options), FAULT)
        try:
            options.username = input('Username:')
            options.password = getpass.getpass('Password:')
        except (EOFError, KeyboardInterrupt):
            say('', INTERRUPTED)
            raise NoLogin from None


def trouble(options: RestartOptions, why: Exception) -> Any:
    """Return the sentences for what is wrong with the connection, and the exit status."""
    if isinstance(why, xmlrpc.client.ProtocolError) and why.errcode == 401:
        return [refusal(options)], FAULT
    status = (DISCONNECTED if isinstance(why, NO_CONNECTION) else
              HTTP_ERROR if isinstance(why, TROUBLE) else FAULT)
    return [connection_trouble(options.serverurl, why)], status


def refusal(options: RestartOptions) -> str:
    """Return the sentence for a login that is missing or wrong."""
    return login_trouble(options.serverurl, options.username, options.password)


def command_line(options: RestartOptions, *arguments: str) -> str:
    """Return a command for the same supervisord, as one types it."""
    connection = [word for pair in options.options if pair[0] in CONNECTION for word in pair]
    return ' '.join(shlex.quote(word) for word in [options.progname, *connection, *arguments])


def told_version(proxy: Any) -> int:
    """Print the version of this program and that of the plugin in supervisord."""
    print('supervisorctl_restart_group %s' % __version__)
    try:
        print('in supervisord: %s, API %s' % (proxy.restarter.getPluginVersion(),
                                              proxy.restarter.getAPIVersion()))
    except xmlrpc.client.Fault as fault:
        return say(' '.join(missing_sections(proxy.system.listMethods())) or fault.faultString,
                   FAULT)
    return RESTARTED


def report(options: RestartOptions, errands: List[Errand], troubles: Any = (),
           status: int = RESTARTED) -> int:
    """Write what there is to say where it belongs, and return the exit status.

    `status` is that of the troubles.
    """
    reports = command.reports(errands)
    failed = sum(bool(fault['name']) for report in reports for fault in report.faults)
    if not status and any(report.faults for report in reports):
        status = min(failed, MOST_FAILED) or FAULT
    lines = [line for report in reports for line in report.lines()]
    told = [str(line) for line in lines if not line.code]
    errors = [str(line) for line in lines if line.code]
    errors += [str(line) for report in reports for line in report.warning_lines()]
    if 'json' in options.asked.flags:
        told, errors = [json.dumps(command.document(reports, status, '; '.join(troubles)),
                                   indent=2)], []
        troubles = ()
    why = output.write(told, sys.stdout)
    unwritten = [output.cannot_be_written('standard output', why)] if why else []
    output.write([*errors, *troubles, *filter(None, unwritten)], sys.stderr)
    return status


def say(sentence: str, status: int) -> int:
    """Write a sentence to standard error, and return the status."""
    output.write([sentence], sys.stderr)
    return status


if __name__ == '__main__':
    main()
