"""`make demo` shows what it promises, and leaves nothing behind."""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.daemon import descendants, heed_ctrl_c, wait_until
from tests.support.stress import pairs

pytestmark = pytest.mark.slow

DEMO = Path(__file__).parents[2] / 'examples' / 'demo.py'


@pytest.fixture
def folder():
    # Not `tmp_path`, which is too long for a socket: the demo would leave it for /tmp.
    path = Path(tempfile.mkdtemp(prefix='restarter-', dir='/tmp'))
    yield path
    shutil.rmtree(str(path))


@pytest.fixture
def demo(folder):
    """Starts the demo, with its temporary folder below `folder`."""
    started = []

    def start(temporary=folder, stdout=subprocess.PIPE):
        process = subprocess.Popen(
            [sys.executable, str(DEMO)], env=dict(os.environ, TMPDIR=str(temporary), TERM='xterm'),
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
            universal_newlines=True, preexec_fn=heed_ctrl_c)
        started.append(process)
        return process

    yield start
    for process in started:
        for pid in descendants(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.communicate()


def gone(pids):
    return not [pid for pid in pids if os.path.exists('/proc/%d' % pid)]


def test_it_shows_three_deploys_in_which_no_request_fails_and_the_seconds(demo, folder):
    process = demo()
    said, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, '')
    assert re.findall(r'[1-9]\d* requests, 0 failed; (.*)\n', said) == [
        '4 of 4 processes are new, 0 are the old ones; answered: release 1, 2',
        '0 of 4 processes are new, 3 are the old ones; answered: release 2',
        '1 of 1 processes are new, 0 are the old ones; answered: release 1, 2']
    assert 'START_FAILED' in said and 'no such column' in said and 'STOPPED_EARLY' in said
    assert re.search(r'\d\.\d\d  supervisorctl_restart_group worker\n', said)
    assert re.search(r'\d\.\d\d  supervisorctl restart worker:\*\n', said)
    assert '\033' not in said
    assert list(folder.iterdir()) == []


@pytest.mark.stress
def test_it_has_colours_at_a_terminal_and_leaves_alone_a_folder_too_long_for_a_socket(demo, folder):
    long = folder / ('long' * 20)
    long.mkdir()
    reading, terminal = pty.openpty()
    process = demo(long, terminal)
    complaints = process.communicate(timeout=60)[1]
    assert (process.returncode, complaints) == (0, '')
    shown = os.read(reading, 65536).decode()  # It is less than what a terminal holds back.
    os.close(reading)
    os.close(terminal)
    assert re.search(r'\033\[32m\d+ requests, 0 failed\033\[0m', shown)
    assert list(long.iterdir()) == []


@pytest.mark.parametrize('signum, processes', pairs(
    [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], [1, 26, 27]))
def test_a_signal_in_the_middle_leaves_no_process_and_no_folder(demo, folder, signum, processes):
    # 1: supervisord is there; 26: and its processes; 27: and a command to restart them.
    process = demo()
    wait_until(lambda: len(descendants(process.pid)) >= processes, 'the demo runs')
    left = descendants(process.pid)
    process.send_signal(signum)
    said, complaints = process.communicate(timeout=60)
    assert 'Traceback' not in complaints
    assert process.returncode == 128 + signum
    wait_until(lambda: gone(left), 'every process has ended')
    assert list(folder.iterdir()) == []


def test_a_failure_is_one_sentence_and_leaves_no_process_and_no_folder(demo, folder):
    process = demo()
    wait_until(lambda: len(descendants(process.pid)) >= 26, 'the demo runs')
    left = descendants(process.pid)
    supervisord = min(left)
    os.kill(supervisord, signal.SIGTERM)
    said, complaints = process.communicate(timeout=60)
    assert process.returncode == 1
    assert complaints.splitlines()[-1].startswith('demo: ')
    assert 'Traceback' not in complaints
    wait_until(lambda: gone(left), 'every process has ended')
    assert list(folder.iterdir()) == []
