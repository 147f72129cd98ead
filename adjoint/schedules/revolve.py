"""Revolve: reverse a run with a fixed number of snapshots and the fewest steps possible.

Griewank and Walther (2000, doi:10.1145/347837.347846). With `s` snapshots and no step taken more
than `r` times, ``beta(s, r) = C(s + r, s)`` steps can be reversed. So `n` steps need the `r` with
``beta(s, r - 1) < n <= beta(s, r)``, and at least

    t(n, s) = r n - C(s + r, s + 1)

steps must be advanced. To reach this minimum, advance `j` of the `n` steps, keep that state,
reverse the steps right of it with ``s - 1`` snapshots, then those left of it with `s`. The optimal
`j` form an interval. The one chosen here also minimises the number of stored states, since storing
a state costs about as much as a step::

    j = n - beta(s-1, r-1) - beta(s-2, r-1),  but between beta(s, r-2) and beta(s, r-1)

It leaves ``n - j`` steps on the right that need the same `r`. So `r` stays the same while states
are kept going right, and can only fall when going back to a kept state: the values of beta for the
next split follow from the last ones by one multiplication and one division, exact in integers.

The unit is a leaf: a run of `n` steps is reversed like one of ``ceil(n / leaf_steps)`` steps.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
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
from adjoint.schedules.protocol import num_leaves, set_fields

__all__ = [
    "Revolve",
    "beta",
    "least",
    "minimal_advances",
    "repetitions",
    "require_slots",
    "reversal",
]


@dataclass(frozen=True)
class Revolve:
    """Reverse a run within a number of slots, advancing as few steps as possible.

    ``leaf_steps * minimal_advances(N, num_slots)`` steps are advanced, with ``N`` the number of
    leaves; of the schedules that advance that few, it stores the fewest states. The initial state
    takes one of the slots.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    num_slots
        Snapshots that fit in memory besides the live state. At least 1, unless the run is a
        single leaf. At most one less than the number of leaves are used.
    leaf_steps
        Steps that are recorded and pulled back together.

    Raises
    ------
    ScheduleError
        There is no slot for more than one leaf, or a number is out of range.
    """

    num_steps: int
    num_slots: int
    _: KW_ONLY
    leaf_steps: int = 1

    num_tapes = 1
    tape_slots = 0
    file_states = 0

    def __post_init__(self) -> None:
        leaves = num_leaves(self.num_steps, self.leaf_steps)
        require_slots(leaves, self.num_slots)
        num_slots = min(index(self.num_slots), leaves - 1)
        set_fields(self, "num_steps", "leaf_steps", num_slots=num_slots)

    def __iter__(self) -> Iterator[Action]:
        return reversal(0, self.num_steps, self.num_slots, self.leaf_steps, turn=True)


def beta(num_slots: int, repeats: int) -> int:
    """Return the most steps that can be reversed if each is advanced at most `repeats` times."""
    return comb(num_slots + repeats, num_slots)


def repetitions(num_steps: int, num_slots: int) -> int:
    """Return the most times that a step must be advanced: the least r with beta(s, r) >= n.

    Costs ``O(log r)`` binomials, none far above `num_steps`; exact for any integers.

    Raises
    ------
    ScheduleError
        `num_steps` is less than 1, or there is no slot for more than one step.
    """
    require_slots(num_leaves(num_steps, 1), num_slots)
    if num_steps == 1:
        return 0
    return least(lambda repeats: beta(num_slots, repeats) >= num_steps)


def least(suffices: Callable[[int], bool]) -> int:
    """Return the least integer from 1 on that suffices, where all larger ones do."""
    enough = 1
    while not suffices(enough):
        enough *= 2
    return bisect_left(range(enough), True, enough // 2 + 1, key=suffices)


def minimal_advances(num_steps: int, num_slots: int) -> int:
    """Return t(n, s), the fewest steps that `Advance` actions can take, from the closed form.

    The forward sweep is included; the steps of `Record` actions are not. For leaves of L steps
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

    With `turn` these are the last steps of the run: state `start` is live and in no slot, and
    `Turn` follows the first `Record`. Otherwise state `start` is in a slot and not live, and the
    first action is its `Restore`. Its slot is discarded after its last use.

    `num_slots` slots are used, including that of state `start`; a single leaf with `turn` needs
    none. `start` is a multiple of `leaf_steps`, and so is `stop` unless `turn`.
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
            keep = length > 1
            yield Restore(step, keep)
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
        # flags by position: half as long again by keyword, for an action that runs are made of
        yield Record(step, stop, turn)
        if turn:
            yield Turn()
        yield PullBack(step, stop)
        stop, left, live, turn = step, left - 1, False, False


class _Kept:
    """A kept snapshot, and what the next split of the leaves right of it depends on."""

    __slots__ = ("leaf", "narrow", "repeats", "slots", "wide")

    def __init__(self, leaf: int, slots: int, repeats: int, wide: int, narrow: int) -> None:
        self.leaf = leaf
        """The leaf that starts at it, counted from the start of the reversal."""
        self.slots = slots
        """Slots for the leaves right of it, its own included."""
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
        """Lower `repeats` to what `length` leaves need: at least two, and fewer than before."""
        while length <= self.wide:
            self.repeats -= 1
            self.wide = self.narrow
            self.narrow = self.wide * (self.repeats - 1) // (self.slots + self.repeats - 1)

    def split(self, length: int) -> int:
        """Return the number of leaves to advance over, out of `length`, which is at least two."""
        if self.repeats == 1:
            return 1
        right = self.wide - self.narrow
        right += right * (self.slots - 1) // (self.slots + self.repeats - 2)
        return min(max(length - right, self.narrow), self.wide)

    def right(self, leaf: int) -> "_Kept":
        """Return the snapshot at `leaf`, to be kept after such a split."""
        slots, repeats = self.slots, self.repeats
        narrow = self.narrow * slots // (slots + repeats - 2)
        return _Kept(leaf, slots - 1, repeats, self.wide - self.narrow, narrow)


def require_slots(leaves: int, num_slots: int) -> None:
    """Raise `ScheduleError` unless there is a slot, or only a single leaf to reverse."""
    if index(num_slots) < 0 or (num_slots == 0 and leaves > 1):
        raise ScheduleError(
            f"num_slots is {num_slots}: reversing {leaves} leaves takes at least "
            f"{min(leaves - 1, 1)}; without a slot only a single leaf can be reversed"
        )
