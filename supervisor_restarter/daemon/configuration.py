"""Reads the configuration file of the supervisord that runs."""

import copy
from types import SimpleNamespace
from typing import Any, Dict, Iterable, NamedTuple, Optional, Tuple

from supervisor.options import ProcessException


class CannotReread(ValueError):
    """Why the file cannot be read, as a sentence."""


class File(NamedTuple):
    """What the file says: the configurations of the groups, by name, and by its factory the
    options of each section [rpcinterface:...], as text.
    """

    groups: Dict[str, Any]
    sections: Dict[Any, Dict[str, str]]


def read(options: Any) -> File:
    """Read the configuration file of a supervisord; its `options` stay as they are.

    Raises CannotReread where the file, or what it names, cannot be read, understood or found.
    """
    # supervisorctl reread also sets what the file says about supervisord itself, such as its
    # pidfile, though nobody acts on it (supervisor/options.py: Options.process_config). So a copy
    # reads, and nothing of supervisord's changes: neither then, nor when half of it is read.
    reader = copy.copy(options)
    reader.configroot = SimpleNamespace(supervisord=SimpleNamespace())
    for name in ('environ_expansions', 'attr_priorities'):  # which it changes in place
        setattr(reader, name, dict(getattr(options, name)))
    try:
        reader.process_config(do_usage=False)
    except (Exception, SystemExit) as why:  # a module that the file names may raise anything
        raise CannotReread(_sentence(why)) from None
    groups: Dict[str, Any] = {}
    for config in reader.process_group_configs:
        for each in [config, *config.process_configs]:
            each.options = options
        groups.setdefault(config.name, config)  # supervisor/supervisord.py: add_process_group
    sections = reader.configroot.supervisord.rpcinterface_factories
    return File(groups, {factory: options for _, factory, options in sections})


def take_over(options: Any, config: Any) -> None:
    """Let `supervisorctl add` know a group as it is in the file, as it does after a reread."""
    known = options.process_group_configs
    options.process_group_configs = [
        config if each.name == config.name else each for each in known]
    if config.name not in (each.name for each in known):
        options.process_group_configs.append(config)


def cannot_start(group: Any, configs: Iterable[Any]) -> Optional[Tuple[str, str]]:
    """Return the name of the first process whose program cannot be started, and why; or None.

    Only what can be seen without a start: such as a program that does not exist.
    """
    looked_at = set()
    for config in configs:
        program = (config.command, tuple(config.get_path()))
        if program not in looked_at:
            looked_at.add(program)
            try:
                config.make_process(group).get_execv_args()
            except ProcessException as why:  # supervisor/process.py: spawn
                return config.name, str(why)
    return None


def _sentence(why: BaseException) -> str:
    text = ' '.join(str(why).split())
    if not text.isprintable():
        text = ascii(text)[1:-1]
    return text if isinstance(why, ValueError) else '%s: %s' % (type(why).__name__, text)
