"""The measurement of faults: what it reads in the log, and what the documentation shows of it."""

import re
from pathlib import Path

import pytest

from benchmarks.reliability import CONTENDERS, FAULTS
from benchmarks.struck import Log, Result

STORY = [  # a line of supervisord's log, and where that leaves web_0
    ("INFO spawned: 'web_0' with pid 12", 'starting'),
    ('INFO success: web_0 entered RUNNING state, process has stayed up for > than 1 s', 'up'),
    ('DEBG killing web_0 (pid 12) with signal SIGTERM', 'stopping'),
    ('WARN stopped: web_0 (terminated by SIGTERM)', 'down'),
    ("INFO spawned: 'web_0' with pid 13", 'starting'),
    ('WARN exited: web_0 (exit status 1; not expected)', 'down'),
    ('INFO gave up: web_0 entered FATAL state, too many start retries too quickly', 'down'),
]


def test_the_log_tells_where_a_process_stands(tmp_path):
    path = tmp_path / 'log'
    path.write_text("INFO spawned: 'web_0' with pid 11\n")
    with path.open() as file, path.open('a') as written:
        log = Log(file)
        assert log.read().standing == {}  # what was before
        for line, standing in STORY:
            written.write(line[:9])
            written.flush()
            log.read()  # half a line is none
            written.write(line[9:] + '\n')
            written.flush()
            assert log.read().standing == {'web_0': standing}
    assert log.spawned == 2


@pytest.mark.parametrize('result, shown', [
    (Result(seconds=1.26), '1.3 s'),
    (Result(down=2, old=4), '2 down, 4 old'),
    (Result(ended=0.6, spawned=0), 'ends after 0.6 s, 0 spawned'),
    (Result(down=6, hangs=True), '6 down, the command hangs'),
    (Result(), 'not all up in time'),
])
def test_a_result_is_shown_as(result, shown):
    assert str(result) == shown


def test_the_documentation_shows_every_fault_that_is_measured():
    page = (Path(__file__).parents[2] / 'docs' / 'reliability.md').read_text()
    rows = re.findall(r'^\| (.+?) \|.*\| `([a-z0-9-]+)` \|$', page, re.M)
    assert rows == [(fault.text, row) for row, fault in FAULTS.items()]
    assert '| fault | %s | row |' % ' | '.join(CONTENDERS) in page
