"""Which states the forward sweep of a spilling stack keeps, and which of them go to the file.

States go to the file at a mean spacing that need not be a whole number of leaves: the k-th of them
lies at ``(origin + k * pitch) // GRID``. So however many there are, they are a few numbers, a
`EvenSteps`. Only the last states of the run, of which some never leave memory, are listed.

They are found from the end backwards. The pieces between kept states are as long as Revolve would
have them with the `v` slots that are left there, ``beta(v, repeats)``, and their starts stay in
memory, until as many do as may; or until a piece is as long as the spacing of the file. From there
on states go to the file.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from adjoint.schedules.revolve import beta

__all__ = ["GRID", "Combs", "EvenSteps", "ForwardPlan", "Keep", "plan_keeps"]

GRID = 1024
"""Spacings are multiples of this fraction of a leaf, so that positions are exact integers."""

Keep = tuple[int, bool]
"""A leaf whose first state is kept, and whether it goes to the file."""


@dataclass(frozen=True, slots=True)
class EvenSteps:
    """Leaves ``(origin + k * pitch) // GRID`` for ``0 <= k < count``, in ascending order."""

    origin: int
    pitch: int
    count: int

    def leaf(self, k: int) -> int:
        """Return the k-th leaf."""
        return (self.origin + k * self.pitch) // GRID


class Combs:
    """Many leaves in ascending order, in little memory: a stack that is added to at its right."""

    def __init__(self, combs: Iterable[EvenSteps] = ()) -> None:
        self._combs = [comb for comb in combs if comb.count]
        self.count = sum(comb.count for comb in self._combs)

    def add(self, comb: EvenSteps, k: int) -> None:
        """Add the k-th leaf of a comb, which is right of all that are there."""
        self.count += 1
        last = self._combs[-1] if self._combs else None
        origin = comb.origin + k * comb.pitch
        if (
            last is not None
            and last.pitch == comb.pitch
            and last.origin + last.count * last.pitch == origin
        ):
            self._combs[-1] = EvenSteps(last.origin, last.pitch, last.count + 1)
        else:
            self._combs.append(EvenSteps(origin, comb.pitch, 1))

    def pop(self) -> tuple[int, tuple[EvenSteps, int]]:
        """Take away the last leaf; return it, and which one it is of which comb."""
        last = self._combs.pop()
        k = last.count - 1
        if k:
            self._combs.append(EvenSteps(last.origin, last.pitch, k))
        self.count -= 1
        return last.leaf(k), (last, k)

    def has(self, leaf: int) -> bool:
        """Return whether a leaf is there."""
        at = bisect_right(self._combs, leaf, key=_first_leaf) - 1
        if at < 0:
            return False
        comb = self._combs[at]
        k = -(-(leaf * GRID - comb.origin) // comb.pitch)
        return k < comb.count and comb.leaf(k) == leaf

    def thin(self) -> "Combs":
        """Take away every second leaf, from the second on; return those."""
        left: list[EvenSteps] = []
        gone: list[EvenSteps] = []
        into, other = left, gone
        for comb in self._combs:
            into.append(EvenSteps(comb.origin, 2 * comb.pitch, (comb.count + 1) // 2))
            other.append(EvenSteps(comb.origin + comb.pitch, 2 * comb.pitch, comb.count // 2))
            if comb.count % 2:
                into, other = other, into
        self._combs = [comb for comb in left if comb.count]
        self.count = sum(comb.count for comb in left)
        return Combs(gone)

    def __iter__(self) -> Iterator[int]:
        for comb in self._combs:
            yield from map(comb.leaf, range(comb.count))


def _first_leaf(comb: EvenSteps) -> int:
    return comb.leaf(0)


@dataclass(frozen=True, slots=True)
class ForwardPlan:
    """The states to keep of a run whose end is known: that of leaf 0, a comb, and a tail."""

    first_in_file: bool
    comb: EvenSteps
    """Those between, which go to the file."""
    tail: tuple[Keep, ...]
    """The last ones, in ascending order."""

    @property
    def file_states(self) -> int:
        """How many states go to the file."""
        return self.first_in_file + self.comb.count + sum(in_file for _, in_file in self.tail)


def plan_keeps(
    num_leaves: int, num_slots: int, pitch: int, *, tail_slots: int, tail_repeats: int
) -> ForwardPlan:
    """Return the states to keep of so many leaves; the first is that of leaf 0.

    Parameters
    ----------
    num_leaves
        At least 1.
    num_slots
        All slots there are.
    pitch
        Leaves between two states in the file, in units of ``1 / GRID``; at least `GRID`.
    tail_slots
        The most states, 0 up to `num_slots`, that are never written.
    tail_repeats
        The `repeats` of the pieces between them.
    """
    tail: list[Keep] = []
    back = 0  # leaves from the end
    in_memory = 0
    finely: int | None = None  # `back` at the last state in the file, with the fraction left over
    while True:
        slots = num_slots - tail_slots + in_memory + 1
        piece = beta(slots, tail_repeats + (1 if back == 0 else 0))
        long_enough = back > 0 and (back + piece) * GRID - (finely or 0) >= pitch
        in_file = long_enough or in_memory == tail_slots
        if in_file and not long_enough:
            goal = max(pitch, (back + 1) * GRID) if finely is None else finely + pitch
            back = -(-goal // GRID)
        else:
            back += piece
        if back >= num_leaves:
            in_file = in_memory == tail_slots
            return ForwardPlan(in_file, EvenSteps(0, pitch, 0), tuple(reversed(tail)))
        tail.append((num_leaves - back, in_file))
        if not in_file:
            in_memory += 1
            continue
        finely = _with_fraction(back, finely, pitch)
        piece = beta(slots, tail_repeats)
        if piece * GRID >= pitch:
            return _periodic(num_leaves, back * GRID, piece * GRID, in_memory < tail_slots, tail)
        if in_memory == tail_slots:
            return _periodic(num_leaves, finely, pitch, False, tail)


def _with_fraction(back: int, finely: int | None, pitch: int) -> int:
    """Return where a state in the file is, with the fraction that rounding up left over."""
    if finely is not None and back * GRID - (finely + pitch) < GRID:
        return finely + pitch
    return back * GRID


def _periodic(
    num_leaves: int, finely: int, pitch: int, first_in_memory: bool, tail: list[Keep]
) -> ForwardPlan:
    """Return the plan whose states left of the tail are evenly spaced, `finely` from the end.

    If there are any, the first state goes to the file as they do: in memory it would be in use for
    the whole run.
    """
    left = num_leaves * GRID - finely
    count = max(0, -(-(left - GRID + 1) // pitch) - 1) if left >= GRID else 0
    while count and (left - count * pitch) // GRID < 1:
        count -= 1
    comb = EvenSteps(left - count * pitch, pitch, count)
    return ForwardPlan(count > 0 or not first_in_memory, comb, tuple(reversed(tail)))
