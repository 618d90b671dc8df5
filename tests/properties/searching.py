"""How long hypothesis searches for an example that breaks a promise."""

import os
from typing import Any, Tuple

import pytest
from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get('CHAOS_EXAMPLES', '0'))


def searches(machine: Any, few: int, many: int, steps: int) -> Tuple[Any, Any]:
    """Return two test cases of a state machine: a short search for `make test`, the same each time,
    and a long one for `make check`.

    CHAOS_EXAMPLES=20000 lets the long one try so many, each time others.
    """
    chosen = settings(
        derandomize=True, stateful_step_count=steps, deadline=None, print_blob=True,
        report_multiple_bugs=False, suppress_health_check=list(HealthCheck))

    class Long(machine.TestCase):
        settings = settings(chosen, max_examples=EXAMPLES or many, derandomize=not EXAMPLES)

    machine.TestCase.settings = settings(chosen, max_examples=few)
    return machine.TestCase, pytest.mark.stress(Long)
