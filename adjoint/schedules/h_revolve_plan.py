"""How a run is reversed by the tables of H-Revolve, and what that comes to.

A stretch of the run is *live*, its first state being live and kept nowhere, or *kept*, that state
being in a tier. A live one is settled: its state is written to the tier that the tables say, or it
is reversed by Revolve in memory. A kept one is split: the state left of the split stays, what is
right of it is live. Or its state is given up, and it is live again, for the faster tiers.

The first part of a run may be periodic: then a state is written to the slowest tier at the start of
each period, before the rest of the run, the *tail*, is reversed; and then the periods are, the last
first, each as a kept stretch.

All stretches with the same tier, places, length and state come to the same. So what a plan comes to
is counted by visiting each kind of them once, in integers, however long the run is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adjoint.schedules.h_revolve_tables import Tables
from adjoint.schedules.revolve import minimal_advances

__all__ = ["Node", "Plan", "Tally"]


@dataclass(frozen=True, slots=True)
class Tally:
    """What a schedule comes to when it is played."""

    advances: int
    """Steps that `Advance` actions take."""
    writes: tuple[int, ...]
    """States written, to each tier below memory."""
    reads: tuple[int, ...]
    """States read from there."""
    num_slots: int
    """The most snapshots in memory at once."""
    tier_states: tuple[int, ...]
    """The most at once in each tier below memory."""
    file_states: int
    """The most at once in all of them."""

    def price(self, costs: Sequence[tuple[float, float]]) -> float:
        """Return the advances and what the transfers cost.

        `costs` are (write, read) of each tier below memory, in units of advancing one step.
        """
        transfers = zip(self.writes, self.reads, costs, strict=True)
        return self.advances + sum(w * write + r * read for w, r, (write, read) in transfers)


class Node(NamedTuple):
    """A stretch of the run to reverse."""

    level: int
    """The slowest tier it may use, counted among the tables' levels from 1; 0 is memory."""
    row: int
    length: int
    """In units of the tables."""
    kept: bool
    """Its start is in the tier; otherwise it is live, and nowhere."""
    last: bool
    """It ends where the run ends."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run is reversed."""

    num_leaves: int
    tables: Tables
    row: int
    """Of the slowest tier, for the tail."""
    tail: int
    """Units that the tables are followed for from their start."""
    repeats: int = 0
    """Periods before the tail."""
    period: int = 0
    """Units of each."""

    @property
    def root(self) -> Node:
        """What the tables are followed for after the periods."""
        return Node(len(self.tables.levels), self.row, self.tail, kept=False, last=True)

    @property
    def repeated(self) -> Node:
        """What they are followed for in each period, with its start in the slowest tier."""
        level = self.tables.levels[-1]
        row = self.row if level.endless else self.row + 1
        return Node(len(self.tables.levels), row, self.period, kept=True, last=False)

    def leaves(self, node: Node) -> int:
        """Return how many leaves a stretch has."""
        if not node.last:
            return node.length * self.tables.unit
        return self.num_leaves - (self.repeats * self.period + self.tail - node.length) * (
            self.tables.unit
        )

    def memory_slots(self, node: Node) -> int:
        """Return how many slots its reversal by Revolve takes, that of its start included."""
        return min(self.tables.num_slots, self.leaves(node) - 1)

    def settle(self, node: Node) -> Node:
        """Return a live stretch with its start where it is to be kept; at level 0 in memory."""
        level, row = self.tables.home(node.level, node.row, node.length)
        return Node(level, row, node.length, level > 0, node.last)

    def split_at(self, node: Node) -> int:
        """Return how many units to advance from a kept stretch's start; 0: it is to be given up."""
        return self.tables.levels[node.level - 1].splits.item(node.row, node.length)

    def split(self, node: Node) -> tuple[Node, Node]:
        """Return the two parts, left and right, of a kept stretch that is not to be given up."""
        level, row, length, _kept, last = node
        left = self.split_at(node)
        right = self.tables.levels[level - 1].further(row)
        return Node(level, row, left, True, False), Node(level, right, length - left, False, last)

    def given_up(self, node: Node) -> Node:
        """Return a stretch whose start is live and no longer in its tier."""
        level, row = self.tables.above(node.level)
        return Node(level, row, node.length, False, node.last)

    def tally(self, num_tiers: int, leaf_steps: int) -> Tally:
        """Return what playing the plan comes to, not playing it."""
        total = _Counter(self, num_tiers).total()
        return Tally(
            advances=total.advances * leaf_steps,
            writes=total.moved[:num_tiers],
            reads=total.moved[num_tiers:],
            num_slots=total.slots,
            tier_states=total.peaks,
            file_states=total.states,
        )


class _Count(NamedTuple):
    """What a stretch comes to."""

    advances: int
    """Leaves advanced."""
    slots: int
    """The most states in memory at once."""
    states: int
    """The most at once in all tiers below memory."""
    peaks: tuple[int, ...]
    """The most in each of them."""
    moved: tuple[int, ...]
    """States written to each of them, and then those read from each."""


class _Counter:
    """Counts what stretches come to, each kind of them once."""

    def __init__(self, plan: Plan, num_tiers: int) -> None:
        self._plan = plan
        self._nothing = _Count(0, 0, 0, (0,) * num_tiers, (0,) * (2 * num_tiers))
        tiers = [level.place.tier for level in plan.tables.levels]
        self._state = [_one(0, num_tiers), *(_one(tier, num_tiers) for tier in tiers)]
        """One state in the tier of each level."""
        self._written = [_one(0, 2 * num_tiers), *(_one(tier, 2 * num_tiers) for tier in tiers)]
        self._read = [self._written[0], *(_one(num_tiers + tier, 2 * num_tiers) for tier in tiers)]
        self._counted: dict[Node, _Count] = {}

    def total(self) -> _Count:
        """Return what the whole plan comes to."""
        plan = self._plan
        tail = self._count(plan.root)
        if not plan.repeats:
            return tail
        period, q, level = self._count(plan.repeated), plan.repeats, len(plan.tables.levels)
        state, moved = self._state[level], _sum(self._written[level], self._read[level])
        during_tail = _sum(_times(q, state), tail.peaks)
        during_periods = _sum(_times(q - 1, state), period.peaks)
        return _Count(
            q * (plan.period * plan.tables.unit + period.advances) + tail.advances,
            max(1, period.slots, tail.slots),
            max(q + tail.states, q - 1 + period.states),
            _most(during_tail, during_periods),
            _sum(_times(q, _sum(moved, period.moved)), tail.moved),
        )

    def _count(self, root: Node) -> _Count:
        """Return what a stretch comes to; memory grows with their number, the call stack not."""
        counted = self._counted
        pending = [(root, self._parts(root))]
        while pending:
            node, parts = pending[-1]
            missing = [part for part in parts if part not in counted]
            pending += [(part, self._parts(part)) for part in missing]
            if not missing:
                pending.pop()
                counted[node] = self._combined(node, [counted[part] for part in parts])
        return counted[root]

    def _parts(self, node: Node) -> tuple[Node, ...]:
        """Return what a stretch is made of; nothing if it is reversed in memory."""
        plan = self._plan
        if not node.kept:
            settled = plan.settle(node)
            return (settled,) if settled.kept else ()
        return plan.split(node) if plan.split_at(node) else (plan.given_up(node),)

    def _combined(self, node: Node, parts: list[_Count]) -> _Count:
        if not parts:
            leaves, slots = self._plan.leaves(node), self._plan.memory_slots(node)
            advances = minimal_advances(leaves, slots) if leaves > 1 else 0
            return self._nothing._replace(advances=advances, slots=slots)
        if not node.kept:
            level, _row = self._plan.tables.home(node.level, node.row, node.length)
            advances, slots, states, peaks, moved = parts[0]
            # it passes through a slot
            return _Count(advances, slots or 1, states, peaks, _sum(moved, self._written[level]))
        state = self._state[node.level]
        if len(parts) == 1:
            advances, slots, states, peaks, moved = parts[0]
            return _Count(advances, slots, states or 1, _most(peaks, state), moved)
        left, right = parts
        return _Count(
            self._plan.tables.unit * self._plan.split_at(node) + left.advances + right.advances,
            max(left.slots, right.slots),
            max(1 + right.states, left.states),
            _most(_sum(state, right.peaks), left.peaks),
            _sum(self._read[node.level], left.moved, right.moved),
        )


def _one(place: int, length: int) -> tuple[int, ...]:
    """Return a one at a place, counted from 1, and zeros elsewhere."""
    return tuple(int(k == place) for k in range(1, length + 1))


def _times(factor: int, counts: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(factor * count for count in counts)


def _sum(*counts: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*counts, strict=True)))


def _most(some: tuple[int, ...], others: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(max, some, others))
