"""How many directions of second-order products share one evaluation.

A state with `b` directions is ``1 + b`` times as large, so `b` directions at once leave fewer slots
and take more steps again, but take the primal's own steps once for all of them. What a step costs
is linear in `b`, and is measured for two block sizes. Of the sizes that make a number of blocks
equal, that with the smallest predicted time for all directions is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import ceil, inf

from adjoint.errors import ArgumentError
from adjoint.planning.budget import Budget, Room
from adjoint.planning.planner import choose
from adjoint.schedules.costs import Costs

__all__ = ["BlockCase", "best_block", "block_sizes"]

MIN_STATES = 2
"""No more directions at once than leave memory for so many states."""


@dataclass(frozen=True, slots=True)
class BlockCase:
    """What a number of directions at once take, on the rank where it is most."""

    block: int
    costs: Costs
    state_bytes: int
    """Memory of a slot."""
    besides_bytes: int
    """Memory beside slots and tapes."""
    tape_bytes: Mapping[int, int]
    """Leaf size -> memory of its tape."""

    def towards(self, other: "BlockCase", block: int) -> "BlockCase":
        """Return the case of another block size, on the line through this one and another."""
        share = (block - self.block) / (other.block - self.block)

        def between(here: float, there: float) -> float:
            return here + share * (there - here)

        def size(here: int, there: int) -> int:
            return ceil(between(here, there))

        floors = {"slowdown": 1.0, "read_slowdown": 1.0}
        costs = {
            cost.name: max(
                floors.get(cost.name, 0.0),
                between(getattr(self.costs, cost.name), getattr(other.costs, cost.name)),
            )
            for cost in fields(Costs)
        }
        return BlockCase(
            block,
            Costs(**costs),
            size(self.state_bytes, other.state_bytes),
            size(self.besides_bytes, other.besides_bytes),
            {leaf: size(tape, other.tape_bytes[leaf]) for leaf, tape in self.tape_bytes.items()},
        )

    def fits(self, memory_bytes: int) -> bool:
        """Whether there is memory for as many states as there must be."""
        return self.besides_bytes + MIN_STATES * self.state_bytes <= memory_bytes


def block_sizes(count: int) -> list[int]:
    """Return the sizes of blocks that share `count` directions as equally as can be, ascending."""
    return sorted({ceil(count / blocks) for blocks in range(1, count + 1)})


def best_block(
    count: int,
    num_steps: int,
    memory_bytes: int,
    small: BlockCase,
    large: BlockCase,
) -> int:
    """Return the size of the blocks in which `count` directions take the least time.

    Parameters
    ----------
    count
        The number of directions.
    num_steps
        Steps of the run.
    memory_bytes
        For everything that an evaluation keeps.
    small, large
        What was measured, for a block of one direction and for a larger one.
    """
    least, best = inf, small.block
    for block in block_sizes(count):
        case = small.towards(large, block)
        if block > small.block and not case.fits(memory_bytes):
            break
        seconds = ceil(count / block) * _seconds(case, num_steps, memory_bytes)
        if seconds < least:
            least, best = seconds, block
    return best


def _seconds(case: BlockCase, num_steps: int, memory_bytes: int) -> float:
    """Return what one evaluation takes without a file."""
    tapes, memory = case.tape_bytes, memory_bytes - case.besides_bytes
    room = Room.of(tapes, memory, case.state_bytes, lambda leaf, _: tapes[leaf])
    try:
        budget = Budget.of(num_steps, memory, [room])
    except ArgumentError:
        return inf
    return choose(num_steps, case.costs, budget).predicted_seconds
