"""What the tests of surges share: groups of each kind, and a look at them all the time."""

import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List

from tests.support.daemon import MANNERS, Daemon

UP = ('RUNNING',)
ALIVE = ('STARTING', 'RUNNING', 'STOPPING')
SURGE = {'max_surge': 1, 'timeout': 30}

# An event listener that writes what it hears to the file of its argument, a line for each event.
EARS = Path(__file__).parents[1] / 'programs' / 'ears.py'


def programs(kind: str, size: int = 2, command: str = MANNERS['at once'], startsecs: int = 1,
             folder: str = '', **settings: Any) -> str:
    """Return the configuration of a group `web` of a kind, `web_0`, `web_1` and so on in it.

    `kind` is `program`, `fcgi-program`, `eventlistener`, or `group`, in which each process is that
    of a program of its own. `folder` is where the socket of an `fcgi-program` is.
    """
    settings = dict({'stdout_logfile': 'NONE', 'stderr_logfile': 'NONE'}, **settings)
    lines = ['command = %s' % command, 'startsecs = %d' % startsecs]
    lines += ['%s = %s' % pair for pair in settings.items()]
    if kind == 'group':
        text = '[group:web]\nprograms = %s\n' % ','.join('web_%d' % n for n in range(size))
        return text + ''.join('\n'.join(['[program:web_%d]' % n, 'priority = %d' % (900 + n % 2)]
                                        + lines) + '\n' for n in range(size))
    own = {'program': '', 'fcgi-program': 'socket = unix://%s/web.sock' % folder,
           'eventlistener': 'events = TICK_5\npriority = 999'}[kind]
    return '\n'.join(['[%s:web]' % kind, own, 'numprocs = %d' % size,
                      'process_name = web_%(process_num)d'] + lines) + '\n'


def ears(heard: Path, events: str = 'PROCESS_STATE') -> str:
    """Return the configuration of an event listener that writes to a file."""
    return ('[eventlistener:ears]\ncommand = %s -u %s %s\nevents = %s\nbuffer_size = 1000\n'
            % (sys.executable, EARS, heard, events))


class Watch(threading.Thread):
    """Looks at a group all the time while a block is executed.

        with Watch(daemon, 'web') as watch:
            restart()
        assert watch.most_alive <= 11

    `seen` has the states of each look that differs from the one before, by process name.
    """

    def __init__(self, daemon: Daemon, group: str):
        super().__init__(daemon=True)
        self.daemon_to_watch, self.group = daemon, group
        self.seen: List[Dict[str, str]] = []
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            states = self.daemon_to_watch.states(self.group)
            if not self.seen or states != self.seen[-1]:
                self.seen.append(states)
            time.sleep(0.002)

    def __enter__(self) -> 'Watch':
        self.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._ended.set()
        self.join()

    @property
    def most_alive(self) -> int:
        """How many were alive at a time at most."""
        return max(sum(state in ALIVE for state in states.values()) for states in self.seen)

    @property
    def fewest_up(self) -> int:
        """How many were RUNNING at a time at least."""
        return min(sum(state in UP for state in states.values()) for states in self.seen)
