"""Which states to keep while the end of the run is unknown.

Let the kept states be ``0 = k_0 < k_1 < … < k_q``, in leaves, with `s` slots, and let the run end
at `n`. Gap `i`, from ``k_i`` to ``k_{i+1}`` or to the end, is reversed by Revolve within the slots
that are free once all gaps right of it are done: ``s - i``, including that of its own start. So a
run that ends at `n` costs

    n + sum of t(n_i, s - i),  with n_i the leaves of gap i,

since all `n` leaves are advanced before the end is known. A state can be kept only when the sweep
reaches it, and if all slots are taken another one must be discarded: two gaps become one, and all
gaps right of it may use one slot more. The rule:

    Discard a state and keep the present one instead as soon as that costs less *if the run
    ends one leaf further on*. Discard the one for which this cost is least; if there are
    several, the first.

It is used from ``beta(s, 2)`` leaves on. Up to there no leaf must be advanced more than twice after
the end, and any lengths of the gaps from 1 to ``m + 1`` leaves for `m` slots are equally good: a
gap costs one step for each of its leaves but one. So the gaps are filled up to that from the left,
which costs the least possible even if the end were known.

Only the last gap changes as the sweep proceeds, so the next state to keep is found in advance. Let
the gap before the last have `h` leaves, and let `d` be the least that merging two gaps left of the
last one adds, less what the gaps right of it save by one slot more. Then the next state to keep
comes after the least `g` with

    t(g, 1) + g > min(d + t(g, 2), t(h + g, 2) - t(h, 2)),

where the second term is for moving the last kept state to the present one. As ``t(g + 1, 1) =
t(g, 1) + g`` has the slope `g`, and the slope of ``t(g, 2)`` grows more slowly, either difference
stays positive once it is.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from math import inf

from adjoint.schedules.revolve import least, minimal_advances

__all__ = ["placements"]


def placements(kept: list[int], num_slots: int) -> Iterator[tuple[int, int]]:
    """Yield, endlessly, the leaf whose state to keep next, and the index of the one to discard.

    That index is ``len(kept)`` if a slot is free. `kept` has the leaves whose states are kept, in
    order; it is ``[0]`` at first, and updated when the next pair is asked for. There are at least
    two slots. Takes ``O(num_slots)`` memory, and at most that time for a pair.
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
    """Yield the pairs that fill each gap of `m` slots up to ``m + 1`` leaves, from the left.

    New states are kept two leaves apart, or one if the gap to be filled has room for only one.
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
    """The gaps between kept states if all slots are taken, and what merging two of them adds."""

    def __init__(self, kept: list[int], num_slots: int) -> None:
        gaps = num_slots - 1
        self._slots = num_slots
        self._t: Callable[[int, int], int] = lru_cache(16 * num_slots + 256)(minimal_advances)
        self._lengths = [stop - start for start, stop in pairwise(kept)]
        """Leaves of each gap except the last; the other lists are for the same gaps."""
        self._costs = [self._t(length, num_slots - i) for i, length in enumerate(self._lengths)]
        self._eased = [0] * gaps
        """Cost of each gap with one slot more."""
        self._joined = [0] * gaps
        """Cost of each gap joined to the one before it."""
        self._saved = [0] * (gaps + 1)
        """What all gaps before each one save by one slot more."""
        self._added = [inf] * gaps
        """What joining each gap to the one before it adds, plus `_saved` after it."""
        self._cheapest = [0] * gaps
        """Of the gaps up to each, the first for which `_added` is least."""
        self._price(0)

    def _price(self, first: int) -> None:
        """Update the lists from the first gap that changed."""
        t, lengths, costs = self._t, self._lengths, self._costs
        for gap in range(first, len(lengths)):
            slots = self._slots - gap + 1
            eased = self._eased[gap] = t(lengths[gap], slots)
            saved = self._saved[gap + 1] = self._saved[gap] + costs[gap] - eased
            if gap:
                joined = self._joined[gap] = t(lengths[gap - 1] + lengths[gap], slots)
                added = self._added[gap] = joined - costs[gap - 1] - costs[gap] + saved
                before = self._cheapest[gap - 1]
                self._cheapest[gap] = before if self._added[before] <= added else gap

    def next_keep(self) -> tuple[int, int]:
        """Return the leaves from the last kept state to the next, and the index to discard."""
        t, before = self._t, self._lengths[-1]
        index = self._cheapest[-1]
        added = self._added[index] - self._saved[-1]
        now = t(before, 2)

        def is_due(length: int) -> bool:
            alone = length * (length + 1) // 2
            return alone > added + t(length, 2) or alone > t(before + length, 2) - now

        length = least(is_due)
        merging, moving = added + t(length, 2), t(before + length, 2) - now
        return length, index if merging <= moving else len(self._lengths)

    def replace(self, index: int, length: int) -> None:
        """Discard a kept state, and keep the one `length` leaves after the last instead."""
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
