"""The parts of the benchmark that only calculate."""

import contextlib

import pytest

from benchmarks import engine, timeline
from benchmarks import restarts as comparison
from benchmarks.contenders import NotRestarted, run
from benchmarks.results import Line, Sample, read, summary, table, write


def test_a_summary_that_is_written_is_read_again(tmp_path):
    samples = [Sample(4.0, 0.1), Sample(1.0, 0.2), Sample(3.0, 0.6), Sample(2.0, 0.2)]
    write(tmp_path / 'new', 'restarts', [summary('plugin, rolling', 10, 1, samples)])
    row, = read(tmp_path / 'new', 'restarts')
    assert row == {
        'contender': 'plugin, rolling', 'processes': '10', 'startsecs': '1', 'repetitions': '4',
        'seconds_median': '2.500000', 'seconds_lowest': '1.000000', 'seconds_highest': '4.000000',
        'seconds_deviation': '1.000000', 'cpu_median': '0.200000', 'cpu_lowest': '0.100000',
        'cpu_highest': '0.600000', 'cpu_deviation': '0.050000'}


def test_a_table_says_what_is_missed(tmp_path, capsys):
    table([Line('a', 's', 2.0, 1.5), Line('b', 's', 1.5, 1.5), Line('c', 'x', 7.0)], tmp_path, 't')
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [
        ['a', '1.5', '2', 's', 'missed'], ['b', '1.5', '1.5', 's', 'met'], ['c', '7', 'x']]
    assert [(row['allowed'], row['verdict']) for row in read(tmp_path, 't')] == [
        ('1.5', 'missed'), ('1.5', 'met'), ('', '')]


def test_no_rows_leave_none_of_an_earlier_run(tmp_path):
    write(tmp_path, 'left-out', [{'contender': 'pm2'}])
    write(tmp_path, 'left-out', [])
    assert read(tmp_path, 'left-out') == []


@pytest.mark.parametrize('contender, size, measured', [
    ('plugin', 100, True), ('plugin, rolling', 100, True), ('plugin', 10, False),
    ('circus restart', 100, False), ('plugin', 0, True)])
def test_what_is_not_measured_stays(contender, size, measured):
    plan = PLAN._replace(sizes=(100, 1000), wanted=('plugin',))
    assert plan.has({'contender': contender, 'processes': str(size)}) == measured


def test_a_run_of_some_sizes_keeps_the_results_of_others(tmp_path):
    kept = summary('plugin', 10, 0, [Sample(1.0, 0.1)])
    write(tmp_path, 'restarts', [summary('nobody', 1, 0, [Sample(9.0, 0.1)]), kept])
    comparison.compare(PLAN._replace(sizes=(1,), wanted=('nobody',)), None, tmp_path)
    row, = read(tmp_path, 'restarts')
    assert (row['contender'], row['processes']) == ('plugin', '10')


def test_samples_of_states_join_into_stretches():
    samples = [(0.0, {'a': 'RUNNING'}), (0.5, {'a': 'RUNNING'}), (1.0, {'a': 'STOPPING'}),
               (1.5, {'a': 'RUNNING'}), (2.0, {'a': 'RUNNING'})]
    assert [(row['state'], row['begin'], row['end']) for row in timeline.stretches(samples)] == [
        ('RUNNING', '0.000', '1.000'), ('STOPPING', '1.000', '1.500'),
        ('RUNNING', '1.500', '2.000')]


@pytest.mark.parametrize('pacing', engine.PACINGS)
@pytest.mark.parametrize('order', engine.ORDERS)
def test_a_restart_looks_at_a_process_as_often_in_a_large_group_as_in_a_small_one(order, pacing):
    assert engine.looks(400, order, pacing) < 1.2 * engine.looks(100, order, pacing)


PLAN = comparison.Plan(sizes=(1, 10), repetitions=1, share=1.0)


class FakeOther:
    """A daemon with one contender, which cannot restart; with `trouble` it does not even start."""

    def __init__(self, trouble=None):
        self.trouble = trouble
        self.name, self.daemon = 'somebody', self

    def contenders(self):
        return [self]

    def __enter__(self):
        if self.trouble:
            raise self.trouble

    def __exit__(self, *error):
        pass

    def measure(self):
        raise NotRestarted('circusctl: exit status 1: timed out')


def entered(other, size, *rows):
    turn = comparison.Round(PLAN, size, 0, list(rows), [])
    with contextlib.ExitStack() as stack:
        turn.enter(stack, other)
    return turn.left_out


def in_turn(other):
    turn = comparison.Round(PLAN, 1, 0, [], [])
    assert turn.measure([other]) == {}
    return turn.left_out


@pytest.mark.parametrize('left_out, why', [
    (lambda: entered(FakeOther(trouble=FileNotFoundError(2, 'No such file', 'circusd')), 1),
     "with 1 processes, startsecs=0: [Errno 2] No such file: 'circusd'"),
    (lambda: entered(FakeOther(), 10, summary('somebody', 1, 0, [Sample(100.0, 0.1)])),
     'with 10 processes, startsecs=0: 100.0 seconds with 1 processes'),
    (lambda: entered(FakeOther(), 10),
     'with 10 processes, startsecs=0: left out with fewer processes'),
    (lambda: in_turn(FakeOther()),
     'with 1 processes, startsecs=0: circusctl: exit status 1: timed out'),
])
def test_it_says_why_a_contender_was_left_out(capsys, left_out, why):
    row, = left_out()
    assert row['contender'] == 'somebody' and why.endswith(row['why'])
    assert capsys.readouterr().out == '  somebody is left out %s\n' % why


def test_what_is_wrong_with_a_command_is_not_that_there_is_help():
    with pytest.raises(NotRestarted, match='exit status 2: Error: no such option'):
        run(['/bin/sh', '-c', 'echo Error: no such option; echo For help, use x -h; exit 2'])
