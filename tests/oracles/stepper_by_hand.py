"""A stepper driven call by call, as a sweep would drive it, with every state kept.

Leaves are recorded and pulled back one by one where the stepper insists on them.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.testing import assert_array_equal

from adjoint.steppers import Adopting, Restorable, Stepper, copy_arrays


def leaf_ends(stepper: Stepper, num_steps: int) -> list[int]:
    """Return the steps between which the leaves of a run lie: 0, …, `num_steps`."""
    return [*range(0, num_steps, getattr(stepper, "leaf_steps", 1)), num_steps]


def leaves_of(stepper: Stepper, start: int, stop: int) -> list[tuple[int, int]]:
    """Return the range in the pieces that must be recorded: whole, or leaf by leaf."""
    leaf = getattr(stepper, "leaf_steps", stop - start)
    return list(pairwise([*range(start, stop, leaf), stop]))


def record(stepper: Stepper, start: int, stop: int, cost: float | None = None, reach_stop=True):
    """Record a range; return the running total."""
    for first, last in leaves_of(stepper, start, stop):
        cost = stepper.record(first, last, cost=cost, reach_stop=reach_stop or last < stop)
    return cost


def pull_back(stepper: Stepper, start: int, stop: int) -> None:
    """Pull back a range that was recorded."""
    for first, last in reversed(leaves_of(stepper, start, stop)):
        stepper.pull_back(first, last)


def put(stepper: Stepper, arrays: Mapping[str, np.ndarray], step: int) -> None:
    """Make a copy of the given state, of that step, the live one."""
    if isinstance(stepper, Adopting):
        stepper.adopt(copied(arrays))
        return
    copy_arrays(arrays, stepper.state)
    if isinstance(stepper, Restorable):
        stepper.restored(step)


def cost_by_hand(stepper: Stepper, num_steps: int) -> float:
    """Return the cost of a run."""
    stepper.start()
    return stepper.turn(stepper.advance(0, num_steps, cost=0.0))


def gradient_by_hand(
    stepper: Stepper, num_steps: int, cuts: tuple[int, ...] = ()
) -> tuple[float, dict[str, np.ndarray]]:
    """Return cost and gradient, with every tape kept and ranges that end at the cuts."""
    ranges = list(pairwise([0, *cuts, num_steps]))
    stepper.start()
    total = 0.0
    for start, stop in ranges:
        total = record(stepper, start, stop, total)
    total = stepper.turn(total)
    for start, stop in reversed(ranges):
        pull_back(stepper, start, stop)
    stepper.finish()
    return total, copied(stepper.accumulators)


def copied(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return copies of arrays."""
    return {name: array.copy() for name, array in arrays.items()}


def garbage(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return memory for a state that holds nothing of use."""
    return {name: np.full_like(array, 77) for name, array in arrays.items()}


def assert_same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """Fail unless all arrays have the same names and values."""
    assert list(found) == list(expected)
    for name, array in found.items():
        assert_array_equal(array, expected[name], err_msg=name)
