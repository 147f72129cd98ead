"""Revolve: reverse a run with a fixed number of snapshots and the fewest steps possible.

Griewank and Walther (2000, doi:10.1145/347837.347846). With ``s`` snapshots and no step taken
more than ``r`` times, ``beta(s, r) = C(s + r, s)`` steps can be reversed. So `n` steps need
``r`` with ``beta(s, r - 1) < n <= beta(s, r)``, and then

    t(n, s) = r n - C(s + r, s + 1)

steps are advanced, no fewer. To get there, advance `j` of the `n` steps, keep that state, reverse
what is right of it with ``s - 1`` snapshots and then what is left of it with ``s``. The best `j`
form an interval, and any in it takes the fewest steps. The one chosen here also keeps the fewest
states, for to keep a state costs about as much as a step::

    j = n - beta(s-1, r-1) - beta(s-2, r-1), but no less than beta(s, r-2), no more than beta(s, r-1)

It leaves ``n - j`` steps on the right that need the same `r`. So while states are kept going right
`r` stays, and going back to a kept state `r` can only fall: the beta of the next split follow from
those of the last by one multiplication and one division, which are exact in integers.

Units are leaves: a run of `n` steps is reversed as one of ``ceil(n / leaf_steps)`` steps.
"""

from collections.abc import Iterator
from math import comb
from operator import index

from adjoint.actions import Action, Advance, Discard, PullBack, Record, Restore, Store, Tier, Turn
from adjoint.errors import ScheduleError
from adjoint.schedules.schedule import num_leaves

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
    slots = min(num_slots, num_steps - 1)
    repeats = repetitions(num_steps, slots)
    return repeats * num_steps - comb(slots + repeats, slots + 1)


def reversal(
    start: int, stop: int, num_slots: int, leaf_steps: int, *, turn: bool
) -> Iterator[Action]:
    """Reverse the steps ``[start, stop)``, advancing as few as possible.

    With `turn` these are the last steps of the run: state `start` is live and in no slot, and the
    first leaf is followed by `Turn`. Otherwise it is in a slot and not live, and the first action
    is its `Restore`. It is discarded as soon as it is not needed again.

    `num_slots` counts the slots used, that of state `start` included. Only a single leaf with
    `turn` needs none. `start` is a multiple of `leaf_steps`; so is `stop`, unless `turn`.
    """
    left = num_leaves(stop - start, leaf_steps)
    slots = min(num_slots, left - 1)
    # of the snapshot gone right from: its leaf, and its beta for `slots` slots, its own included
    base, (repeats, wide, narrow) = 0, _split_beta(left, slots)
    below: list[tuple[int, int, int, int]] = []
    live = turn
    if turn and left > 1:
        yield Store(start)
    while left:
        step = start + base * leaf_steps
        length = left - base
        if not live:
            yield Restore(step)
            if length == 1:
                yield Discard(step, Tier.MEMORY)
        while length <= wide and repeats > 1:
            repeats, wide = repeats - 1, narrow
            narrow = wide * (repeats - 1) // (slots + repeats - 1)
        while length > 1:
            jump = _jump(length, slots, repeats, wide, narrow)
            next_step = step + jump * leaf_steps
            yield Advance(step, next_step)
            step, length = next_step, length - jump
            if length > 1:
                yield Store(step)
                below.append((base, repeats, wide, narrow))
                base = left - length
                wide, narrow = wide - narrow, narrow * slots // (slots + repeats - 2)
                slots -= 1
        yield Record(step, stop)
        if turn:
            yield Turn()
        yield PullBack(step, stop)
        stop, left, live, turn = step, left - 1, False, False
        if left == base and below:
            base, repeats, wide, narrow = below.pop()
            slots += 1
