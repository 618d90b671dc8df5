"""Which process groups still have somebody in them who runs."""

import os
import signal
import subprocess

from supervisor_restarter.daemon.process_groups import has_anybody, that_run


def test_a_group_runs_until_its_last_process_has_ended_also_where_nobody_collects_it():
    leader = subprocess.Popen(['/bin/sh', '-c', 'sleep 100 & echo $!; exec sleep 100'],
                              stdout=subprocess.PIPE, start_new_session=True)
    with leader.stdout:
        child = int(leader.stdout.readline())
    assert that_run([leader.pid, os.getpgrp()]) == {leader.pid, os.getpgrp()}
    leader.kill()
    leader.wait()
    assert has_anybody(leader.pid) and that_run([leader.pid]) == {leader.pid}
    os.kill(child, signal.SIGKILL)
    other = subprocess.Popen(['/bin/sleep', '100'], start_new_session=True)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is not collected
    assert has_anybody(other.pid) and that_run([other.pid]) == set()
    other.wait()
    assert not has_anybody(other.pid) and that_run([other.pid]) == set()
