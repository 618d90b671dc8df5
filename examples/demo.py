"""Three deploys under load, and how long a restart takes beside supervisorctl's way.

    make demo
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

SCRIPTS = Path(sys.executable).parent
CONFIGURATION = Path(__file__).with_name('demo.conf')
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CLIENTS = 4
PROCESSES = {'web': 4, 'api': 1, 'worker': 20}
GREEN, RED, BOLD = '32', '31', '1'


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
        self.environment = dict(os.environ, DEMO=self.folder, PYTHON=sys.executable)
        for group in ('web', 'api'):
            self.release(group, '1')
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

    def release(self, group, text):
        """Let the processes of a group that start from now on be of another release."""
        Path(self.folder, group + '.release').write_text(text)

    def pids(self):
        """Return the process ids of those that are RUNNING, by name."""
        status = self.command('supervisorctl', 'status', stdout=subprocess.PIPE)[1]
        rows = [line.replace(',', ' ').split() for line in status.splitlines()]
        return {row[0]: int(row[3]) for row in rows if row[1:2] == ['RUNNING']}

    def wait_running(self):
        deadline = time.monotonic() + 30
        while len(self.pids()) < sum(PROCESSES.values()):
            if self.supervisord.poll() is not None or time.monotonic() > deadline:
                raise Failure('the processes did not come up')
            time.sleep(0.1)

    def deploy(self, group, release, *options, works=True):
        """Restart a group of the application under load, and show what comes of it."""
        self.release(group, release)
        before = self.pids()
        command = ['supervisorctl_restart_group', *options, group]
        print('   $ ' + ' '.join(command), flush=True)
        with Load(os.path.join(self.folder, group + '.sock')) as load:
            status, output = self.command(*command, stdout=subprocess.PIPE,
                                          stderr=subprocess.STDOUT)
        for line in output.splitlines():
            print('   ' + line)
        if bool(status) == works:
            raise Failure('%s has ended with %d' % (' '.join(command), status))
        old, new = set(before.values()), set(self.pids().values())
        print('   %s; %d of %d processes are new, %d are the old ones; answered: release %s' % (
            paint('%d requests, %d failed' % (load.requests, load.failed),
                  RED if load.failed else GREEN),
            len(new - old), PROCESSES[group], PROCESSES[group] - len(old - new),
            ', '.join(sorted(load.answers))))

    def seconds(self, *command):
        """Run a command that restarts the workers, and return its seconds."""
        before, start = self.workers(), time.monotonic()
        status, output = self.command(*command, stdout=subprocess.PIPE)
        seconds, after = time.monotonic() - start, self.workers()
        if status:
            raise Failure('%s failed: %s' % (' '.join(command), output.strip()))
        if set(after) != set(before) or set(after.values()) & set(before.values()):
            raise Failure('%s has not restarted all processes' % ' '.join(command))
        return seconds

    def workers(self):
        return {name: pid for name, pid in self.pids().items() if name.startswith('worker:')}


class Load:
    """Clients that ask the application behind a socket, all the time, until the end of `with`.

    `answers` counts the answers of each release; `failed` the requests that got none.
    """

    def __init__(self, address):
        self.address = address
        self.answers, self.failed = Counter(), 0
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._clients = [threading.Thread(target=self._ask, daemon=True) for _ in range(CLIENTS)]

    @property
    def requests(self):
        return sum(self.answers.values()) + self.failed

    def __enter__(self):
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *why):
        self._stopped.set()
        for client in self._clients:
            client.join()

    def _ask(self):
        while not self._stopped.wait(0.005):
            try:
                answer = self._answer()
            except OSError:
                answer = b''
            head, _, release = answer.partition(b'\r\n\r\n')
            with self._lock:
                if head.startswith(b'HTTP/1.0 200 ') and release:
                    self.answers[release.decode()] += 1
                else:
                    self.failed += 1

    def _answer(self):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(self.address)
            connection.sendall(b'GET / HTTP/1.0\r\n\r\n')
            return b''.join(iter(lambda: connection.recv(4096), b''))


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


def paint(text, colour):
    """Return text in a colour, where it goes to a terminal that has some."""
    if not sys.stdout.isatty() or os.environ.get('TERM') == 'dumb' or 'NO_COLOR' in os.environ:
        return text
    return '\033[%sm%s\033[0m' % (colour, text)


def story(heading):
    print('\n' + paint(heading, BOLD))


def main():
    with Demo() as demo:
        print('Starting supervisord (%s): web, 4 processes of a web application; api, one of it; '
              'and 20 workers' % CONFIGURATION.name, flush=True)
        demo.wait_running()
        story('1. A new release of web, one process after the other; %d clients ask' % CLIENTS)
        demo.deploy('web', '2', '--max-unavailable', '1')
        story('2. A release that is broken: it costs one process, and the restart ends')
        demo.deploy('web', 'broken', '--max-unavailable', '1', works=False)
        story('3. A new release of api, which has one process: the new one before the old one')
        demo.deploy('api', '2', '--max-surge', '1')
        story('4. The seconds for 20 workers, each RUNNING after one second')
        for command in (['supervisorctl_restart_group', 'worker'],
                        ['supervisorctl', 'restart', 'worker:*']):
            print('   %6.2f  %s' % (demo.seconds(*command), ' '.join(command)), flush=True)


if __name__ == '__main__':
    try:
        main()
    except Failure as why:
        sys.exit('demo: %s' % why)
