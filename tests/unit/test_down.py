"""What is down, and who of it is spawned first."""

from types import SimpleNamespace

import pytest

from supervisor_restarter.restart.down import Down


def slot(name, priority=999):
    return SimpleNamespace(name=name, rank=lambda: (priority, name))


A, B, C, FIRST = slot('a'), slot('b'), slot('c'), slot('z', priority=1)


@pytest.mark.parametrize('steps, count, taken', [
    ([], 5, []),
    (['put C', 'put FIRST', 'put A'], 5, [FIRST, A, C]),
    (['put C', 'put B', 'put A'], 2, [A, B]),
    (['put A', 'put B', 'put A'], 5, [A, B]),
    (['put A', 'put B', 'drop A'], 5, [B]),
    (['put A', 'drop A', 'put A'], 5, [A]),
    (['put A', 'drop B'], 5, [A]),
])
def test_those_that_come_first_are_taken_and_each_once(steps, count, taken):
    down = Down()
    for step in steps:
        action, name = step.split()
        getattr(down, action)(globals()[name])
    assert down.take(count) == taken
    assert not any(slot in down for slot in taken)


def test_what_is_not_taken_is_left():
    down = Down()
    for one in (C, B, A):
        down.put(one)
    assert down.take(2) == [A, B]
    assert down and C in down
    assert down.take(2) == [C]
    assert not down
