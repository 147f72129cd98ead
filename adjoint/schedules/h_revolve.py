"""H-Revolve: states in several tiers, each with room for some, each slower than the one before.

Herrmann and Pallez (2020, doi:10.1145/3378672). While a state is written or read the processor
stands still. States lie in the tiers as in a hierarchy: what is kept left of a state, for longer,
is in the same tier or in a slower one. So when a state is to go to a tier below memory no slot is
taken: it passes through one, and then all slots, and all the places of the tiers in between, are
there for what is right of it. `hierarchical_tables` says which states those are, up to 2,000 leaves
at the least cost there is, and `hierarchical_search` goes on from there.

Costs are in units of advancing one leaf. The recording and pulling back of a leaf, whatever it
takes, is paid once a leaf by every schedule: the plan depends on ``write`` and ``read`` alone, and
cannot confuse the costs of the two directions.

In the literature a step is also advanced once as it is reversed: its costs are ours and one more
for each leaf.
"""

import math
from collections.abc import Iterator, Sequence
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import (
    Action,
    Advance,
    Discard,
    Offload,
    PullBack,
    Record,
    Restore,
    Store,
    Tier,
    Wait,
)
from adjoint.schedules.h_revolve_plan import Node, Tally
from adjoint.schedules.h_revolve_search import best_plan
from adjoint.schedules.h_revolve_tables import Place
from adjoint.schedules.protocol import num_leaves
from adjoint.schedules.revolve import reversal

__all__ = ["HRevolve"]


class HRevolve:
    """Reverse a run with slots and slower tiers of snapshots, at the least cost.

    The cost is ``advances / leaf_steps + writes * write + reads * read``, as `tally` has it. Up to
    2,000 leaves none is lower if each tier is at least as slow, both ways, as the one before, and
    has not hundreds of places that are all of use and still too few; to ``2**-20`` a transfer, so
    that of schedules that cost the same it is one that moves the fewest states. Longer runs are
    periodic.

    Making one takes some 20 ms, and tables of 100 kB. Where a tier is short of places it takes up
    to about a second, and a few megabytes.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    tiers
        (capacity, write, read) of each place: first memory, which has `capacity` slots and costs
        nothing; then the file, and then the tiers below it. A capacity of None is no limit, 0 is a
        tier that is left out. To write and to read a state are in units of advancing one leaf.
    leaf_steps
        Steps that are recorded and pulled back together.

    Raises
    ------
    ScheduleError
        No slot for more than one leaf, or a number that is out of its range.
    """

    num_tapes = 1
    tape_slots = 0

    def __init__(
        self,
        num_steps: int,
        tiers: Sequence[tuple[int | None, float, float]],
        *,
        leaf_steps: int = 1,
    ) -> None:
        leaves = num_leaves(num_steps, leaf_steps)
        slots = _slots(leaves, tiers)
        self.num_steps = index(num_steps)
        self.leaf_steps = index(leaf_steps)
        below = [_place(k, *tier) for k, tier in enumerate(tiers[1:], start=1)]
        self.tiers: tuple[tuple[int | None, float, float], ...] = (
            (slots, 0.0, 0.0),
            *((place.capacity, place.write, place.read) for place in below),
        )
        usable = [place for place in below if place.capacity != 0]
        self._plan = best_plan(leaves, slots, usable)
        self.tally: Tally = self._plan.tally(len(below), self.leaf_steps)
        """What playing it comes to; exact, not played."""
        self.num_slots = self.tally.num_slots
        self.file_states = self.tally.file_states

    def __repr__(self) -> str:
        return (
            f"HRevolve(num_steps={self.num_steps}, tiers={self.tiers}, "
            f"leaf_steps={self.leaf_steps})"
        )

    def __iter__(self) -> Iterator[Action]:
        plan = self._plan
        length = plan.period * plan.tables.unit * self.leaf_steps
        starts = range(0, plan.repeats * length, max(1, length))
        for start in starts:
            yield from _write(start, plan.tables.levels[-1].place.tier)
            yield Advance(start, start + length)
        yield from self._reverse(plan.root, plan.repeats * length)
        for start in reversed(starts):
            yield from self._reverse(plan.repeated, start)

    def _reverse(self, stretch: Node, start: int) -> Iterator[Action]:
        """Reverse a stretch that starts at a step; keep one step for each state below memory."""
        plan = self._plan
        stack = [(stretch, start)]
        while stack:
            node, step = stack.pop()
            if node.kept:
                yield Restore(step)
                if not plan.split_at(node):
                    yield Discard(step, self._tier(node))
                    node = plan.given_up(node)
            if not node.kept:
                node = plan.settle(node)
                if not node.kept:
                    yield from self._reverse_in_memory(node, step)
                    continue
                yield from _write(step, self._tier(node))
            left, right = plan.split(node)
            middle = step + left.length * plan.tables.unit * self.leaf_steps
            yield Advance(step, middle)
            stack += [(left, step), (right, middle)]

    def _reverse_in_memory(self, node: Node, start: int) -> Iterator[Action]:
        """Reverse a stretch from its live start, which is not kept anywhere yet."""
        stop = start + self._plan.leaves(node) * self.leaf_steps
        slots = self._plan.memory_slots(node)
        if node.last:
            yield from reversal(start, self.num_steps, slots, self.leaf_steps, turn=True)
        elif slots == 0:
            yield Record(start, stop, reach_stop=False)
            yield PullBack(start, stop)
        else:
            yield Store(start)
            segment = reversal(start, stop, slots, self.leaf_steps, turn=False)
            next(segment)  # its Restore: the state is live already
            yield from segment

    def _tier(self, node: Node) -> int:
        return self._plan.tables.levels[node.level - 1].place.tier


def _write(step: int, tier: int) -> Iterator[Action]:
    """Put the live state in a tier below memory, by a slot."""
    yield Store(step)
    yield Offload(step, tier)
    yield Wait(step)
    yield Discard(step, Tier.MEMORY)


def _slots(leaves: int, tiers: Sequence[tuple[int | None, float, float]]) -> int:
    """Refuse a memory that cannot be met; return how many slots it has."""
    if not tiers:
        raise ScheduleError("tiers is empty: the first is memory, (num_slots, 0, 0)")
    slots, write, read = tiers[0]
    if slots is None or write or read:
        raise ScheduleError(
            f"tiers[0] is {tiers[0]}: memory must be (num_slots, 0, 0), a limited number of slots "
            "that cost nothing to write and read"
        )
    if index(slots) < 0 or (slots == 0 and leaves > 1):
        raise ScheduleError(
            f"num_slots is {slots}: reversing {leaves} leaves takes at least {min(leaves - 1, 1)}, "
            "with a file or without: states pass through a slot on their way to it"
        )
    return index(slots)


def _place(tier: int, capacity: int | None, write: float, read: float) -> Place:
    if capacity is not None and index(capacity) < 0:
        raise ScheduleError(
            f"the capacity of tier {tier} is {capacity}: it must be 0 or more, or None for no limit"
        )
    for name, cost in (("write", write), ("read", read)):
        if not 0 <= cost < math.inf:
            raise ScheduleError(
                f"{name} of tier {tier} is {cost}: it must be finite and at least 0, in units of "
                "advancing one leaf"
            )
    places = None if capacity is None else index(capacity)
    return Place(tier, places, float(write), float(read))
