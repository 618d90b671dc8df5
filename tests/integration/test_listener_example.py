"""examples/listener tells of each restart, as its README says."""

import re

from tests.support.daemon import MANNERS, group, wait_until
from tests.support.example import EXAMPLES, Example

README = (EXAMPLES / 'listener' / 'README.md').read_text(encoding='utf-8')
ARGUMENTS, OUTPUT, TOLD = re.search(
    r'^\$ supervisorctl_restart_group -c supervisord\.conf (.*)\n(.*\n)'
    r'\$ cat restarts\.log\n(.*?)```',
    README, re.MULTILINE | re.DOTALL).groups()


def told(example, lines):
    """Wait until so many lines have been written, and return them, without their seconds."""
    log = example.folder / 'restarts.log'
    wait_until(lambda: log.read_text().count('\n') >= lines, 'the listener has heard it')
    return without_seconds(log.read_text())


def without_seconds(text):
    return re.sub(r'after [0-9.]+ seconds', 'after some', text)


def test_it_writes_what_its_readme_shows_and_the_fault_of_one_that_fails():
    broken = group('broken', 1, MANNERS['exits 1'], startsecs=1, startretries=0)
    with Example('listener', extra=broken) as example:
        example.wait_running('web')
        example.wait_running('restarts')
        example.wait_state('broken', 'broken_000', 'FATAL')
        done = example.restart_group(*ARGUMENTS.split())
        assert (done.stdout, done.stderr, done.returncode) == (OUTPUT, '', 0)
        assert told(example, 2) == without_seconds(TOLD)
        example.restart_group('--max-unavailable', '1', 'broken')
        begin, end = told(example, 4).splitlines()[2:]
        assert begin == 'broken: restart begins: rolling, at most 1 down'
        assert end == ('broken: FAILED, after some; START_FAILED: Exited too quickly (process log '
                       'may have details)')
