"""Which states to keep while it is not known where the run ends.

Let the kept states be ``0 = k_0 < k_1 < … < k_q``, in leaves, with ``s`` slots, and let the run end
at ``n``. Gap ``i``, from ``k_i`` to ``k_{i+1}`` or to the end, is reversed by Revolve within the
slots that are free once all above it is done: ``s - i``, that of its own start included. So if the
run ended at `n` it would cost

    n + sum of t(n_i, s - i),  with n_i the leaves of gap i,

for all `n` leaves were advanced before the end was known. A state can be kept only when the sweep
is there, and with all slots taken one must be given up for it: two gaps become one, and all gaps
right of it may use a slot more. The rule here:

    give up a state, and keep the present one instead, as soon as that costs less
    *if the run ends one leaf further on*; give up the one for which that costs the least,
    of several such the first.

It is used from ``beta(s, 2)`` leaves on. Up to there no leaf need be advanced more than twice after
the end, and every gap of `m` slots that has 1 to ``m + 1`` leaves is as good as any other: it costs
a step for each of its leaves but one. So the gaps are filled up to that from the left, which costs
no more than could be had by knowing the end.

Only the last gap changes while the sweep goes on, so the next state to keep is found in advance.
With `h` leaves in the gap before the last, and `d` the least that a merger of two gaps left of the
last adds, all that is spared by having a slot more right of it included, the next one comes after
the least `g` with

    t(g, 1) + g > min(d + t(g, 2), t(h + g, 2) - t(h, 2)),

where the second is to let the last kept state move on to the present. ``t(g + 1, 1) = t(g, 1) + g``
has the slope `g`, and that of ``t(g, 2)`` grows more slowly: where one of the two differences has
become positive it stays so.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from math import inf

from adjoint.schedules.revolve import minimal_advances

__all__ = ["placements"]


def placements(kept: list[int], num_slots: int) -> Iterator[tuple[int, int]]:
    """Yield, endlessly, the leaf whose state to keep next, and the index of what to give up for it.

    That index is ``len(kept)`` where a slot is free. The leaves whose states are kept, in order,
    are in `kept`: it is brought up to date when the next pair is asked for. It begins as ``[0]``;
    there are at least two slots. Takes ``O(s)`` memory and, for a pair, ``O(s)`` time at most.
    """
    while len(kept) < num_slots:
        yield kept[-1] + 1, len(kept)
        kept.append(kept[-1] + 1)
    yield from _from_the_left(kept, num_slots)
    gaps = _Gaps(kept, num_slots)
    while True:
        length, index = gaps.next_keep()
        leaf = kept[-1] + length
        yield leaf, index
        del kept[index]
        kept.append(leaf)
        gaps.replace(index, length)


def _from_the_left(kept: list[int], num_slots: int) -> Iterator[tuple[int, int]]:
    """Yield what fills each gap of `m` slots up to ``m + 1`` leaves, from the left.

    New states are kept two leaves apart, but one where a gap to be filled has room for one only.
    """
    index, target, room = 1, 0, 2
    while index < num_slots:
        leaf = kept[-1] + min(2, room)
        yield leaf, index
        room -= leaf - kept[-1]
        del kept[index]
        kept.append(leaf)
        if kept[index] - kept[index - 1] == num_slots - index + 2:
            index += 1
        if not room:
            target += 1
            room = num_slots - target + 1


class _Gaps:
    """The gaps between kept states, all slots taken, and what merging two of them adds."""

    def __init__(self, kept: list[int], num_slots: int) -> None:
        gaps = num_slots - 1
        self._slots = num_slots
        self._t: Callable[[int, int], int] = lru_cache(16 * num_slots + 256)(minimal_advances)
        self._lengths = [stop - start for start, stop in pairwise(kept)]
        """Of all gaps but the last."""
        self._costs = [self._t(length, num_slots - i) for i, length in enumerate(self._lengths)]
        self._eased = [0] * gaps
        """What each would cost with one slot more."""
        self._joined = [0] * gaps
        """What each would cost together with the one before it."""
        self._spared = [0] * (gaps + 1)
        """What all before each would cost less with one slot more."""
        self._added = [inf] * gaps
        """What joining each to the one before it adds, and what all gaps would be spared."""
        self._cheapest = [0] * gaps
        """Of the gaps up to each, the first for which that is the least."""
        self._price(0)

    def _price(self, first: int) -> None:
        """Find all that depends on the gaps from the first that changed."""
        t, lengths, costs = self._t, self._lengths, self._costs
        for gap in range(first, len(lengths)):
            slots = self._slots - gap + 1
            eased = self._eased[gap] = t(lengths[gap], slots)
            spared = self._spared[gap + 1] = self._spared[gap] + costs[gap] - eased
            if gap:
                joined = self._joined[gap] = t(lengths[gap - 1] + lengths[gap], slots)
                added = self._added[gap] = joined - costs[gap - 1] - costs[gap] + spared
                before = self._cheapest[gap - 1]
                self._cheapest[gap] = before if self._added[before] <= added else gap

    def next_keep(self) -> tuple[int, int]:
        """Return how many leaves after the last kept state to keep one, and what to give up."""
        t, before = self._t, self._lengths[-1]
        index = self._cheapest[-1]
        added = self._added[index] - self._spared[-1]
        now = t(before, 2)

        def is_due(length: int) -> bool:
            alone = length * (length + 1) // 2
            return alone > added + t(length, 2) or alone > t(before + length, 2) - now

        beyond = 2
        while not is_due(beyond):
            beyond *= 2
        length = bisect_left(range(beyond), True, beyond // 2, key=is_due)
        merging, moving = added + t(length, 2), t(before + length, 2) - now
        return length, index if merging <= moving else len(self._lengths)

    def replace(self, index: int, length: int) -> None:
        """Give up a kept state, and keep one so many leaves after the last instead."""
        lengths, costs = self._lengths, self._costs
        if index == len(lengths):
            lengths[-1] += length
            costs[-1] = self._t(lengths[-1], 2)
        else:
            costs[index - 1] = self._joined[index]
            costs[index:] = self._eased[index + 1 :]
            costs.append(self._t(length, 2))
            lengths.append(length)
            lengths[index - 1] += lengths.pop(index)
        self._price(index - 1)
