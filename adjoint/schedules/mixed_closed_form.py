"""Closed forms for tapes and states in slots: the fewest steps, and a split that attains them.

They solve the recursion of `adjoint.schedules.mixed_table` if recording a leaf costs as much as
advancing over it, ``unreached = 1``. Let ``q = s // tape_slots`` be the number of tapes that fit.

To reverse ``q + 1`` leaves, no leaf is advanced over. A split advances once more over the leaves
left of it. So the most leaves that can be reversed if none is advanced over more than `r` times are

    N(s, r) = N(s-1, r) + N(s, r-1) = sum C(s - m tape_slots + r, r)  for m from 0 to q

(if no tape fits, this is ``beta(s, r)`` of Revolve), and reversing that many costs

    A(N(s, r), s) = (r + 1) N(s, r) - C(s + r, s + 1)

Between ``N(s, r-1)`` and ``N(s, r)`` each further leaf costs ``r + 1``, and some cost 1 more:
then one tape less fits the last leaves of some piece, which must be split. The first leaves beyond
``N(s, r-1)`` are *free* of this surcharge. The others come in *runs* whose first leaf has it: for
`m` from `q` down to 1 there are ``C(s - m tape_slots + r - 1, r - 1)`` runs of ``m tape_slots``
leaves. Free leaves and runs add up to ``N(s, r) - N(s, r-1)``.

An optimal split distributes them over its two sides. The left side begins with ``N(s, r-2)``
leaves, the right with ``N(s-1, r-1)``; the free leaves and runs of both sides together are those of
the whole. Taking the longest runs first, from either side, begins the fewest of them. Tapes are
kept only where those of all leaves but one fit.

If ``tape_slots = 1``, the number of leaves that are pulled back at once is one more than the number
of runs begun. No schedule with the fewest steps has fewer, and its other steps are those of
Revolve, ``t(l, s)``. So the splits are the same for any `unreached`, and with A_1 for
``unreached = 1``

    A(l, s) = t(l, s) + unreached (A_1(l, s) - t(l, s))

These formulas were found in tables of the recursion and agree with all tables that were computed:
up to 2000 leaves and 40 slots for ``tape_slots = 1``, up to 400 leaves and 24 slots otherwise. That
the split attains the stated cost follows from ``C(a, b) = C(a-1, b) + C(a-1, b-1)``, by which the
runs of the two sides add up; that no split costs less is known from the tables only.
"""

from bisect import bisect_left
from math import comb

from adjoint.schedules.revolve import least

__all__ = ["fewest_steps", "most_leaves", "split"]


def most_leaves(slots: int, repeats: int, tape_slots: int) -> int:
    """Return N(s, r), the most leaves that can be reversed, each advanced over at most r times."""
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
    """Return A(l, s) for ``unreached = 1``, in leaves, those of `Record` actions included.

    There is at least one slot, or a single leaf.
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
    """Return the leaves to advance over first, or 0 to keep the tapes of all leaves but the last.

    The split is optimal for ``unreached = 1``, and for any `unreached` if a tape takes one slot or
    does not fit. There is at least one slot. Takes a few integer operations for each tape that
    fits, and fewer if a tape takes one slot.
    """
    tapes = slots // tape_slots
    if leaves <= tapes + 1:
        return 0
    if slots == 1:
        return leaves - 1
    repeats = _repetitions(leaves, slots, tape_slots)
    filled = most_leaves(slots, repeats - 1, tape_slots)
    right_filled = most_leaves(slots - 1, repeats - 1, tape_slots)
    # `filled` leaves are distributed. Of the rest the right side takes as many as it can: first
    # free ones, then runs, the longest first; only the last kind of runs leaves a choice
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
    """Return the most times that a leaf must be advanced over: the least r with N(s, r) >= l."""
    if leaves <= slots // tape_slots + 1:
        return 0
    return least(lambda repeats: most_leaves(slots, repeats, tape_slots) >= leaves)


def _runs(tapes: int, slots: int, repeats: int, tape_slots: int) -> int:
    """Return the number of runs of ``tapes * tape_slots`` leaves."""
    room = slots - tapes * tape_slots
    return comb(room + repeats - 1, room) if room >= 0 and repeats else 0


def _leaves_in_runs(slots: int, repeats: int, tape_slots: int, least_tapes: int = 1) -> int:
    """Return the number of leaves in runs of at least `least_tapes` tapes."""
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
    """Return the number of tapes of the run that the last leaf is in, longest runs first."""
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
