"""Restarts a group of twenty processes, and shows how long it takes beside supervisorctl's way.

    make demo
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = Path(sys.executable).parent
CONFIGURATION = Path(__file__).with_name('demo.conf')
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COLUMNS = 4


class Demo:
    """A supervisord in a temporary folder; both are gone after `with`, however it ends."""

    def __enter__(self):
        try:
            with signals_held():
                self._start()
        except SystemExit:
            self.__exit__()
            raise
        return self

    def _start(self):
        self.folder = short_temporary_folder()
        self.environment = dict(os.environ, DEMO=self.folder)
        # A session of its own: the Ctrl-C of the terminal is for this script alone.
        self.supervisord = subprocess.Popen(
            [str(SCRIPTS / 'supervisord'), '-c', str(CONFIGURATION)], env=self.environment,
            start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def __exit__(self, *why):
        on_signals(signal.SIG_IGN)
        self.supervisord.terminate()
        self.supervisord.wait()
        shutil.rmtree(self.folder)

    def command(self, name, *arguments, **options):
        """Run a command; return its exit status, and what it wrote where `stdout` is a pipe."""
        running = None
        try:
            # A signal in the midst of this would leave the command behind, and nobody to read it.
            with signals_held():
                running = subprocess.Popen(
                    [str(SCRIPTS / name), '-c', str(CONFIGURATION)] + list(arguments),
                    env=self.environment, stdin=subprocess.DEVNULL, universal_newlines=True,
                    **options)
            output = running.communicate()[0]
        except SystemExit:
            if running is not None:
                running.kill()
                running.wait()
            raise
        return running.returncode, output

    def pids(self):
        """Return the process ids of those that are RUNNING, by name."""
        status = self.command('supervisorctl', 'status', stdout=subprocess.PIPE)[1]
        rows = [line.replace(',', ' ').split() for line in status.splitlines()]
        return {row[0]: int(row[3]) for row in rows if row[1:2] == ['RUNNING']}

    def wait_running(self):
        deadline = time.monotonic() + 30
        while len(self.pids()) < 20:
            if self.supervisord.poll() is not None or time.monotonic() > deadline:
                raise Failure('the twenty processes did not come up')
            time.sleep(0.1)

    def seconds(self, *command):
        """Run a command, and return its seconds and the process ids before and after it."""
        before, start = self.pids(), time.monotonic()
        status, output = self.command(*command, stdout=subprocess.PIPE)
        seconds, after = time.monotonic() - start, self.pids()
        if status:
            raise Failure('%s failed: %s' % (' '.join(command), output.strip()))
        if set(after) != set(before) or set(after.values()) & set(before.values()):
            raise Failure('%s has not restarted all processes' % ' '.join(command))
        return seconds, before, after


class Failure(Exception):
    """What went wrong, for the person who looks on."""


def short_temporary_folder():
    """Make a folder for the socket, whose path the system limits to some hundred bytes."""
    room_for_the_socket = len('/restarter-demo-12345678/supervisor.sock.1234567')
    short = len(tempfile.gettempdir()) + room_for_the_socket < 100
    return tempfile.mkdtemp(prefix='restarter-demo-', dir=None if short else '/tmp')


def on_signals(handler):
    for signum in SIGNALS:
        signal.signal(signum, handler)


@contextlib.contextmanager
def signals_held():
    """Heed signals only when the body has ended."""
    held = []
    on_signals(lambda signum, frame: held.append(signum))
    yield
    on_signals(leave)
    if held:
        leave(held[0], None)


def leave(signum, frame):
    sys.exit(128 + signum)


def main():
    with Demo() as demo:
        print('Starting supervisord with a group of 20 processes (%s)' % CONFIGURATION.name)
        demo.wait_running()
        ours, before, after = demo.seconds('supervisorctl_restart_group', 'web')
        cells = ['%s %7d ->%7d' % (name.split('_')[1], before[name], after[name])
                 for name in sorted(before)]
        rows = -(-len(cells) // COLUMNS)
        print('\nProcess ids before and after supervisorctl_restart_group web:')
        for row in range(rows):
            print('   ' + '     '.join(cells[row::rows]))
        theirs = demo.seconds('supervisorctl', 'restart', 'web:*')[0]
        print('\nSeconds for the same group (each process counts as RUNNING after 1 second):')
        print('   %6.2f  supervisorctl_restart_group web' % ours)
        print('   %6.2f  supervisorctl restart web:*' % theirs)


if __name__ == '__main__':
    try:
        main()
    except Failure as why:
        sys.exit('demo: %s' % why)
