"""The names that a user types: groups, patterns of groups, all, and processes of groups."""

import fnmatch
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Tuple

from supervisor.options import split_namespec


class NoSuchName(Exception):
    """A name that matches nothing, as a sentence."""


class Target(NamedTuple):
    """A group, or some of its processes; `processes` are all when it is empty."""

    group: str
    processes: Tuple[str, ...] = ()


def targets(names: List[str], infos: Callable[[], List[Dict[str, Any]]],
            is_group: Callable[[str], bool] = lambda name: False) -> List[Target]:
    """Return what the names mean, each group once, in their order.

    `infos()` asks supervisord for `getAllProcessInfo`; not for one name that is no pattern, since
    supervisord then says itself what is wrong with it. `is_group(name)` is called where one of
    several names is that of no process's group: a group with numprocs = 0 has no process. Raises
    NoSuchName for a name that matches nothing; `all` may match nothing.
    """
    group, process = _split(names[0])
    if len(names) == 1 and names[0] != 'all' and not _is_pattern(group + (process or '')):
        return [Target(group) if process is None else Target(group, (process,))]
    there: Dict[str, List[str]] = {}
    for info in infos():
        there.setdefault(info['group'], []).append(info['name'])
    chosen: Dict[str, List[str]] = {}
    whole = set()
    for name in names:
        matching = 0
        group, process = ('*', None) if name == 'all' else _split(name)
        if process is None and group not in there and not _is_pattern(group) and is_group(group):
            there[group] = []
        for each in _matching(there, group):
            found = there[each] if process is None else _matching(there[each], process)
            if process is None:
                whole.add(each)
            if process is None or found:
                chosen.setdefault(each, []).extend(found)
                matching += 1
        if not matching and name != 'all':
            what = 'group' if process is None else 'process'
            raise NoSuchName('%s: no such %s%s' % (
                name, what, '; nothing is done' if len(names) > 1 else ''))
    return [Target(group) if group in whole else Target(group, tuple(dict.fromkeys(processes)))
            for group, processes in chosen.items()]


def check_groups(names: List[str], groups: Iterable[str]) -> None:
    """Raise NoSuchName for a name that is of none of these groups; `all` may stand beside it."""
    for name in names:
        if name != 'all' and not _matching(groups, _split(name)[0]):
            raise NoSuchName('%s: no such group; nothing is done' % name)


def _split(name: str) -> Tuple[str, Any]:
    # A name without a colon is a group's here (supervisor/options.py: split_namespec).
    return split_namespec(name) if ':' in name else (name, None)


def _is_pattern(text: str) -> bool:
    return bool(set('*?[') & set(text))


def _matching(names: Any, pattern: str) -> List[str]:
    return [pattern] if pattern in names else fnmatch.filter(names, pattern)
