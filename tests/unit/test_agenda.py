"""Whom a pass looks at, and when it is due: at a time in seconds, or at once."""

import math

import pytest

from supervisor_restarter.restart.agenda import Agenda


@pytest.fixture
def agenda():
    made = Agenda(delay=50.0)
    made.take(0.0, everything=True, busy=False)
    return made


def test_with_nothing_to_expect_it_is_due_when_the_delay_has_passed(agenda):
    assert agenda.due() == 50.0
    assert agenda.take(49.9, everything=False, busy=False) == (set(), False)
    assert agenda.take(50.0, everything=False, busy=False) == (set(), True)
    assert agenda.due() == 100.0


def test_one_that_has_changed_is_looked_at_at_once_and_once(agenda):
    agenda.changed('a')
    assert agenda.due() == -math.inf
    assert agenda.take(1.0, everything=False, busy=False) == ({'a'}, False)
    assert agenda.due() == 50.0


@pytest.mark.parametrize('order', [(5.0, 7.0), (7.0, 5.0)])
@pytest.mark.parametrize('expect', [Agenda.expect, Agenda.expect_last])
def test_of_two_times_for_one_process_the_earlier_one_counts(agenda, order, expect):
    for when in order:
        expect(agenda, 'a', when)
    assert agenda.due() == 5.0
    assert agenda.take(5.0, everything=False, busy=False) == ({'a'}, False)
    assert agenda.due() == 50.0


def test_each_is_looked_at_at_its_time(agenda):
    for when, name in enumerate('cab', 1):
        agenda.expect(name, when)
    assert agenda.due() == 1.0
    assert agenda.take(2.5, everything=False, busy=False) == ({'c', 'a'}, False)
    assert agenda.due() == 3.0


def test_those_of_which_only_the_last_counts_are_looked_at_together(agenda):
    for when, name in enumerate('cab', 1):
        agenda.expect_last(name, when)
    assert agenda.due() == 3.0
    assert agenda.take(2.9, everything=False, busy=False) == (set(), False)
    agenda.forget('b')
    assert agenda.due() == 2.0
    assert agenda.take(2.0, everything=False, busy=False) == ({'a', 'c'}, False)
    assert agenda.due() == 50.0


@pytest.mark.parametrize('expect', [Agenda.expect, Agenda.expect_last])
def test_one_that_came_up_makes_a_pass_due_when_nothing_else_is_expected(agenda, expect):
    expect(agenda, 'a', 5.0)
    expect(agenda, 'b', 6.0)
    agenda.came_up('b')
    assert agenda.due() == 5.0
    agenda.came_up('a')
    assert agenda.due() == -math.inf
    assert agenda.take(1.0, everything=False, busy=False) == ({'a', 'b'}, False)


def test_one_that_is_forgotten_is_not_looked_at(agenda):
    agenda.expect('a', 5.0)
    agenda.expect_last('b', 6.0)
    agenda.came_up('c')
    for name in 'abc':
        agenda.forget(name)
    assert agenda.take(7.0, everything=False, busy=False) == (set(), False)


def test_a_restart_that_is_busy_looks_at_all_when_it_is_no_longer(agenda):
    assert agenda.take(60.0, everything=False, busy=True) == (set(), False)
    assert agenda.take(61.0, everything=False, busy=False) == (set(), True)
