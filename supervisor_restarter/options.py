"""The options of the plugin: as its section of the configuration, and a call, give them."""

import math
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Tuple

from supervisor.datatypes import boolean

from supervisor_restarter.restart.settings import Limit, Settings
from supervisor_restarter.text import kind, shown


class BadOption(ValueError):
    """An option that is unknown or has a wrong value; the message says what is allowed."""


class Configured:
    """The settings of the configuration: for all groups, and for some by their names.

    `page`: whether there is a page. All who use them share one object, so that all see a change.
    """

    def __init__(self, default: Settings, groups: Dict[str, Settings], page: bool = False):
        self.default = default
        self.groups = groups
        self.page = page

    def take_over(self, other: 'Configured') -> None:
        """Take the settings of another one. The page is made at supervisord's start, or not."""
        self.default, self.groups = other.default, other.groups

    def of(self, group: str) -> Settings:
        """Return the settings for a group, without the options of a call."""
        # Supervisor's parser has made the names of options lower case
        # (supervisor/options.py: UnhosedConfigParser).
        return self.groups.get(group.lower(), self.default)

    def for_no_group(self, there: List[str]) -> List[str]:
        """Return a sentence for each name that has settings and is not in `there`, the groups."""
        return ['restarter: options for %s, which is not a group; the groups are %s'
                % (group, _names(there)) for group in sorted(set(self.groups) - {
                    each.lower() for each in there})]


def from_config(options: Dict[str, str], warn: Callable[[str], None]) -> Configured:
    """Return the settings of a configuration section.

    `options` are the section's options as text; `web.timeout` is that of the group `web` alone.
    `warn(sentence)` is called for an unknown option. Raises BadOption for a wrong value.
    """
    values: Dict[str, Dict[str, Any]] = {'': {}}
    page = False
    for name, value in sorted(options.items()):
        group, dot, option = name.rpartition('.')
        if option in _OPTIONS and bool(group) == bool(dot):
            values.setdefault(group, {})[option] = _parse(_OPTIONS, option, value, name)
        elif name in _PLUGIN_OPTIONS:
            page = _parse(_PLUGIN_OPTIONS, name, value, name)
        else:
            warn('restarter: unknown option %s; the options are %s'
                 % (name, _names({**_OPTIONS, **_PLUGIN_OPTIONS})))
    default = values.pop('')
    made = Configured(Settings(**default),
                      {group: Settings(**dict(default, **own)) for group, own in values.items()},
                      page)
    for settings in [made.default, *made.groups.values()]:
        if settings.rolling and settings.stagger_factor > 1:
            warn('restarter: stagger_factor = %d has no effect, since %s makes restarts rolling'
                 % (settings.stagger_factor, settings.rolling))
    return made


class Call(NamedTuple):
    """What one call asks for.

    `wait`: its caller waits; `reread`: with the configuration in the file; `dry_run`: to be told
    what would be done; `resume`: what the last restart left; `processes`: only these, by their
    names in the group, or where it is empty all.
    """

    settings: Settings
    wait: bool = True
    reread: bool = False
    dry_run: bool = False
    resume: bool = False
    processes: Tuple[str, ...] = ()


def from_call(settings: Settings, options: Any,
              flags: Tuple[str, ...] = ('wait', 'processes', 'reread', 'resume')) -> Call:
    """Return `settings` with the options of one call; beside these it may have some `flags`.

    A call that gives `stagger_factor` is staggered, also where `settings` are rolling. Raises
    BadOption for an unknown option, a wrong value, or two options that exclude each other.
    """
    if options == []:
        options = {}  # what PHP makes of an empty array
    if not isinstance(options, dict):
        raise BadOption('options must be a struct, not %s' % kind(options))
    values, allowed = {}, dict(_OPTIONS, **{flag: _FLAGS[flag] for flag in flags})
    for name, value in sorted(options.items()):
        if name not in allowed:
            raise BadOption('unknown option %s; the options are %s'
                            % (shown(name), _names(allowed)))
        values[name] = _parse(allowed, name, value, name)
    for name in ('max_unavailable', 'max_surge'):
        if 'stagger_factor' in values and values.get(name):
            raise BadOption('stagger_factor and %s exclude each other: '
                            'a restart is either staggered or rolling' % name)
    if values.get('resume') and values.get('processes'):
        raise BadOption('resume and processes exclude each other: '
                        'what is left says which processes')
    if 'stagger_factor' in values:
        values = {'max_unavailable': Limit(0), 'max_surge': Limit(0), **values}
    given = {flag: values.pop(flag) for flag in flags if flag in values}
    return Call(settings._replace(**values), **given)


def _parse(options: Dict[str, Any], option: str, value: Any, name: str) -> Any:
    parse, allowed = options[option]
    try:
        return parse(value)
    except (ValueError, OverflowError):
        given = shown(repr(value) if isinstance(value, (str, int, float)) else kind(value))
        raise BadOption('%s = %s: must be %s' % (name, given, allowed)) from None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError
    if isinstance(value, str) and ('_' in value or not value.isascii()):
        raise ValueError  # 1_000, and digits of other scripts
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _seconds(value: Any) -> float:
    number = _number(value)
    if number <= 0:
        raise ValueError
    return number


def _seconds_or_zero(value: Any) -> float:
    number = _number(value)
    if number < 0:
        raise ValueError
    return number


def _whole(value: Any) -> int:
    number = _number(value)
    if not number.is_integer():
        raise ValueError
    return int(number)


def _batches(value: Any) -> int:
    number = _whole(value)
    if number < 1:
        raise ValueError
    return number


def _limit(value: Any) -> Limit:
    percentage = isinstance(value, str) and value.strip().endswith('%')
    number = _number(value.strip()[:-1]) if percentage else _whole(value)
    # 0 is no limit, and 0% would be one process: too near to each other.
    if number < 0 or (percentage and not 0 < number <= 100):
        raise ValueError
    return Limit(number, percentage)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _names_of_processes(value: Any) -> Tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise ValueError
    return tuple(value)


def _true_or_false(value: Any) -> bool:
    return value if isinstance(value, bool) else boolean(value)


def _names(names: Iterable[str]) -> str:
    return ', '.join(sorted(names))


_LIMITS = 'a whole number, 0 or greater, or a percentage above 0% and up to 100%'

_OPTIONS = {
    'delay': (_seconds, 'a number of seconds greater than 0'),
    'timeout': (_seconds, 'a number of seconds greater than 0'),
    'stagger_factor': (_batches, 'a whole number, 1 or greater'),
    'max_unavailable': (_limit, _LIMITS),
    'max_surge': (_limit, _LIMITS),
    'min_ready_seconds': (_seconds_or_zero, 'a number of seconds, 0 or greater'),
    'only_running': (_true_or_false, 'true or false'),
}

# Not for one group, and not for one call.
_PLUGIN_OPTIONS = {'page': (boolean, 'true or false')}

# For one call only.
_FLAGS = {
    'wait': (_yes_or_no, 'a boolean'),
    'reread': (_yes_or_no, 'a boolean'),
    'dry_run': (_yes_or_no, 'a boolean'),
    'resume': (_yes_or_no, 'a boolean'),
    'processes': (_names_of_processes,
                  'an array of the names of processes in the group, at least one'),
}
