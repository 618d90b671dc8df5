"""Several supervisords on this machine as the hosts of examples/ansible."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional

from tests.support.daemon import SCRIPTS, Daemon, group

EXAMPLE = Path(__file__).parents[2] / 'examples' / 'ansible'
GROUP = 'web'
GOOD = 'exec sleep 100000\n'
BROKEN = 'echo this release is broken; exit 1\n'

RECAP = re.compile(r'^(\S+) +: (ok=\d+.*)$', re.MULTILINE)


class Outcome(NamedTuple):
    """What a playbook came to: exit status, output, and for each host its numbers of the recap."""

    status: int
    output: str
    recap: Dict[str, Dict[str, int]]

    def hosts(self, what: str) -> List[str]:
        """Return the names of the hosts that have a number above zero for `what`."""
        return sorted(name for name, numbers in self.recap.items() if numbers[what])

    @property
    def batches(self) -> int:
        """In how many batches hosts were visited."""
        return len(re.findall(r'^PLAY \[', self.output, re.MULTILINE))


class Fleet:
    """Hosts by name, each with a supervisord and a group of its own; a context manager.

    Each process runs the file `release` in the folder of its host.
    """

    def __init__(self, hosts: int, processes: int):
        self._stack = contextlib.ExitStack()
        self.hosts: Dict[str, Daemon] = {}
        for number in range(1, hosts + 1):
            programs = group(GROUP, processes, '/bin/sh %(here)s/release', 1)
            self.hosts['host%d' % number] = Daemon(programs, loglevel='info')

    def __enter__(self) -> 'Fleet':
        with contextlib.ExitStack() as stack:
            self.folder = Path(stack.enter_context(
                tempfile.TemporaryDirectory(prefix='fleet-', dir='/tmp')))
            self.release(GOOD)
            for daemon in self.hosts.values():
                stack.enter_context(daemon)
            for daemon in self.hosts.values():
                daemon.wait_running(GROUP)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def release(self, text: str) -> None:
        """Install a release on every host."""
        for daemon in self.hosts.values():
            (daemon.folder / 'release').write_text(text)

    def pids(self, names: Iterable[str] = ()) -> Dict[str, Dict[str, int]]:
        """Return the process ids by host and process name, of some or of all hosts."""
        return {name: self.hosts[name].pids(GROUP) for name in names or self.hosts}

    def unreachable(self) -> str:
        """Return the variable of a host that Ansible cannot reach."""
        occupied = self.folder / 'occupied'
        occupied.write_text('a file where Ansible wants a folder for its files')
        return 'ansible_remote_tmp=%s/tmp' % occupied

    def lost(self) -> str:
        """Return the variables of a host that answers one command and is unreachable then."""
        scripts, tmp = self.folder / 'scripts', self.folder / 'tmp-of-lost'
        scripts.mkdir()
        script = scripts / 'supervisorctl'
        script.write_text('#!/bin/sh\n%s/supervisorctl "$@"\nmv %s %s.gone && touch %s\n'
                          % (SCRIPTS, tmp, tmp, tmp))
        script.chmod(0o755)
        return 'ansible_remote_tmp=%s supervisor_scripts=%s/' % (tmp, scripts)

    def inventory(self, of_hosts: Dict[str, str]) -> Path:
        """Write the inventory; `of_hosts` are variables that a host has besides."""
        lines = ['[all:vars]', 'ansible_connection=local',
                 'ansible_python_interpreter=%s' % sys.executable,
                 'supervisor_scripts=%s/' % SCRIPTS, '[web]']
        lines += ['%s supervisord_conf=%s %s' % (name, daemon.configuration, of_hosts.get(name, ''))
                  for name, daemon in self.hosts.items()]
        path = self.folder / 'inventory.ini'
        path.write_text('\n'.join(lines) + '\n')
        return path

    def playbook(self, *options: str, of_hosts: Optional[Dict[str, str]] = None) -> Outcome:
        """Run the playbook with ansible-playbook's options, all its files below `folder`."""
        done = subprocess.run(
            [str(SCRIPTS / 'ansible-playbook'), '-i', str(self.inventory(of_hosts or {})),
             str(EXAMPLE / 'restart.yml')] + list(options),
            env=environment(self.folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, universal_newlines=True, timeout=300)
        recap = {name: {key: int(value) for key, value in re.findall(r'(\w+)=(\d+)', numbers)}
                 for name, numbers in RECAP.findall(done.stdout)}
        return Outcome(done.returncode, done.stdout, recap)


def environment(folder: Path) -> Dict[str, str]:
    """Return an environment in which Ansible reads and writes nowhere but below a folder."""
    (folder / 'ansible.cfg').write_text('[defaults]\n')
    kept = {name: value for name, value in os.environ.items() if not name.startswith('ANSIBLE_')}
    return dict(kept, HOME=str(folder), ANSIBLE_HOME=str(folder / 'ansible'),
                ANSIBLE_LOCAL_TEMP=str(folder / 'local'),
                ANSIBLE_REMOTE_TEMP=str(folder / 'remote'),
                ANSIBLE_CONFIG=str(folder / 'ansible.cfg'), ANSIBLE_NOCOLOR='1', LC_ALL='C.UTF-8')
