"""Which of many cases `make test` tries; `make check` tries all."""

from typing import Any, List, Sequence

import pytest


def stress(*cases: Any) -> List[Any]:
    """Return cases that only `make check` tries."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.stress)
            for case in cases]


def pairs(first: Sequence[Any], second: Sequence[Any]) -> List[Any]:
    """Return all pairs; `make test` tries as many as it takes to have each of both once.

    An element that is a tuple stands for several arguments.
    """
    def flat(element: Any) -> tuple:
        return element if isinstance(element, tuple) else (element,)
    fewer = min(len(first), len(second))
    return [pytest.param(*flat(one), *flat(other),
                         marks=[] if (a - b) % fewer == 0 else pytest.mark.stress)
            for a, one in enumerate(first) for b, other in enumerate(second)]
