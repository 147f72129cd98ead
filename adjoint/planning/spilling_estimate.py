"""What spilling stacks take, in closed form: roughly, but at once.

Every segment between two kept states costs what Revolve, or the table of tapes, says of it with the
slots it will have, and no less than the read that must be done meanwhile; the forward sweep takes
no less than its writes. That ranks spacings and tails well; `spilling_search` then rehearses the
best of them.
"""

from itertools import pairwise
from math import ceil

from adjoint.planning.candidates import Problem
from adjoint.schedules.mixed_closed_form import fewest_steps
from adjoint.schedules.mixed_table import TapeTable
from adjoint.schedules.revolve import minimal_advances
from adjoint.schedules.spilling.parameters import TABLE_LEAVES
from adjoint.schedules.spilling.segments import SegmentCosts
from adjoint.schedules.spilling.spacing import GRID, ForwardPlan

__all__ = ["REREAD", "SpillingEstimate", "estimated_seconds", "natural_spacing"]

REREAD = 0.1
"""`Spilling.reread` of the table of tapes that estimates use: its default."""


def estimated_seconds(problem: Problem) -> float:
    """Return roughly what the best spilling stack takes: enough to compare sizes of leaves."""
    leaf, natural = problem.leaf, natural_spacing(problem)
    leaves, slots = ceil(natural), problem.num_slots + 1
    advances = minimal_advances(leaves, slots) if leaves > 1 else 0
    seconds = advances * leaf.advance + leaves * (leaf.record + leaf.pull_back)
    if problem.tape_slots:
        # a tape costs an advance where recording the leaf would cost less
        taken = fewest_steps(leaves, slots, problem.tape_slots) - advances - leaves
        seconds += leaf.unreached * leaf.advance * taken
    forward = max(leaves * leaf.advance, problem.costs.write)
    return (forward + max(seconds, problem.costs.read)) * problem.num_leaves / leaves


def natural_spacing(problem: Problem) -> float:
    """Return the leaves between states in the file at which nothing waits and the file has room."""
    if problem.leaf.advance == 0:
        return 1.0
    limited = problem.file_states < problem.num_leaves
    room = problem.num_leaves / max(1, problem.file_states - 2) if limited else 1.0
    return max(1.0, room, min(problem.costs.write / problem.leaf.advance, problem.num_leaves))


class SpillingEstimate:
    """Seconds of spilling stacks for one run, in closed form."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.natural = natural_spacing(problem)
        self.table: TapeTable | None = None
        """Where tapes are kept, up to twice the natural spacing; None if none is."""
        if problem.tape_slots:
            most = min(problem.num_leaves, 2 * ceil(self.natural) + 2, TABLE_LEAVES)
            self.table = TapeTable(
                most,
                problem.num_slots,
                tape_slots=problem.tape_slots,
                unreached=problem.leaf.unreached,
                reread=problem.leaf.in_advances(REREAD * problem.costs.read),
            )
        self.segments = SegmentCosts(problem.leaf, 0.5, self.table)

    def seconds(self, plan: ForwardPlan) -> float:
        """Return the seconds of a run whose forward sweep keeps the states of a plan."""
        problem, spaced = self.problem, plan.spaced
        end = problem.num_leaves
        tail = [*plan.tail, (end, False)]
        locked = 0 if plan.first_in_file else 1
        begins = tail[0][0]
        first = spaced.leaf(0) if spaced.count else begins
        seconds = self._segment(first, 0, plan.first_in_file)
        if spaced.count:
            # segments have one of two lengths, in the ratio that makes their mean the pitch
            short, part = divmod(spaced.pitch, GRID)
            each = self._segment(short, locked, True)
            if part:
                each += part / GRID * (self._segment(short + 1, locked, True) - each)
            last = spaced.leaf(spaced.count - 1)
            seconds += (spaced.count - 1) * each + self._segment(begins - last, locked, True)
        for (leaf, in_file), (following, _) in pairwise(tail):
            seconds += self._segment(following - leaf, locked, in_file)
            locked += not in_file
        written = max(0, plan.file_states - problem.num_slots) * problem.costs.write
        return seconds + max(end * problem.leaf.advance, written)

    def from_file(self, leaves: int, locked: int) -> float:
        """Return the seconds of reversing a segment whose start is in the file, reads apart."""
        slots = max(0, self.problem.num_slots - locked)
        return self.segments.seconds_and_split(leaves, slots, True)[0]

    def _segment(self, leaves: int, locked: int, in_file: bool) -> float:
        """Return the seconds of reversing a segment, and of the read that goes on meanwhile."""
        slots = max(0 if in_file else 1, self.problem.num_slots - locked)
        seconds = self.segments.seconds_and_split(leaves, slots, in_file)[0]
        return max(seconds, self.problem.costs.read) if in_file else seconds
