"""The options of a call, as both command faces take and explain them."""

import getopt
from typing import Any, Callable, Dict, List, NamedTuple, Tuple


class CallOption(NamedTuple):
    """An option of a call: its name there, and how its value is made of the command line's text.

    `argument` is what the help calls the text; an option without one is a flag, whose text is
    empty.
    """

    name: str
    from_text: Callable[[str], Any]
    argument: str
    help: str


def seconds(text: str) -> float:
    """Return a number of seconds from the command line. Raises ValueError."""
    try:
        return float(text)
    except ValueError:
        raise ValueError('not a number of seconds') from None


def batches(text: str) -> int:
    """Return a number of batches from the command line. Raises ValueError."""
    try:
        return int(text)
    except ValueError:
        raise ValueError('not a whole number') from None


# Those of a restart and of an update, by their names on the command line. The server checks the
# values.
_PACE = {
    'timeout': CallOption('timeout', seconds, 'SECONDS',
                          'how long the restart may take; a rolling one, each process'),
    'stagger-factor': CallOption('stagger_factor', batches, 'N',
                                 'stop the processes in N batches'),
    'max-unavailable': CallOption('max_unavailable', str, 'N',
                                  'rolling: at most N processes, or N%, down at once'),
    'max-surge': CallOption('max_surge', str, 'N',
                            'rolling, new before old: at most N processes more, or N%'),
    'no-wait': CallOption('wait', lambda text: False, '',
                          'do not wait until it is done'),
}

CALL_OPTIONS = dict(_PACE, reread=CallOption(
    'reread', lambda text: True, '', 'restart it with its configuration in the file'))

UPDATE_OPTIONS = dict(_PACE, **{'dry-run': CallOption(
    'dry_run', lambda text: True, '', 'tell what would be done, and do nothing')})


def getopt_name(option: str, about: CallOption) -> str:
    """Return the name of an option of a call as getopt has it."""
    return option + '=' if about.argument else option


def explanations(known: Dict[str, CallOption]) -> List[Tuple[str, str]]:
    """Return each option as a user types it, and what it does."""
    return [(('--%s %s' % (option, about.argument)).rstrip(), about.help)
            for option, about in known.items()]


def parse(words: List[str], known: Dict[str, CallOption]) -> Tuple[Dict[str, Any], List[str]]:
    """Return the options of a call that are among the words, and the other words.

    `known` are those that there may be. They may stand behind other words. Raises ValueError, a
    sentence.
    """
    try:
        given, others = getopt.gnu_getopt(words, '', [getopt_name(*pair) for pair in known.items()])
    except getopt.GetoptError as why:
        raise ValueError(str(why)) from None
    options: Dict[str, Any] = {}
    for option, text in given:
        about = known[option[2:]]
        try:
            options[about.name] = about.from_text(text)
        except ValueError as why:
            raise ValueError('invalid value for %s %r: %s' % (option, text, why)) from None
    return options, others
