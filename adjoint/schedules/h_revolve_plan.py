"""A run reversed by the tables of H-Revolve: which parts of it, in what order, and at what cost.

The first state of a part of the run is live, or it is *kept* in the file. Either the part is
reversed in memory by Revolve; or it is split: its first state is, or stays, in the file, the right
part is reversed from a live state, and then the left part from the kept one.

The first leaves of a long run may be periodic: a state is written to the file at the start of each
period, then the rest of the run, its *tail*, is reversed, and then the periods, last first, each as
a kept part.

Parts with the same row of the table, length and state are reversed alike. So a plan is counted by
visiting each kind of part once, in exact integers, however long the run is.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from adjoint.schedules.h_revolve_table import FileTable
from adjoint.schedules.revolve import minimal_advances

__all__ = ["Part", "Plan", "Tally"]


@dataclass(frozen=True, slots=True)
class Tally:
    """What playing a schedule takes."""

    advances: int
    """Steps that `Advance` actions take."""
    writes: int
    """States written to the file."""
    reads: int
    """States read from the file."""
    num_slots: int
    """The most snapshots in memory at once."""
    file_states: int
    """The most snapshots in the file at once."""

    def price(self, write: float, read: float) -> float:
        """Return the cost of advances and transfers, in units of advancing one step."""
        return self.advances + self.writes * write + self.reads * read


class Part(NamedTuple):
    """A part of the run to reverse."""

    row: int
    """Row of the table, for the places in the file that it may use."""
    length: int
    """In units of the table."""
    kept: bool
    """Whether its first state is in the file; otherwise it is live and kept nowhere."""
    last: bool
    """Whether it ends where the run ends."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run is reversed; by default by Revolve, in memory."""

    num_leaves: int
    num_slots: int
    table: FileTable | None = None
    row: int = 0
    """Row of the table for the tail."""
    tail: int = 1
    """Units of the tail."""
    repeats: int = 0
    """Periods before the tail."""
    period: int = 0
    """Units of a period."""

    @property
    def unit(self) -> int:
        """Leaves in a unit of length."""
        return self.num_leaves if self.table is None else self.table.unit

    @property
    def last_part(self) -> Part:
        """The tail."""
        return Part(self.row, self.tail, kept=False, last=True)

    @property
    def repeated_part(self) -> Part:
        """A period."""
        row = self.row if self.table is None else self.table.more(self.row)
        return Part(row, self.period, kept=True, last=False)

    def split(self, part: Part) -> int:
        """Return the units to advance from the first state; 0 to reverse the part in memory."""
        if self.table is None or not (part.kept or self.table.stores.item(part.row, part.length)):
            return 0
        return self.table.splits.item(part.row, part.length)

    def parts(self, part: Part, split: int) -> tuple[Part, Part]:
        """Return the left and the right part after a split."""
        assert self.table is not None
        row, length, _kept, last = part
        left = Part(row, split, kept=True, last=False)
        return left, Part(self.table.fewer(row), length - split, kept=False, last=last)

    def leaves(self, part: Part) -> int:
        """Return the number of leaves in a part; the last unit of a run may be incomplete."""
        if not part.last:
            return part.length * self.unit
        before = self.repeats * self.period + self.tail - part.length
        return self.num_leaves - before * self.unit

    def memory_slots(self, part: Part) -> int:
        """Return the slots that Revolve takes for a part, including that of its first state."""
        return min(self.num_slots, self.leaves(part) - 1)

    def tally(self, leaf_steps: int = 1) -> Tally:
        """Return what playing the plan takes."""
        total = self._count(self.last_part)
        if self.repeats:
            each, q = self._count(self.repeated_part), self.repeats
            total = Tally(
                q * (self.period * self.unit + each.advances) + total.advances,
                q * (1 + each.writes) + total.writes,
                q * (1 + each.reads) + total.reads,
                max(1, each.num_slots, total.num_slots),
                max(q + total.file_states, q - 1 + each.file_states),
            )
        return replace(total, advances=total.advances * leaf_steps)

    def _count(self, part: Part) -> Tally:
        """Count a part of the run, in leaves."""
        splits: dict[Part, int] = {}
        pending = [part]
        while pending:
            here = pending.pop()
            if here not in splits:
                split = splits[here] = self.split(here)
                pending += self.parts(here, split) if split else ()
        counts: dict[Part, Tally] = {}
        for here in sorted(splits, key=lambda each: each.length):  # parts before what they make up
            split = splits[here]
            if split:
                left, right = (counts[each] for each in self.parts(here, split))
                counts[here] = Tally(
                    split * self.unit + left.advances + right.advances,
                    left.writes + right.writes + (not here.kept),
                    left.reads + right.reads + 1,
                    # a state passes through a slot on its way to the file
                    max(left.num_slots, right.num_slots, int(not here.kept)),
                    max(1 + right.file_states, left.file_states),
                )
            else:
                leaves, slots = self.leaves(here), self.memory_slots(here)
                advances = minimal_advances(leaves, slots) if leaves > 1 else 0
                counts[here] = Tally(advances, 0, 0, slots, int(here.kept))
        return counts[part]
