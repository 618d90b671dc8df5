"""The options of the commands: one table for the console script and for supervisorctl."""

import getopt
import re
import xmlrpc.client
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

RESTART, UPDATE, INFO, CANCEL = 'restart', 'update', 'info', 'cancel'

# The actions, as each face calls them.
CONSOLE = {RESTART: 'a restart', UPDATE: '--update', INFO: '--info', CANCEL: '--cancel'}
SUPERVISORCTL = {RESTART: 'restartgroup', UPDATE: 'updategroup', INFO: 'restartinfo',
                 CANCEL: 'cancelrestart'}

# The first version of the API that knows all options below.
API = (3, 3)

# The characters that XML can carry (XML 1.0, 2.2).
_CAN_BE_SENT = re.compile('[\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*')


class Option(NamedTuple):
    """An option of the commands.

    `word` is what a user types behind `--`, and `name` what it is in a call, or to the commands.
    `argument` is what the help calls its text, which `value` reads; one without it is a flag.
    `since` is the version of the API that knows it; None where it is no option of a call.
    """

    word: str
    name: str
    argument: str
    value: Callable[[str], Any]
    actions: Tuple[str, ...]
    since: Optional[Tuple[int, int]]
    help: str

    @property
    def typed(self) -> str:
        """The option as a user types it."""
        return '--' + self.word

    @property
    def for_getopt(self) -> str:
        """The option as getopt has it."""
        return self.word + '=' if self.argument else self.word


def seconds(text: str) -> float:
    """Return a number of seconds from the command line. Raises ValueError."""
    try:
        return float(_plain(text))
    except ValueError:
        raise ValueError('not a number of seconds') from None


def batches(text: str) -> int:
    """Return a number of batches from the command line. Raises ValueError."""
    try:
        number = int(_plain(text))
    except ValueError:
        raise ValueError('not a whole number') from None
    if abs(number) > xmlrpc.client.MAXINT:
        raise ValueError('too large a number')
    return number


def _plain(text: str) -> str:
    if '_' in text or not text.isascii():
        raise ValueError  # 1_000, and digits of other scripts
    return text


def _yes(text: str) -> bool:
    return True


def _no(text: str) -> bool:
    return False


_BOTH = (RESTART, UPDATE)

# The server checks the values.
OPTIONS = {option.word: option for option in (
    Option('timeout', 'timeout', 'SECONDS', seconds, _BOTH, (3, 2),
           'how long the restart may take; a rolling one, each process'),
    Option('stagger-factor', 'stagger_factor', 'N', batches, _BOTH, (3, 2),
           'stop the processes in N batches'),
    Option('max-unavailable', 'max_unavailable', 'N', str, _BOTH, (3, 2),
           'rolling: at most N processes, or N%, down at once'),
    Option('max-surge', 'max_surge', 'N', str, _BOTH, (3, 2),
           'rolling, new before old: at most N processes more, or N%'),
    Option('min-ready-seconds', 'min_ready_seconds', 'SECONDS', seconds, _BOTH, API,
           'how long a new process has to stay up before it counts'),
    Option('only-running', 'only_running', '', _yes, _BOTH, API,
           'leave what is STOPPED or EXITED as it is'),
    Option('resume', 'resume', '', _yes, (RESTART,), API,
           'restart what the last restart left as it was, or what failed'),
    Option('reread', 'reread', '', _yes, (RESTART,), (3, 2),
           'restart it with its configuration in the file'),
    Option('dry-run', 'dry_run', '', _yes, (UPDATE,), (3, 2),
           'tell what would be done, and do nothing'),
    Option('no-wait', 'wait', '', _no, _BOTH, (3, 2),
           'do not wait until it is done'),
    Option('queue', 'queue', '', _yes, _BOTH, None,
           'while the group is being restarted already: wait, then begin'),
    Option('supersede', 'supersede', '', _yes, _BOTH, None,
           'while the group is being restarted already: cancel that, then begin'),
    Option('follow', 'follow', '', _yes, (INFO,), None,
           'wait until a running restart ends, and tell how it went'),
    Option('json', 'json', '', _yes, (RESTART, UPDATE, INFO, CANCEL), None,
           'print one JSON document'),
    Option('quiet', 'quiet', '', _yes, (RESTART, UPDATE, INFO), None,
           'show no progress'),
)}

_BY_NAME = {option.name: option for option in OPTIONS.values()}


class Asked(NamedTuple):
    """What a command line asks for: `call` are the options of the call, `flags` those of ours."""

    action: str
    names: List[str]
    call: Dict[str, Any]
    flags: FrozenSet[str]


def read(given: Sequence[Tuple[str, str]], names: List[str], action: str,
         face: Dict[str, str]) -> Asked:
    """Return what is asked for by options, as getopt gives them, and names.

    `face` is `CONSOLE` or `SUPERVISORCTL`. Raises ValueError, a sentence.
    """
    for text in [*names, *(text for _, text in given)]:
        if not _CAN_BE_SENT.fullmatch(text):
            raise ValueError('%s: has characters that cannot be sent to supervisord' % ascii(text))
    call: Dict[str, Any] = {}
    flags = set()
    for typed, text in given:
        option = OPTIONS[typed[2:]]
        if action not in option.actions:
            raise ValueError('%s goes with %s, not with %s' % (
                typed, ' and '.join(face[each] for each in option.actions), face[action]))
        if option.since is None:
            flags.add(option.name)
            continue
        try:
            call[option.name] = option.value(text)
        except ValueError as why:
            raise ValueError('invalid value for %s %r: %s' % (typed, text, why)) from None
    if {'queue', 'supersede'} <= flags:
        raise ValueError('--queue and --supersede exclude each other')
    return Asked(action, names, call, frozenset(flags))


def parse(words: List[str], action: str) -> Optional[Asked]:
    """Return what the words behind a command of supervisorctl ask for; None for its help.

    Options may stand behind other words. Raises ValueError, a sentence.
    """
    try:
        given, names = getopt.gnu_getopt(
            words, 'h', ['help', *(option.for_getopt for option in OPTIONS.values())])
    except getopt.GetoptError as why:
        raise ValueError(str(why)) from None
    if {'-h', '--help'} & {typed for typed, _ in given}:
        return None
    return read(given, names, action, SUPERVISORCTL)


def explanations(*actions: str) -> List[Tuple[str, str]]:
    """Return each option of these actions as a user types it, and what it does."""
    return [((option.typed + ' ' + option.argument).rstrip(), option.help)
            for option in OPTIONS.values() if set(actions) & set(option.actions)]


def as_typed(text: str, call: Dict[str, Any]) -> str:
    """Return a fault's text with the options of the call as a user types them."""
    text = re.sub(r'\b(restart|update)ProcessGroup: ', '', text)
    for name in call:
        if name in _BY_NAME:
            text = re.sub(r'\b%s\b( =)?' % name, _BY_NAME[name].typed, text)
    return text


def newer(call: Dict[str, Any], api: Tuple[int, ...]) -> List[str]:
    """Return what a call has that this version of the API does not know, as typed."""
    return [option.typed for name, option in _BY_NAME.items()
            if name in call and option.since and option.since > api] + (
        ['single processes of a group'] if 'processes' in call and api < API else [])
