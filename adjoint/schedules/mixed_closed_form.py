"""Tapes and states in slots, without a table: the fewest steps, and a split that takes them.

This is the recursion of `adjoint.schedules.mixed_table` where recording a leaf costs as much as
advancing over it (``unreached = 1``), solved. Let ``q = s // tape_slots`` be the tapes that fit.

Reversing ``q + 1`` leaves advances over none of them. A split advances once more over what is left
of it, so the most leaves of which none is advanced over more than `r` times are::

    N(s, r) = N(s-1, r) + N(s, r-1) = sum C(s - m tape_slots + r, r)  for m from 0 to q

(where no tape fits this is ``beta(s, r)`` of Revolve), and just as many cost

    A(N(s, r), s) = (r + 1) N(s, r) - C(s + r, s + 1)

In between, from ``N(s, r-1)`` to ``N(s, r)``, each further leaf costs ``r + 1``, and now and then 1
more: one tape less fits the last leaves of some piece, which must be split where it was not before.
The first such leaves are free of that. Then come runs of leaves, each run costing 1 at its first:
for `m` from `q` down to 1, ``C(s - m tape_slots + r - 1, r - 1)`` runs of ``m tape_slots`` leaves.
Together they make up ``N(s, r) - N(s, r-1)``.

A best split shares them out. On the left it begins with ``N(s, r-2)`` leaves, on the right with
``N(s-1, r-1)``; the free leaves and the runs of the two sides are together just those of the whole.
So whoever takes the longest runs first, from either side, begins the fewest. A tape is only kept
where all of them fit.

With ``tape_slots = 1`` the runs that are begun, and one more, are as many as the leaves that are
pulled back at once; no schedule has fewer of these that takes so few steps, and the other steps are
``t(l, s)``, no more than Revolve advances. So the splits are the same for any `unreached`, and ::

    A(l, s) = t(l, s) + unreached (A_1(l, s) - t(l, s))       A_1: of unreached = 1

This was found in the tables of the recursion and agrees with all that were tried: up to 2000 leaves
and 40 slots with ``tape_slots = 1``, up to 400 leaves and 24 slots with others. That splitting so
costs what is said follows from ``C(a, b) = C(a-1, b) + C(a-1, b-1)``, by which the runs of the two
sides add up; that nothing costs less rests on the tables.
"""

from bisect import bisect_left
from math import comb

__all__ = ["fewest_steps", "most_leaves", "split"]


def most_leaves(slots: int, repeats: int, tape_slots: int) -> int:
    """Return N(s, r): how many leaves can be reversed, each advanced over at most r times."""
    if repeats < 0:
        return 0
    tapes = slots // tape_slots
    if repeats <= 1:
        last = (slots + 1) * (tapes + 1) - tape_slots * tapes * (tapes + 1) // 2
        return last if repeats else tapes + 1
    if tape_slots == 1:
        return comb(slots + repeats + 1, repeats + 1)
    return sum(comb(room + repeats, repeats) for room in range(slots, -1, -tape_slots))


def fewest_steps(leaves: int, slots: int, tape_slots: int) -> int:
    """Return A(l, s) for ``unreached = 1``, in leaves; what `Record` actions take is part of it.

    There is at least one slot, or one leaf alone.
    """
    repeats = _repetitions(leaves, slots, tape_slots)
    if repeats == 0:
        return leaves
    fewer = most_leaves(slots, repeats - 1, tape_slots)
    rest = leaves - fewer
    steps = repeats * fewer - comb(slots + repeats - 1, slots + 1) + (repeats + 1) * rest
    rest -= most_leaves(slots, repeats, tape_slots) - fewer
    rest += _leaves_in_runs(slots, repeats, tape_slots)
    if rest > 0:
        tapes = _tapes_of_run(rest, slots, repeats, tape_slots)
        rest -= _leaves_in_runs(slots, repeats, tape_slots, tapes + 1)
        longer = slots - (tapes + 1) * tape_slots
        steps += most_leaves(longer, repeats - 1, tape_slots) if longer >= 0 else 0
        steps -= -rest // (tapes * tape_slots)
    return steps


def split(leaves: int, slots: int, tape_slots: int) -> int:
    """Return over how many leaves to advance first, or 0 to keep the tapes of all but the last.

    It is one of the best for ``unreached = 1``, and for any `unreached` if a tape takes one slot or
    fits nowhere. There is at least one slot. Costs a few operations on integers for each tape that
    fits; where a tape takes one slot, for some of them.
    """
    tapes = slots // tape_slots
    if leaves <= tapes + 1:
        return 0
    if slots == 1:
        return leaves - 1
    repeats = _repetitions(leaves, slots, tape_slots)
    filled = most_leaves(slots, repeats - 1, tape_slots)
    right_filled = most_leaves(slots - 1, repeats - 1, tape_slots)
    # `filled` leaves are shared out, and of the rest whatever can goes to the right: first the free
    # ones, then runs, of which only the last kind that is begun leaves a choice
    rest = leaves - filled
    advance = filled - right_filled
    free = right_filled - _leaves_in_runs(slots, repeats - 1, tape_slots)
    right_free = most_leaves(slots - 1, repeats, tape_slots) - right_filled
    right_free -= _leaves_in_runs(slots - 1, repeats, tape_slots)
    if repeats > 1 and rest > free + right_free:
        advance += free
        rest -= free + right_free
        tapes = _tapes_of_run(rest, slots, repeats, tape_slots)
        advance += _leaves_in_runs(slots, repeats - 1, tape_slots, tapes + 1)
        rest -= _leaves_in_runs(slots, repeats, tape_slots, tapes + 1)
        free = tapes * tape_slots * _runs(tapes, slots, repeats - 1, tape_slots)
        right_free = tapes * tape_slots * _runs(tapes, slots - 1, repeats, tape_slots)
    return max(1, advance + min(free, max(0, rest - right_free)))


def _repetitions(leaves: int, slots: int, tape_slots: int) -> int:
    """Return how often a leaf must be advanced over, at most: the least r with N(s, r) >= l."""
    if leaves <= slots // tape_slots + 1:
        return 0
    enough = 1
    while most_leaves(slots, enough, tape_slots) < leaves:
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if most_leaves(slots, middle, tape_slots) < leaves:
            too_few = middle
        else:
            enough = middle
    return enough


def _runs(tapes: int, slots: int, repeats: int, tape_slots: int) -> int:
    """Return how many runs there are of ``tapes * tape_slots`` leaves."""
    room = slots - tapes * tape_slots
    return comb(room + repeats - 1, room) if room >= 0 and repeats else 0


def _leaves_in_runs(slots: int, repeats: int, tape_slots: int, least_tapes: int = 1) -> int:
    """Return how many leaves there are in runs of so many tapes or more."""
    tapes = slots // tape_slots
    if repeats == 0 or least_tapes > tapes:
        return 0
    if tape_slots == 1:
        kinds = slots - least_tapes + repeats
        return (slots + repeats) * comb(kinds, repeats) - repeats * comb(kinds + 1, repeats + 1)
    if repeats == 1:
        return tape_slots * (tapes * (tapes + 1) - least_tapes * (least_tapes - 1)) // 2
    return sum(
        kept * tape_slots * _runs(kept, slots, repeats, tape_slots)
        for kept in range(least_tapes, tapes + 1)
    )


def _tapes_of_run(leaves: int, slots: int, repeats: int, tape_slots: int) -> int:
    """Return how many tapes the last of the leaves is in a run of, the longest runs being first."""
    tapes = slots // tape_slots
    if tape_slots == 1 or repeats == 1:
        kinds = range(tapes, 0, -1)
        return kinds[
            bisect_left(
                kinds, leaves, key=lambda least: _leaves_in_runs(slots, repeats, tape_slots, least)
            )
        ]
    while leaves > 0:
        leaves -= tapes * tape_slots * _runs(tapes, slots, repeats, tape_slots)
        tapes -= 1
    return tapes + 1
