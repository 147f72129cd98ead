"""Keep every I-th state; going back, advance over each interval again and keep all of its states.

The classical scheme, which needs about ``2 sqrt(n)`` snapshots and advances every step at most
twice (for recurrent networks: Chen, Xu, Zhang and Guestrin 2016, arXiv:1604.06174). *Forward*, the
states at the boundaries ``0, I, 2I, …`` are kept; in the segment after the last boundary the
states of all leaves are. *Reverse*, the segments are advanced over once more, last first, each
from its boundary, keeping the states of all of its leaves.

Let there be `N` leaves, `q` of them in an interval, ``B = (N - 1) // q`` boundaries before the
last, and ``m = N - B q`` leaves after the last. A segment of `q` leaves needs ``q - 1`` slots,
including that of its boundary, since its last leaf is recorded as soon as it is reached. So

    slots    = B + max(m - 1, q - 2)  for B > 0,  N - 1  for B = 0
             = floor(N / q) + q - 2   for q <= N,
    advances = 2 N - 1 - m - B  leaves.

The slots are fewest at ``q = floor(sqrt(N)) + 1``: ``q + N / q`` is convex with its minimum at
``sqrt(N)``, so one of the two integers around it is optimal, and the upper one is never worse.
With fewer slots than that, use `Revolve`.
"""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from math import isqrt
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Action, Advance, Store
from adjoint.schedules.protocol import describe_members, num_leaves, set_fields
from adjoint.schedules.revolve import reversal

__all__ = ["Periodic", "interval_of_fewest_slots", "segments"]


@dataclass(frozen=True)
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
        The interval is no multiple of `leaf_steps`, or a number is less than 1.
    """

    num_steps: int
    interval: int
    _: KW_ONLY
    leaf_steps: int = 1

    num_tapes = 1
    tape_slots = 0
    file_states = 0

    def __post_init__(self) -> None:
        segments(self.num_steps, self.interval, self.leaf_steps)
        set_fields(self, "num_steps", "interval", "leaf_steps")

    def __str__(self) -> str:
        return describe_members(self, self.interval)

    @property
    def num_slots(self) -> int:
        boundaries, tail = segments(self.num_steps, self.interval, self.leaf_steps)
        inside = self.interval // self.leaf_steps
        return boundaries + max(tail - 1, inside - 2) if boundaries else tail - 1

    def __iter__(self) -> Iterator[Action]:
        interval, leaf = self.interval, self.leaf_steps
        boundaries, tail = segments(self.num_steps, interval, leaf)
        last = boundaries * interval
        for start in range(0, last, interval):
            yield Store(start)
            yield Advance(start, start + interval)
        yield from reversal(last, self.num_steps, tail - 1, leaf, turn=True)
        # with a slot for every leaf Revolve keeps all of them
        inner = max(1, interval // leaf - 1)
        for start in range(last - interval, -1, -interval):
            yield from reversal(start, start + interval, inner, leaf, turn=False)


def segments(num_steps: int, interval: int, leaf_steps: int) -> tuple[int, int]:
    """Return the number of whole segments before the last one, and the leaves of the last one.

    Raises
    ------
    ScheduleError
        The interval is no positive multiple of `leaf_steps`, or a number is less than 1.
    """
    num_leaves(num_steps, leaf_steps)
    steps, interval, leaf = index(num_steps), index(interval), index(leaf_steps)
    if interval < 1 or interval % leaf:
        raise ScheduleError(
            f"interval is {interval}: it must be a positive multiple of leaf_steps={leaf_steps}"
        )
    whole = (steps - 1) // interval
    return whole, num_leaves(steps - whole * interval, leaf)


def interval_of_fewest_slots(num_steps: int, *, leaf_steps: int = 1) -> int:
    """Return an interval for which `Periodic` takes the fewest slots.

    Raises
    ------
    ScheduleError
        A number is less than 1.
    """
    leaves = num_leaves(num_steps, leaf_steps)
    return index(leaf_steps) * min(isqrt(leaves) + 1, leaves)
