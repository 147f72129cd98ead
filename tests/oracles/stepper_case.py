"""A small problem of one stepper, on which the stepper contract is tried."""

from collections.abc import Callable
from dataclasses import dataclass

from basins import NUM_STEPS

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
    shows_tapes: bool = False
    """Whether its tapes may go to the file."""
    needs: tuple[str, ...] = ()
    """Modules that `make` imports and that may be absent."""
