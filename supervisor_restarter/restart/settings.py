"""The options of a restart: from the configuration, and from one call."""

import math
from typing import Any, Callable, Dict, NamedTuple, Tuple

from supervisor_restarter.restart.faults import kind, shown


class Limit(NamedTuple):
    """How many processes may be down at once: a number, or a percentage of the group."""

    number: float
    percentage: bool = False

    def __bool__(self) -> bool:
        return self.percentage or self.number > 0

    def __str__(self) -> str:
        return '%g%%' % self.number if self.percentage else '%d' % self.number

    def of(self, total: int) -> int:
        """Return how many of `total` processes that is; a percentage is at least one."""
        if not self.percentage:
            return int(self.number)
        return max(1, math.ceil(total * self.number / 100))


class Settings(NamedTuple):
    """The options of one restart; `delay` and `timeout` are in seconds."""

    delay: float = 0.2
    timeout: float = 5.0
    stagger_factor: int = 1
    max_unavailable: Limit = Limit(0)


class BadOption(ValueError):
    """An option that is unknown or has a value that cannot be; the message says what is allowed."""


def from_config(options: Dict[str, str], warn: Callable[[str], None]) -> Settings:
    """Return the settings of a configuration section.

    `options` are the section's options as text. An unknown one is handed to `warn` in a sentence.
    Raises BadOption for a value that cannot be.
    """
    values = {}
    for name, value in sorted(options.items()):
        if name in _OPTIONS:
            values[name] = _parse(name, value)
        else:
            warn('restarter: unknown option %s; the options are %s' % (name, _names(_OPTIONS)))
    settings = Settings(**values)
    if settings.max_unavailable and settings.stagger_factor > 1:
        warn('restarter: stagger_factor = %d has no effect, since max_unavailable = %s makes '
             'restarts rolling' % (settings.stagger_factor, settings.max_unavailable))
    return settings


def from_call(settings: Settings, options: Dict[str, Any]) -> Tuple[Settings, bool]:
    """Return `settings` with the options of one call, and whether the caller waits.

    Raises BadOption for an unknown option, a value that cannot be, or two that exclude each other.
    """
    if not isinstance(options, dict):
        raise BadOption('options must be a struct, not %s' % kind(options))
    values = {}
    for name, value in sorted(options.items()):
        if name not in _CALL_OPTIONS:
            raise BadOption('unknown option %s; the options are %s'
                            % (shown(name), _names(_CALL_OPTIONS)))
        values[name] = _parse(name, value)
    if 'stagger_factor' in values and values.get('max_unavailable'):
        raise BadOption('stagger_factor and max_unavailable exclude each other: '
                        'a restart is either staggered or rolling')
    wait = values.pop('wait', True)
    return settings._replace(**values), wait


def _parse(name: str, value: Any) -> Any:
    parse, allowed = _CALL_OPTIONS[name]
    try:
        return parse(value)
    except (ValueError, OverflowError):
        given = shown(repr(value) if isinstance(value, (str, int, float)) else kind(value))
        raise BadOption('%s = %s: must be %s' % (name, given, allowed)) from None


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError
    if isinstance(value, str) and ('_' in value or not value.isascii()):
        raise ValueError  # 1_000, and digits that most readers cannot tell
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _seconds(value: Any) -> float:
    number = _number(value)
    if number <= 0:
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
    if number < 0 or (percentage and number > 100):
        raise ValueError
    return Limit(number, percentage)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _names(options: Dict[str, Any]) -> str:
    return ', '.join(sorted(options))


_OPTIONS = {
    'delay': (_seconds, 'a number of seconds greater than 0'),
    'timeout': (_seconds, 'a number of seconds greater than 0'),
    'stagger_factor': (_batches, 'a whole number, 1 or greater'),
    'max_unavailable': (_limit, 'a whole number, 0 or greater, or a percentage from 0% to 100%'),
}

_CALL_OPTIONS = dict(_OPTIONS, wait=(_yes_or_no, 'a boolean'))
