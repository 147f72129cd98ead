"""What schedules cost, from closed forms: nothing is played.

Every leaf is recorded and pulled back once, whatever the schedule: what differs is how many steps
are advanced besides, and how many states are moved. Store and restore are reckoned once a leaf.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from math import ceil, log

from adjoint.planning.asynchronous_clock import asynchronous_seconds
from adjoint.schedules import (
    Asynchronous,
    DiskRevolve,
    Mixed,
    Multistage,
    Periodic,
    Revolve,
    Schedule,
    StoreAll,
    num_leaves,
)
from adjoint.schedules.costs import Costs
from adjoint.schedules.mixed import mixed_steps
from adjoint.schedules.multistage import multistage_transfers
from adjoint.schedules.periodic import interval_of_fewest_slots, periodic_advances
from adjoint.schedules.revolve import minimal_advances
from adjoint.schedules.spilling.segments import LeafCosts

__all__ = ["Candidate", "Problem", "in_memory", "synchronous", "with_leaves_of", "with_tapes"]

LEAST_TO_SAVE = 0.1
"""Tapes are kept only where recording a step that is not reached takes this share of an advance:
otherwise a tape saves nothing that a state would not."""

MOST_LEVELS = 100
"""States of `Multistage` in the file that are thought of: where there is room for more,
`DiskRevolve` knows better."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A run in leaves of one size, what they cost, and what they may use."""

    num_steps: int
    leaf_steps: int
    num_slots: int
    file_states: int
    tape_slots: int
    """Slots that a kept tape takes; 0 if none is to be kept."""
    costs: Costs

    @property
    def num_leaves(self) -> int:
        """Leaves of the run."""
        return num_leaves(self.num_steps, self.leaf_steps)

    @property
    def pace(self) -> LeafCosts:
        """What whole leaves cost."""
        return LeafCosts.of(self.costs, self.leaf_steps)

    @property
    def reversing(self) -> float:
        """Seconds to record and pull back every leaf, the last one up to its end."""
        n, leaf, costs = self.num_steps, self.leaf_steps, self.costs
        before = self.num_leaves - 1
        seconds = before * costs.recording(leaf, reach_stop=False)
        seconds += costs.recording(n - before * leaf, reach_stop=True)
        per_leaf = (costs.store + costs.restore) * self.num_leaves
        return seconds + n * costs.pull_back + costs.turn + per_leaf

    def without_tapes(self) -> "Problem":
        """Return the same case, in which no tape is kept."""
        return replace(self, tape_slots=0)

    @property
    def keeps_tapes(self) -> bool:
        """Whether a kept tape can save anything, and fits."""
        saves = self.costs.unreached > LEAST_TO_SAVE * self.costs.advance
        return saves and 0 < self.tape_slots <= self.num_slots


@dataclass(frozen=True, slots=True)
class Candidate:
    """A schedule, and what it is reckoned to take."""

    schedule: Schedule
    seconds: float
    reason: str
    relative_error: float = 0.0
    """By which share the simulated machine may take longer: 0 where this is what it takes."""


def with_leaves_of(leaf: int, costs: Mapping[int, Costs]) -> Costs:
    """Return what is measured with such leaves, or lies between the nearest that were measured.

    In between, each cost is taken to be linear in the logarithm of the leaf's size; what is
    smaller, or larger, than all that were measured costs as the nearest.
    """
    below = max((size for size in costs if size <= leaf), default=min(costs))
    above = min((size for size in costs if size >= leaf), default=below)
    if below >= above:
        return costs[below]
    share = log(leaf / below) / log(above / below)
    names = [field.name for field in fields(Costs)]
    pairs = {name: (getattr(costs[below], name), getattr(costs[above], name)) for name in names}
    between = {name: (1 - share) * less + share * more for name, (less, more) in pairs.items()}
    return replace(costs[below], **between)


def in_memory(case: Problem) -> Iterator[Candidate]:
    """Give the schedules that need no file and keep no tapes."""
    n, leaf, count = case.num_steps, case.leaf_steps, case.num_leaves
    slots = min(case.num_slots, count - 1)
    advances = leaf * minimal_advances(count, slots) if count > 1 else 0
    seconds = advances * case.costs.advance + case.reversing
    if slots == count - 1:
        reason = "every state fits in memory" if leaf == 1 else "every leaf's start fits in memory"
        yield Candidate(StoreAll(n, leaf_steps=leaf), seconds, reason)
        return
    reason = f"{advances / n:.2f} advances a step with {slots} slots and leaves of {leaf}"
    yield Candidate(Revolve(n, slots, leaf_steps=leaf), seconds, reason)
    interval = interval_of_fewest_slots(n, leaf_steps=leaf)
    periodic = Periodic(n, interval, leaf_steps=leaf)
    if periodic.num_slots <= slots:
        advances = periodic_advances(n, interval, leaf_steps=leaf)
        seconds = advances * case.costs.advance + case.reversing
        yield Candidate(
            periodic, seconds, f"every segment of {interval} steps is advanced over twice"
        )


def with_tapes(case: Problem) -> Iterator[Candidate]:
    """Give the schedule that keeps tapes like snapshots, if they fit and save anything."""
    if not case.keeps_tapes or case.num_leaves == 1:
        return
    n, leaf, pace = case.num_steps, case.leaf_steps, case.pace
    mixed = Mixed(n, case.num_slots, case.tape_slots, leaf_steps=leaf, unreached=pace.unreached)
    taken = mixed_steps(
        n, case.num_slots, case.tape_slots, leaf_steps=leaf, unreached=pace.unreached
    )
    costs = case.costs
    seconds = taken * pace.advance + n * (costs.record + costs.pull_back) + costs.turn
    each_leaf = costs.driver_overhead + costs.restart_overhead + costs.store + costs.restore
    seconds += case.num_leaves * each_leaf
    reason = f"tapes are kept where they fit: {taken * leaf / n:.2f} steps taken for each step"
    yield Candidate(mixed, seconds, reason)


def synchronous(case: Problem) -> Iterator[Candidate]:
    """Give the schedules that wait for the file."""
    n, leaf, costs = case.num_steps, case.leaf_steps, case.costs
    if case.file_states < 1 or case.num_leaves < 2 or case.num_slots < 1 or costs.advance == 0:
        return
    write, read = costs.write + costs.post, costs.read + costs.post
    disk = DiskRevolve(
        n,
        case.num_slots,
        write=write / case.pace.advance,
        read=read / case.pace.advance,
        leaf_steps=leaf,
        max_file_states=None if case.file_states >= n else case.file_states,
    )
    seconds = disk.tally.advances * costs.advance
    seconds += disk.tally.writes * write + disk.tally.reads * read
    yield Candidate(disk, seconds + case.reversing, "the computation waits for every transfer")
    places = min(case.file_states, MOST_LEVELS)
    if case.num_slots + places >= case.num_leaves:
        return
    multistage = Multistage(n, case.num_slots, places, leaf_steps=leaf)
    writes, reads = multistage_transfers(n, case.num_slots, places, leaf_steps=leaf)
    advances = leaf * minimal_advances(case.num_leaves, case.num_slots + places)
    seconds = advances * costs.advance + writes * write + reads * read + case.reversing
    yield Candidate(multistage, seconds, "the least used of Revolve's states are in the file")


def asynchronous(case: Problem) -> Iterator[Candidate]:
    """Give the asynchronous scheme of 2018, at the channel's own pace."""
    n, leaf, costs = case.num_steps, case.leaf_steps, case.costs
    if case.num_slots < 2 or case.file_states < 1 or case.pace.advance == 0:
        return
    spacing = max(costs.write / case.pace.advance, case.num_leaves / case.file_states, 1)
    interval = leaf * ceil(spacing)
    if interval >= n:
        return
    reason = f"a state to the file every {interval} steps, segments reversed by Revolve"
    for staging in (4, 1):
        schedule = Asynchronous(n, case.num_slots, interval, leaf_steps=leaf, staging=staging)
        yield Candidate(schedule, asynchronous_seconds(schedule, costs), reason)
