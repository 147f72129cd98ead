"""Which states the forward sweep of a spilling stack keeps, and which of them go to the file.

States go to the file at a mean spacing that need not be a whole number of leaves: the k-th of them
lies at leaf ``(origin + k * pitch) // GRID``. So any number of them is described by three integers,
an `EvenSteps`. Only the last states of the run, some of which never leave memory, are listed.

The plan is found from the end backwards. Segments are as long as Revolve would have them with the
`v` slots that are left there, ``beta(v, repeats)`` leaves, and their starts stay in memory, until
as many do as may, or until a segment is as long as the spacing of the file. From there on, states
go to the file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from adjoint.schedules.revolve import beta

__all__ = ["GRID", "EvenSteps", "ForwardPlan", "LeafRuns", "TailState", "plan_forward"]

GRID = 1024
"""Spacings are multiples of this fraction of a leaf, so that positions are exact integers."""

TailState = tuple[int, bool]
"""A leaf whose first state is kept, and whether it goes to the file."""


@dataclass(frozen=True, slots=True)
class EvenSteps:
    """Leaves ``(origin + k * pitch) // GRID`` for ``0 <= k < count``, in ascending order."""

    origin: int
    pitch: int
    count: int

    @classmethod
    def single(cls, leaf: int) -> "EvenSteps":
        """Return one leaf alone."""
        return cls(leaf * GRID, GRID, 1)

    def leaf(self, k: int) -> int:
        """Return the k-th leaf."""
        return (self.origin + k * self.pitch) // GRID


class LeafRuns:
    """Many leaves in ascending order, in little memory: a stack that grows at its right.

    Evenly spaced leaves make one run, however many they are.
    """

    def __init__(self, runs: Iterable[EvenSteps] = ()) -> None:
        self._runs = [run for run in runs if run.count]
        self.count = sum(run.count for run in self._runs)

    def add(self, run: EvenSteps, k: int) -> None:
        """Add the k-th leaf of a run, which is right of all that are there."""
        self.count += 1
        last = self._runs[-1] if self._runs else None
        origin = run.origin + k * run.pitch
        if (
            last is not None
            and last.pitch == run.pitch
            and last.origin + last.count * last.pitch == origin
        ):
            self._runs[-1] = EvenSteps(last.origin, last.pitch, last.count + 1)
        else:
            self._runs.append(EvenSteps(origin, run.pitch, 1))

    def pop(self) -> tuple[int, tuple[EvenSteps, int]]:
        """Take away the last leaf; return it, and which one it is of which run."""
        last = self._runs.pop()
        k = last.count - 1
        if k:
            self._runs.append(EvenSteps(last.origin, last.pitch, k))
        self.count -= 1
        return last.leaf(k), (last, k)

    def thin(self) -> "LeafRuns":
        """Take away every second leaf, from the second on; return those."""
        kept: list[EvenSteps] = []
        dropped: list[EvenSteps] = []
        into, other = kept, dropped
        for run in self._runs:
            into.append(EvenSteps(run.origin, 2 * run.pitch, (run.count + 1) // 2))
            other.append(EvenSteps(run.origin + run.pitch, 2 * run.pitch, run.count // 2))
            if run.count % 2:
                into, other = other, into
        self._runs = [run for run in kept if run.count]
        self.count = sum(run.count for run in kept)
        return LeafRuns(dropped)

    def __iter__(self) -> Iterator[int]:
        for run in self._runs:
            yield from map(run.leaf, range(run.count))


@dataclass(frozen=True, slots=True)
class ForwardPlan:
    """The states to keep of a run whose end is known: that of leaf 0, `spaced` ones, a tail."""

    first_in_file: bool
    spaced: EvenSteps
    """Those between, which go to the file."""
    tail: tuple[TailState, ...]
    """The last ones, in ascending order."""

    @property
    def file_states(self) -> int:
        """States that go to the file."""
        return self.first_in_file + self.spaced.count + sum(in_file for _, in_file in self.tail)


def plan_forward(
    num_leaves: int, num_slots: int, pitch: int, *, tail_slots: int, tail_repeats: int
) -> ForwardPlan:
    """Return the states to keep of a run of `num_leaves` leaves; the first is that of leaf 0.

    Takes a few operations for every state of the tail, whatever the number of leaves.

    Parameters
    ----------
    num_leaves
        At least 1.
    num_slots
        All slots.
    pitch
        Leaves between two states in the file, in units of ``1 / GRID``; at least `GRID`.
    tail_slots
        The most states, 0 up to `num_slots`, that are never written.
    tail_repeats
        The `repeats` of the segments between them.
    """
    tail: list[TailState] = []
    back = 0  # leaves from the end of the run to the state that was planned last
    in_memory = 0
    finely: int | None = None  # `back` at the last state in the file, in units of 1 / GRID: without
    # the rounding up to a whole leaf, so that the mean spacing is the pitch exactly
    while True:
        # The slots that are left where this segment is reversed: states nearer to the start that
        # stay in memory take one each. Over the last segment the forward sweep is the first pass,
        # so it may be one repetition longer.
        slots = num_slots - tail_slots + in_memory + 1
        segment = beta(slots, tail_repeats + (1 if back == 0 else 0))
        long_enough = back > 0 and (back + segment) * GRID - (finely or 0) >= pitch
        in_file = long_enough or in_memory == tail_slots
        if in_file and not long_enough:
            goal = max(pitch, (back + 1) * GRID) if finely is None else finely + pitch
            back = -(-goal // GRID)
        else:
            back += segment
        if back >= num_leaves:
            in_file = in_memory == tail_slots
            return ForwardPlan(in_file, EvenSteps(0, pitch, 0), tuple(reversed(tail)))
        tail.append((num_leaves - back, in_file))
        if not in_file:
            in_memory += 1
            continue
        finely = _unrounded(back, finely, pitch)
        # From here on every further segment would be the same: they are not walked one by one.
        segment = beta(slots, tail_repeats)
        if segment * GRID >= pitch:
            spacing, first_in_memory = segment * GRID, in_memory < tail_slots
            return _evenly_spaced(num_leaves, back * GRID, spacing, first_in_memory, tail)
        if in_memory == tail_slots:
            return _evenly_spaced(num_leaves, finely, pitch, False, tail)


def _unrounded(back: int, finely: int | None, pitch: int) -> int:
    """Return the place of a state in the file before it was rounded up to a whole leaf."""
    if finely is not None and back * GRID - (finely + pitch) < GRID:
        return finely + pitch
    return back * GRID


def _evenly_spaced(
    num_leaves: int, finely: int, pitch: int, first_in_memory: bool, tail: list[TailState]
) -> ForwardPlan:
    """Return the plan whose states left of the tail are evenly spaced, `finely` from the end.

    If there are any, the first state goes to the file as they do: in memory it would take a slot
    for the whole run.
    """
    left = num_leaves * GRID - finely
    count = max(0, -(-(left - GRID + 1) // pitch) - 1) if left >= GRID else 0
    while count and (left - count * pitch) // GRID < 1:
        count -= 1
    spaced = EvenSteps(left - count * pitch, pitch, count)
    return ForwardPlan(count > 0 or not first_in_memory, spaced, tuple(reversed(tail)))
