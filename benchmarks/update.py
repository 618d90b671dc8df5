"""Apply a changed configuration to a running group: `python -m benchmarks.update --help`."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from benchmarks.results import RESULTS, spread, write
from tests.support.daemon import PLUGIN, Daemon, group
from tests.support.load import Counts
from tests.support.rolling_example import RollingExample

GROUP = 'web'
AROUND = 0.5  # seconds of load before and after an update
NO_LOAD = Counts(0, 0, 0, 0, 0.0, None, frozenset())
COMMANDS = """
[ctlplugin:restarter]
supervisor.ctl_factory = supervisor_restarter.controllerplugin:make_controllerplugin
"""
UPDATE = 'supervisorctl update web'


class Update(NamedTuple):
    """One update: seconds, how many processes ran on, what the clients saw, and what
    `supervisorctl update` finds to do after it."""

    seconds: float
    untouched: int
    counts: Counts
    left_to_do: str


class Change(NamedTuple):
    """What changes in the file: a text, from which the group starts in each round, and another."""

    name: str
    daemon: Callable[[], Daemon]
    texts: Tuple[str, str]
    options: Tuple[str, ...]  # for updategroup


CHANGES = (
    Change('numprocs 100 to 101, startsecs = 0',
           lambda: Daemon(group(GROUP, 100), plugin=PLUGIN, extra=COMMANDS, loglevel='info'),
           ('numprocs = 100', 'numprocs = 101'), ()),
    Change('numprocs 10 to 5, uvicorn under load',
           lambda: RollingExample(extra=COMMANDS, numprocs=10),
           ('numprocs = 10', 'numprocs = 5'), ()),
    Change('a new command for 4 uvicorns under load',
           lambda: RollingExample(extra=COMMANDS),
           ('--no-access-log ', '--no-access-log --no-date-header '), ('--max-surge', '1')),
)


def main() -> int:
    """Measure, print the table, write it, and return the exit status."""
    options = _options()
    rows: List[Dict[str, Any]] = []
    for change in CHANGES:
        ways = {'updategroup by XML-RPC': rpc(change),
                ' '.join(('supervisorctl updategroup',) + change.options + (GROUP,)): None,
                UPDATE: None}
        for name, way in ways.items():
            updates = [update(change, way or command(name), options.clients)
                       for _ in range(options.rounds)]
            rows.append(summary(change, name, updates))
            print(', '.join('%s: %s' % pair for pair in rows[-1].items()), flush=True)
            write(options.results, 'update', rows)
    return 0


def rpc(change: Change) -> Callable[[Daemon], None]:
    """Return what updates the group without starting a command."""
    given: Dict[str, Any] = {'timeout': 30}
    if change.options:
        given['max_surge'] = int(change.options[1])

    def way(daemon: Daemon) -> None:
        with daemon.connection() as server:
            _check(server.restarter.updateProcessGroup(GROUP, given) is True, 'updated')
    return way


def command(name: str) -> Callable[[Daemon], None]:
    """Return what runs a command of supervisorctl."""
    def way(daemon: Daemon) -> None:
        done = daemon.supervisorctl(*name.split()[1:])
        _check(done.returncode == 0, done.stdout + done.stderr)
    return way


def update(change: Change, way: Callable[[Daemon], None], clients: int) -> Update:
    """Start the group, change its file, and update it; under load where it serves."""
    with change.daemon() as daemon:
        serves = isinstance(daemon, RollingExample)
        if serves:
            daemon.wait_serving()
        before = daemon.wait_running(GROUP)
        old, new = change.texts
        text = daemon.configuration.read_text(encoding='utf-8')
        _check(text.count(old) == 1, 'the text is there')
        daemon.configuration.write_text(text.replace(old, new), encoding='utf-8')
        load = daemon.load(clients=clients) if serves else None
        seconds = _under(load, lambda: way(daemon))
        after = daemon.wait_running(GROUP)
        if old.startswith('numprocs'):
            _check(len(after) == int(new.split()[-1]), '%d processes' % len(after))
        else:
            for pid in after.values():
                line = Path('/proc/%d/cmdline' % pid).read_bytes().replace(b'\0', b' ')
                _check(new.encode() in line, 'the new command')
        untouched = sum(before.get(name) == pid for name, pid in after.items())
        found = daemon.supervisorctl('update').stdout.strip()
        return Update(seconds, untouched, load.counts() if load else NO_LOAD, found or 'nothing')


def summary(change: Change, name: str, updates: List[Update]) -> Dict[str, Any]:
    """Return one row of the table; counts of requests are sums over the rounds."""
    return {
        'change': change.name,
        'command': name,
        'rounds': len(updates),
        'untouched': min(update.untouched for update in updates),
        'seconds, median': '%.3f' % spread([update.seconds for update in updates]).median,
        'requests': sum(update.counts.requests for update in updates),
        'failed': sum(update.counts.failed for update in updates),
        'left to do': ' '.join(sorted({update.left_to_do for update in updates})),
    }


def _under(load: Any, action: Callable[[], None]) -> float:
    """Return the seconds that an action takes, under load if there is any."""
    if load is None:
        return _seconds(action)
    with load:
        time.sleep(AROUND)
        seconds = _seconds(action)
        time.sleep(AROUND)
    return seconds


def _seconds(action: Callable[[], None]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.update',
                                     description='Apply a changed configuration to a group.')
    parser.add_argument('--rounds', type=int, default=5, metavar='N',
                        help='updates in each way (default: 5)')
    parser.add_argument('--clients', type=int, default=6, metavar='N',
                        help='clients of the web application (default: 6)')
    parser.add_argument('--results', type=Path, default=RESULTS, metavar='FOLDER',
                        help='where to write update.csv (default: %(default)s)')
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(main())
