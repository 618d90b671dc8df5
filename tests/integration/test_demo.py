"""`make demo` shows what it promises, and leaves nothing behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.daemon import descendants, heed_ctrl_c, wait_until

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

    def start(temporary=folder):
        process = subprocess.Popen(
            [sys.executable, str(DEMO)], env=dict(os.environ, TMPDIR=str(temporary)),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
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


def test_it_prints_the_process_ids_and_the_seconds(demo, folder):
    process = demo()
    said, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, '')
    pairs = re.findall(r'(\d\d) +(\d+) -> +(\d+)', said)
    assert sorted(pair[0] for pair in pairs) == ['%02d' % number for number in range(20)]
    assert len({pid for pair in pairs for pid in pair[1:]}) == 40
    assert re.search(r'\d\.\d\d  supervisorctl_restart_group web\n', said)
    assert re.search(r'\d\.\d\d  supervisorctl restart web:\*\n', said)
    assert list(folder.iterdir()) == []


def test_a_temporary_folder_too_long_for_a_socket_is_left_alone(demo, folder):
    long = folder / ('long' * 20)
    long.mkdir()
    process = demo(long)
    said, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, '')
    assert list(long.iterdir()) == []


@pytest.mark.parametrize('signum', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize('processes', [1, 21, 22])
def test_a_signal_in_the_middle_leaves_no_process_and_no_folder(demo, folder, signum, processes):
    # 1: supervisord is there; 21: and its processes; 22: and a command to restart them.
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
    wait_until(lambda: len(descendants(process.pid)) >= 21, 'the demo runs')
    left = descendants(process.pid)
    supervisord = min(left)
    os.kill(supervisord, signal.SIGTERM)
    said, complaints = process.communicate(timeout=60)
    assert process.returncode == 1
    assert complaints.splitlines()[-1].startswith('demo: ')
    assert 'Traceback' not in complaints
    wait_until(lambda: gone(left), 'every process has ended')
    assert list(folder.iterdir()) == []
