"""Revolve: reverse a run with a fixed number of snapshots and the fewest steps possible.

Griewank and Walther (2000, doi:10.1145/347837.347846). With ``s`` snapshots and no step taken
more than ``r`` times, ``beta(s, r) = C(s + r, s)`` steps can be reversed. So `n` steps need
``r`` with ``beta(s, r - 1) < n <= beta(s, r)``, and then

    t(n, s) = r n - C(s + r, s + 1)

steps are advanced, no fewer. To get there, advance `j` of the `n` steps, keep that state, reverse
what is right of it with ``s - 1`` snapshots and then what is left of it with ``s``. The best `j`
form an interval, and any in it takes the fewest steps. The one chosen here also keeps the fewest
states, for to keep a state costs about as much as a step::

    j = n - beta(s-1, r-1) - beta(s-2, r-1),  but between beta(s, r-2) and beta(s, r-1)

It leaves ``n - j`` steps on the right that need the same `r`. So while states are kept going right
`r` stays, and going back to a kept state `r` can only fall: the beta of the next split follow from
those of the last by one multiplication and one division, which are exact in integers.

Units are leaves: a run of `n` steps is reversed as one of ``ceil(n / leaf_steps)`` steps.
"""

from collections.abc import Iterator
from math import comb
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import (
    Action,
    Advance,
    Discard,
    PullBack,
    Record,
    Restore,
    Store,
    Tier,
    Turn,
)
from adjoint.schedules.protocol import num_leaves

__all__ = ["Revolve", "beta", "minimal_advances", "repetitions", "reversal"]


class Revolve:
    """Reverse a run within a number of slots, advancing as few steps as possible.

    ``leaf_steps * minimal_advances(N, num_slots)`` steps are advanced, with ``N`` the number of
    leaves; among the schedules that do with so few, it is one that stores the fewest states.
    The initial state takes one of the slots.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    num_slots
        Snapshots that fit in memory besides the live state. At least 1, unless the run is a
        single leaf. More than the number of leaves less one are of no use, and are left out.
    leaf_steps
        Steps that are recorded and pulled back together.

    Raises
    ------
    ScheduleError
        No slot for more than one leaf, or a number that is out of its range.
    """

    num_tapes = 1
    tape_slots = 0

    def __init__(self, num_steps: int, num_slots: int, *, leaf_steps: int = 1) -> None:
        leaves = num_leaves(num_steps, leaf_steps)
        _check_slots(leaves, num_slots)
        self.num_steps = index(num_steps)
        self.leaf_steps = index(leaf_steps)
        self.num_slots = min(index(num_slots), leaves - 1)
        self.file_states = 0

    def __repr__(self) -> str:
        return (
            f"Revolve(num_steps={self.num_steps}, num_slots={self.num_slots}, "
            f"leaf_steps={self.leaf_steps})"
        )

    def __iter__(self) -> Iterator[Action]:
        return reversal(0, self.num_steps, self.num_slots, self.leaf_steps, turn=True)


def beta(num_slots: int, repeats: int) -> int:
    """Return how many steps can be reversed, each advanced at most `repeats` times."""
    return comb(num_slots + repeats, num_slots)


def repetitions(num_steps: int, num_slots: int) -> int:
    """Return how often a step must be advanced, at most: the least r with beta(s, r) >= n.

    Costs ``O(log r)`` binomials, none far above `num_steps`; exact for any integers.

    Raises
    ------
    ScheduleError
        `num_steps` is less than 1, or there is no slot for more than one step.
    """
    _check_slots(num_leaves(num_steps, 1), num_slots)
    if num_steps == 1:
        return 0
    enough = 1
    while beta(num_slots, enough) < num_steps:
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if beta(num_slots, middle) < num_steps:
            too_few = middle
        else:
            enough = middle
    return enough


def minimal_advances(num_steps: int, num_slots: int) -> int:
    """Return t(n, s), the fewest steps that `Advance` actions can take; exact, not played.

    The first sweep is among them; the steps of `Record` actions are not. For leaves of L steps
    it is ``L * minimal_advances(num_leaves(n, L), s)``.

    Raises
    ------
    ScheduleError
        `num_steps` is less than 1, or there is no slot for more than one step.
    """
    steps = index(num_steps)
    slots = min(index(num_slots), steps - 1)
    repeats = repetitions(steps, slots)
    return repeats * steps - comb(slots + repeats, slots + 1)


def reversal(
    start: int, stop: int, num_slots: int, leaf_steps: int, *, turn: bool
) -> Iterator[Action]:
    """Reverse the steps ``[start, stop)``, advancing as few as possible.

    With `turn` these are the last steps of the run: state `start` is live and in no slot, and the
    first leaf is followed by `Turn`. Otherwise it is in a slot and not live, and the first action
    is its `Restore`. It is discarded as soon as it is not needed again.

    `num_slots` counts the slots used, that of state `start` included; none is needed for a single
    leaf with `turn`. `start` is a multiple of `leaf_steps`, and so is `stop` unless `turn`.
    """
    left = num_leaves(stop - start, leaf_steps)
    kept = [_Kept.first(left, num_slots)]
    if turn and left > 1:
        yield Store(start)
    live = turn
    while left:
        top = kept[-1]
        length = left - top.leaf
        step = start + top.leaf * leaf_steps
        if not live:
            yield Restore(step, keep=length > 1)
        if length == 1:
            kept.pop()
            if not live:
                yield Discard(step, Tier.MEMORY)
        else:
            top.fit(length)
        while length > 1:
            leaves = top.split(length)
            length -= leaves
            yield Advance(step, step := step + leaves * leaf_steps)
            if length > 1:
                yield Store(step)
                top = top.right(left - length)
                kept.append(top)
        yield Record(step, stop, reach_stop=turn)
        if turn:
            yield Turn()
        yield PullBack(step, stop)
        stop, left, live, turn = step, left - 1, False, False


class _Kept:
    """A snapshot to go right from, and what its next split depends on."""

    __slots__ = ("leaf", "narrow", "repeats", "slots", "wide")

    def __init__(self, leaf: int, slots: int, repeats: int, wide: int, narrow: int) -> None:
        self.leaf = leaf
        """The leaf that it is the start of, counted from the start of the reversal."""
        self.slots = slots
        """For what is right of it, its own included."""
        self.repeats = repeats
        self.wide = wide
        """``beta(slots, repeats - 1)``"""
        self.narrow = narrow
        """``beta(slots, repeats - 2)``"""

    @classmethod
    def first(cls, leaves: int, num_slots: int) -> "_Kept":
        if leaves == 1:
            return cls(0, num_slots, 0, 0, 0)
        slots = min(num_slots, leaves - 1)
        repeats = repetitions(leaves, slots)
        return cls(0, slots, repeats, beta(slots, repeats - 1), comb(slots + repeats - 2, slots))

    def fit(self, length: int) -> None:
        """Lower `repeats` to what that many leaves need: fewer than before, but more than one."""
        while length <= self.wide:
            self.repeats -= 1
            self.wide = self.narrow
            self.narrow = self.wide * (self.repeats - 1) // (self.slots + self.repeats - 1)

    def split(self, length: int) -> int:
        """Return how many of the `length` leaves, at least two, to advance over."""
        if self.repeats == 1:
            return 1
        right = self.wide - self.narrow
        right += right * (self.slots - 1) // (self.slots + self.repeats - 2)
        return min(max(length - right, self.narrow), self.wide)

    def right(self, leaf: int) -> "_Kept":
        """Return the snapshot that is to be kept after such a split."""
        slots, repeats = self.slots, self.repeats
        narrow = self.narrow * slots // (slots + repeats - 2)
        return _Kept(leaf, slots - 1, repeats, self.wide - self.narrow, narrow)


def _check_slots(leaves: int, num_slots: int) -> None:
    if index(num_slots) < 0 or (num_slots == 0 and leaves > 1):
        raise ScheduleError(
            f"num_slots is {num_slots}: reversing {leaves} leaves takes at least "
            f"{min(leaves - 1, 1)}; without a slot only a single leaf can be reversed"
        )
