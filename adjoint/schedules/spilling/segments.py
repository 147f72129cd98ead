"""What reversing the leaves between two kept states takes, and how far to advance first.

Without kept tapes that is Revolve: ``t(l, s)`` leaves are advanced, and any first split in

    max(1, beta(s, r-2), l - beta(s-1, r))  <=  j  <=  min(l-1, beta(s, r-1), l - beta(s-1, r-1))

attains that minimum (Griewank and Walther 2000, doi:10.1145/347837.347846). With kept tapes a
`TapeTable` says both. A segment whose start is in the file needs no slot for it: it is reversed
with one slot more.
"""

from dataclasses import dataclass
from math import comb

from adjoint.schedules.costs import Costs
from adjoint.schedules.mixed_table import TapeTable
from adjoint.schedules.revolve import beta, repetitions

__all__ = ["LeafCosts", "SegmentCosts", "revolve_splits"]

MAX_REMEMBERED = 1 << 15
"""Segments whose costs are remembered, a few megabytes: a run has few of them, again and again."""


@dataclass(frozen=True, slots=True)
class LeafCosts:
    """Costs of whole leaves."""

    advance: float
    record: float
    """Recording a leaf that is pulled back at once."""
    keep: float
    """Recording a leaf whose end is needed."""
    pull_back: float
    unreached: float
    """Recording a leaf whose end is not needed, over advancing: its overheads apart, at most 1."""

    @classmethod
    def of(cls, costs: Costs, leaf_steps: int) -> "LeafCosts":
        """Return the costs of leaves of `leaf_steps` steps."""
        last = min(1.0, costs.unreached / costs.advance) if costs.advance else 1.0
        return cls(
            advance=leaf_steps * costs.advance,
            record=costs.recording(leaf_steps, reach_stop=False),
            keep=costs.recording(leaf_steps, reach_stop=True),
            pull_back=leaf_steps * costs.pull_back,
            unreached=1 - (1 - last) / leaf_steps,
        )

    def in_advances(self, seconds: float) -> float:
        """Return the leaves that can be advanced over in `seconds`; 0 if that takes no time."""
        return seconds / self.advance if self.advance else 0.0


def revolve_splits(leaves: int, slots: int) -> tuple[int, int, int]:
    """Return ``t(leaves, slots)`` and the smallest and the largest first split that attain it."""
    slots = min(slots, leaves - 1)
    repeats = repetitions(leaves, slots)
    advances = repeats * leaves - comb(slots + repeats, slots + 1)
    if slots == 1:
        return advances, leaves - 1, leaves - 1
    narrow = beta(slots, repeats - 2) if repeats > 1 else 0
    low = max(1, narrow, leaves - beta(slots - 1, repeats))
    high = min(leaves - 1, beta(slots, repeats - 1), leaves - beta(slots - 1, repeats - 1))
    return advances, low, high


class SegmentCosts:
    """Seconds and first splits of segments, by leaves and slots.

    Parameters
    ----------
    leaf
        Costs of a leaf.
    table
        Where tapes are kept; None where they are not. Segments longer than it reaches are split as
        Revolve does.
    """

    def __init__(self, leaf: LeafCosts, table: TapeTable | None) -> None:
        self.leaf = leaf
        self._table = table
        self._known: dict[tuple[int, int, bool], tuple[float, int]] = {}

    def update_costs(self, leaf: LeafCosts) -> None:
        """Use other costs from now on; where tapes are kept does not change."""
        self.leaf = leaf
        self._known.clear()

    def is_exact(self, leaves: int) -> bool:
        """Whether a segment of `leaves` leaves takes exactly the seconds returned, not less."""
        return self._table is None or leaves <= self._table.max_leaves

    def seconds_and_split(self, leaves: int, slots: int, in_file: bool) -> tuple[float, int]:
        """Return the seconds to reverse `leaves` leaves, and how many to advance over first.

        0 leaves to advance over means to record the first one and keep its tape. `slots` counts
        the slot of the first state, unless that is `in_file`. Without a slot the time is infinite
        for more than one leaf, and the split goes as far as it can.
        """
        key = (leaves, slots, in_file)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            known = self._known[key] = self._find(leaves, slots, in_file)
        return known

    def _find(self, leaves: int, slots: int, in_file: bool) -> tuple[float, int]:
        leaf, table = self.leaf, self._table
        if leaves == 0:
            return 0.0, 0
        if leaves == 1:
            return leaf.record + leaf.pull_back, 1
        if slots < (0 if in_file else 1):
            return float("inf"), leaves - 1
        if table is not None and leaves <= table.max_leaves:
            slots = min(slots, table.max_slots)
            moves = table.cost(leaves, slots, in_file)
            rest = leaf.record - leaf.unreached * leaf.advance + leaf.pull_back
            return moves * leaf.advance + leaves * rest, table.decision(leaves, slots, in_file)
        advances, low, high = revolve_splits(leaves, slots + in_file)
        seconds = advances * leaf.advance + leaves * (leaf.record + leaf.pull_back)
        return seconds, (low + high) // 2
