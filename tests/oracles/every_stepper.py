"""Every stepper there is, as a small problem: what the stepper contract is tried on.

A new stepper is one line in `STEPPERS`, and a function that makes a fresh one. What is imported
only for it is imported in that function, so that the others can be tried where it is absent.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from basins import NUM_STEPS, basin
from pendulums import CopiedPendulums, Pendulums
from recurrent_unrolled import Problem

from adjoint.steppers import Stepper


@dataclass(frozen=True)
class Case:
    """One stepper, and what it promises."""

    make: Callable[[], Stepper]
    """Makes a fresh one, not started; the same problem at each call."""
    num_steps: int = NUM_STEPS
    """At least 12 leaves of the stepper's `leaf_steps`, and no more than the run has."""
    adopts: bool = True
    """Whether it computes in memory that it is given."""
    needs: tuple[str, ...] = ()
    """Modules that `make` imports and that may be absent."""


def recurrent(cell: str, **options) -> Case:
    """Return a network whose leaves may have any length."""
    problem = Problem(cell, num_steps=NUM_STEPS, **options)
    return Case(lambda: problem.network(leaf_steps=1))


STEPPERS = {
    "pendulums": Case(lambda: Pendulums(3, NUM_STEPS)),
    "pendulums, copied": Case(lambda: CopiedPendulums(3, NUM_STEPS), adopts=False),
    "shallow water, open": Case(basin),
    "shallow water, closed": Case(lambda: basin(open_sides=())),
    "tanh": recurrent("tanh"),
    "gru": recurrent("gru", num_layers=2, lengths=(12, 5, 9)),
    "lstm": recurrent("lstm", num_layers=2),
    "lstm, leaves of 3": Case(
        lambda: Problem("lstm", num_steps=3 * NUM_STEPS - 1).network(leaf_steps=3),
        num_steps=3 * NUM_STEPS - 1,
    ),
}


def every_stepper(**wanted) -> list:
    """Return the cases as parameters of a test; with `wanted`, those with these attributes."""
    return [
        pytest.param(case, id=name, marks=[pytest.mark.needs(module) for module in case.needs])
        for name, case in STEPPERS.items()
        if all(getattr(case, key) == value for key, value in wanted.items())
    ]
