"""The schedules that the planner chooses from, and what each takes.

Each function gives the best of its kind for one size of leaves, if the budget has room for one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from math import log

from adjoint.planning.closed_forms import closed_form_seconds, mixed_seconds
from adjoint.schedules import DiskRevolve, Mixed, Revolve, Schedule, StoreAll, num_leaves
from adjoint.schedules.costs import Costs
from adjoint.schedules.mixed import mixed_steps
from adjoint.schedules.revolve import minimal_advances
from adjoint.schedules.spilling.segments import LeafCosts

__all__ = [
    "Candidate",
    "Problem",
    "in_memory",
    "interpolate_costs",
    "synchronous",
    "with_tapes",
]

MIN_UNREACHED = 0.1
"""Share of an advance that recording a step which is not reached must take for tapes to be kept:
otherwise a tape saves nothing that a state would not."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A run in leaves of one size, what they cost, and what may be used."""

    num_steps: int
    leaf_steps: int
    num_slots: int
    file_states: int
    """Snapshots that the file may hold."""
    tape_slots: int
    """Slots that a kept tape takes; 0 if none is to be kept."""
    costs: Costs

    @property
    def num_leaves(self) -> int:
        """Leaves of the run."""
        return num_leaves(self.num_steps, self.leaf_steps)

    @property
    def leaf(self) -> LeafCosts:
        """Costs of whole leaves."""
        return LeafCosts.of(self.costs, self.leaf_steps)

    def without_tapes(self) -> "Problem":
        """Return the same problem, in which no tape is kept."""
        return replace(self, tape_slots=0)

    @property
    def keeps_tapes(self) -> bool:
        """Whether a kept tape can save anything, and fits."""
        saves = self.costs.unreached > MIN_UNREACHED * self.costs.advance
        return saves and 0 < self.tape_slots <= self.num_slots


@dataclass(frozen=True, slots=True)
class Candidate:
    """A schedule, and what it is predicted to take."""

    schedule: Schedule
    seconds: float
    reason: str
    is_adaptive: bool = False
    """Whether its stream adapts to what transfers turn out to cost."""


def interpolate_costs(leaf_steps: int, costs: Mapping[int, Costs]) -> Costs:
    """Return the costs with leaves of one size, given those measured with some sizes.

    Between two sizes each cost is taken to be linear in the logarithm of the size; leaves smaller
    or larger than all that were measured cost what the nearest size does.
    """
    below = max((size for size in costs if size <= leaf_steps), default=min(costs))
    above = min((size for size in costs if size >= leaf_steps), default=below)
    if below >= above:
        return costs[below]
    share = log(leaf_steps / below) / log(above / below)
    names = [field.name for field in fields(Costs)]
    pairs = {name: (getattr(costs[below], name), getattr(costs[above], name)) for name in names}
    between = {name: (1 - share) * less + share * more for name, (less, more) in pairs.items()}
    return replace(costs[below], **between)


def in_memory(problem: Problem) -> Candidate:
    """Return the schedule that needs no file and keeps no tapes."""
    n, leaf, count = problem.num_steps, problem.leaf_steps, problem.num_leaves
    slots = min(problem.num_slots, count - 1)
    if slots == count - 1:
        reason = "every state fits in memory" if leaf == 1 else "every leaf's start fits in memory"
        return _candidate(StoreAll(n, leaf_steps=leaf), problem, reason)
    advances = leaf * minimal_advances(count, slots) / n
    reason = f"{advances:.2f} advances a step with {slots} slots and leaves of {leaf}"
    return _candidate(Revolve(n, slots, leaf_steps=leaf), problem, reason)


def with_tapes(problem: Problem) -> Iterator[Candidate]:
    """Give the schedule that keeps tapes like snapshots, if they fit and save anything."""
    if not problem.keeps_tapes or problem.num_leaves == 1:
        return
    n, leaf, slots, tape = (
        problem.num_steps,
        problem.leaf_steps,
        problem.num_slots,
        problem.tape_slots,
    )
    unreached = problem.leaf.unreached
    steps = mixed_steps(n, slots, tape, leaf_steps=leaf, unreached=unreached)
    reason = f"tapes are kept where they fit: {steps * leaf / n:.2f} steps taken for each step"
    mixed = Mixed(n, slots, tape, leaf_steps=leaf, unreached=unreached)
    yield Candidate(mixed, mixed_seconds(n, leaf, steps, problem.costs), reason)


def synchronous(problem: Problem) -> Iterator[Candidate]:
    """Give the schedule that waits for the file, if there is room for one."""
    n, leaf, costs = problem.num_steps, problem.leaf_steps, problem.costs
    slots, room = problem.num_slots, problem.file_states
    if room < 1 or problem.num_leaves < 2 or slots < 1 or costs.advance == 0:
        return
    disk = DiskRevolve(
        n,
        slots,
        write=(costs.write + costs.post) / problem.leaf.advance,
        read=(costs.read + costs.post) / problem.leaf.advance,
        leaf_steps=leaf,
        max_file_states=None if room >= n else room,
    )
    yield _candidate(disk, problem, "the computation waits for every transfer")


def _candidate(schedule: Schedule, problem: Problem, reason: str) -> Candidate:
    return Candidate(schedule, closed_form_seconds(schedule, problem.costs), reason)
