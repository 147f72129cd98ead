"""Keep every I-th state; going back, take each interval once more, keeping all of its leaves.

The classical scheme, which needs about ``2 sqrt(n)`` snapshots and advances every step at most
twice (for recurrent networks: Chen, Xu, Zhang and Guestrin 2016, arXiv:1604.06174). *Forward*, the
states at the boundaries ``0, I, 2I, …`` are kept; the segment after the last boundary is taken as
if it were a run of its own, so all of its leaves are kept at once. *Reverse*, segment by segment,
last first, each is advanced once more from its boundary, keeping all of its leaves.

Let there be `N` leaves, `q` of them in an interval, ``B = (N - 1) // q`` boundaries but the last,
and ``m = N - B q`` leaves after the last. A segment of `q` leaves needs ``q - 1`` slots, that of
its boundary among them, for its last leaf is recorded as soon as it is reached. So

    slots    = B + max(m - 1, q - 2),  or N - 1 without a boundary but the last
             = floor(N / q) + q - 2    for q <= N,
    advances = 2 N - 1 - m - B  leaves.

The slots are fewest at ``q = floor(sqrt(N)) + 1``: ``q + N / q`` is convex with its minimum at
``sqrt(N)``, so the best is one of the two integers around it, and the upper one never is worse.
Fewer slots than that take Revolve.
"""

from collections.abc import Iterator
from math import isqrt
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Action, Advance, Store
from adjoint.schedules.protocol import num_leaves
from adjoint.schedules.revolve import reversal

__all__ = ["Periodic", "interval_of_fewest_slots", "periodic_advances"]


class Periodic:
    """Keep the states at multiples of an interval, in memory.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1. It need not be a multiple of `interval`.
    interval
        Steps between two states kept in the forward sweep, a multiple of `leaf_steps`. See
        `interval_of_fewest_slots`.
    leaf_steps
        Steps that are recorded and pulled back together.

    Raises
    ------
    ScheduleError
        An interval off the leaf grid, or a number that is less than 1.
    """

    num_tapes = 1
    tape_slots = 0

    def __init__(self, num_steps: int, interval: int, *, leaf_steps: int = 1) -> None:
        leaves = num_leaves(num_steps, leaf_steps)
        if index(interval) < 1 or index(interval) % index(leaf_steps):
            raise ScheduleError(
                f"interval is {interval}: it must be a positive multiple of leaf_steps={leaf_steps}"
            )
        self.num_steps = index(num_steps)
        self.leaf_steps = index(leaf_steps)
        self.interval = index(interval)
        inside = self.interval // self.leaf_steps
        self._boundaries = (leaves - 1) // inside
        self._tail = leaves - self._boundaries * inside
        inner = max(self._tail - 1, inside - 2)
        self.num_slots = self._boundaries + inner if self._boundaries else leaves - 1
        self.file_states = 0

    def __repr__(self) -> str:
        return (
            f"Periodic(num_steps={self.num_steps}, interval={self.interval}, "
            f"leaf_steps={self.leaf_steps})"
        )

    def __iter__(self) -> Iterator[Action]:
        interval, leaf = self.interval, self.leaf_steps
        last = self._boundaries * interval
        for start in range(0, last, interval):
            yield Store(start)
            yield Advance(start, start + interval)
        yield from reversal(last, self.num_steps, self._tail - 1, leaf, turn=True)
        # with a slot for every leaf Revolve keeps them all
        inner = max(1, interval // leaf - 1)
        for start in range(last - interval, -1, -interval):
            yield from reversal(start, start + interval, inner, leaf, turn=False)


def periodic_advances(num_steps: int, interval: int, *, leaf_steps: int = 1) -> int:
    """Return the steps that `Advance` actions of a `Periodic` take; exact, not played.

    Raises
    ------
    ScheduleError
        As `Periodic` does.
    """
    schedule = Periodic(num_steps, interval, leaf_steps=leaf_steps)
    leaf = schedule.leaf_steps
    boundaries = (schedule.num_steps - 1) // schedule.interval
    tail = num_leaves(schedule.num_steps - boundaries * schedule.interval, leaf)
    return boundaries * (2 * schedule.interval - leaf) + leaf * (tail - 1)


def interval_of_fewest_slots(num_steps: int, *, leaf_steps: int = 1) -> int:
    """Return an interval with which `Periodic` takes no more slots than with any other.

    Raises
    ------
    ScheduleError
        A number that is less than 1.
    """
    leaves = num_leaves(num_steps, leaf_steps)
    return index(leaf_steps) * min(isqrt(leaves) + 1, leaves)
