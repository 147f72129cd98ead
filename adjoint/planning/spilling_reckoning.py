"""What spilling stacks take, in closed form: roughly, but at once.

Every piece between two kept states costs what Revolve, or the table of tapes, says of it with the
slots it will have, and no less than the read that must be done meanwhile; the forward sweep takes
no less than its writes. That ranks spacings and tails well; `spilling_search` then rehearses the
front runners.
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

__all__ = ["REREAD", "Reckoning", "natural_spacing", "reckoned"]

REREAD = 0.1
"""`Spilling.reread` of the table of tapes that is reckoned with, and rehearsed first."""


def reckoned(case: Problem) -> float:
    """Return roughly what the best spilling stack takes: enough to compare sizes of leaves."""
    pace, natural = case.pace, natural_spacing(case)
    leaves, slots = ceil(natural), case.num_slots + 1
    advances = minimal_advances(leaves, slots) if leaves > 1 else 0
    seconds = advances * pace.advance + leaves * (pace.record + pace.pull_back)
    if case.tape_slots:
        # a tape costs an advance where recording the leaf would cost less
        taken = fewest_steps(leaves, slots, case.tape_slots) - advances - leaves
        seconds += pace.unreached * pace.advance * taken
    forward = max(leaves * pace.advance, case.costs.write)
    return (forward + max(seconds, case.costs.read)) * case.num_leaves / leaves


def natural_spacing(case: Problem) -> float:
    """Return the leaves that take as long as a write, or as many as the file's room asks for."""
    if case.pace.advance == 0:
        return 1.0
    limited = case.file_states < case.num_leaves
    room = case.num_leaves / max(1, case.file_states - 2) if limited else 1.0
    return max(1.0, room, min(case.costs.write / case.pace.advance, case.num_leaves))


class Reckoning:
    """Seconds of spilling stacks in closed form."""

    def __init__(self, case: Problem) -> None:
        self.case = case
        self.pace = case.pace
        self.natural = natural_spacing(case)
        """Leaves between two states in the file, if nothing is to wait."""
        self.table: TapeTable | None = None
        if case.tape_slots:
            most = min(case.num_leaves, 2 * ceil(self.natural) + 2, TABLE_LEAVES)
            self.table = TapeTable(
                most,
                case.num_slots,
                tape_slots=case.tape_slots,
                unreached=self.pace.unreached,
                reread=self.pace.in_advances(REREAD * case.costs.read),
            )
        self.pieces = SegmentCosts(self.pace, 0.5, self.table)

    def piece(self, leaves: int, locked: int, in_file: bool) -> float:
        """Return the seconds of reversing a piece, and of the read that goes on meanwhile."""
        slots = max(0 if in_file else 1, self.case.num_slots - locked)
        seconds = self.pieces.seconds_and_split(leaves, slots, in_file)[0]
        return max(seconds, self.case.costs.read) if in_file else seconds

    def alone(self, leaves: int, locked: int) -> float:
        """Return the seconds of reversing a piece whose start is in the file."""
        slots = max(0, self.case.num_slots - locked)
        return self.pieces.seconds_and_split(leaves, slots, True)[0]

    def whole(self, keeps: ForwardPlan) -> float:
        """Return the seconds of a run that keeps these states."""
        case = self.case
        end = case.num_leaves
        tail = [*keeps.tail, (end, False)]
        locked = 0 if keeps.first_in_file else 1
        middle, comb = tail[0][0], keeps.spaced
        first = comb.leaf(0) if comb.count else middle
        seconds = self.piece(first, 0, keeps.first_in_file)
        if comb.count:
            low, part = divmod(comb.pitch, GRID)
            each = self.piece(low, locked, True)
            if part:
                each += part / GRID * (self.piece(low + 1, locked, True) - each)
            last = comb.leaf(comb.count - 1)
            seconds += (comb.count - 1) * each + self.piece(middle - last, locked, True)
        for (leaf, in_file), (following, _) in pairwise(tail):
            seconds += self.piece(following - leaf, locked, in_file)
            locked += not in_file
        written = max(0, keeps.file_states - case.num_slots) * case.costs.write
        return seconds + max(end * self.pace.advance, written)
