"""The seam between who decides and who does: a `Schedule`, and the grid that leaves lie on.

A schedule says in what order the steps of a run are advanced, recorded and pulled back, and
which states are kept meanwhile. It is pure: arithmetic on step numbers, no arrays, no clock.
Whoever iterates over it gets the actions one by one as they are wanted, so a schedule takes
memory for its snapshots' step numbers, not for its actions.
"""

from collections.abc import Iterator
from operator import index
from typing import Protocol

from adjoint.actions import Action
from adjoint.errors import ScheduleError

__all__ = ["Schedule", "num_leaves"]


class Schedule(Protocol):
    """What to do, in what order, to reverse `num_steps` steps.

    Iterating gives the actions; iterating again gives the same actions again, and two
    iterators do not disturb each other. Every `Record` and `PullBack` covers exactly one leaf,
    and leaves lie between the steps ``0, leaf_steps, 2 leaf_steps, …, num_steps``; the last may
    be shorter. No state is restored that is live already.
    """

    @property
    def num_steps(self) -> int:
        """Steps of the run."""
        ...

    @property
    def leaf_steps(self) -> int:
        """Steps that are recorded and pulled back together."""
        ...

    @property
    def num_slots(self) -> int:
        """The most snapshots in memory at once, those being written or read included.

        The live state is not among them. It may be less than the schedule was offered.
        """
        ...

    @property
    def file_states(self) -> int:
        """The most snapshots in the file at once."""
        ...

    def __iter__(self) -> Iterator[Action]:
        """Give the actions, lazily."""
        ...


def num_leaves(num_steps: int, leaf_steps: int) -> int:
    """Return how many leaves of `leaf_steps` steps, the last perhaps shorter, make `num_steps`.

    Raises
    ------
    ScheduleError
        There is no step, or a leaf of no step.
    TypeError
        One of the two is not an integer.
    """
    if index(num_steps) < 1:
        raise ScheduleError(f"num_steps is {num_steps}: there must be at least one step to reverse")
    if index(leaf_steps) < 1:
        raise ScheduleError(f"leaf_steps is {leaf_steps}: a leaf has at least one step")
    return -(-index(num_steps) // index(leaf_steps))
