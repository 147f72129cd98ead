"""Tapes in the file: what a run takes whose leaves are recorded once, and its best leaves.

In closed form: of a long run every leaf takes the same time in each sweep, that of its computation
or that of its transfer (`adjoint.schedules.tapes_in_file.leaf_seconds`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from adjoint.planning.budget import Budget
from adjoint.planning.case import Candidate, Case
from adjoint.schedules import TapesInFile, num_leaves
from adjoint.schedules.costs import Costs
from adjoint.schedules.spilling.segments import LeafCosts
from adjoint.schedules.tapes_in_file.parameters import MAX_STATES, leaf_seconds, tapes_pay

__all__ = ["best_with_tapes", "max_pieces", "tapes_in_file_seconds", "with_pieces"]

MAX_PIECES_IN_FILE = 1 << 17
"""Pieces of tapes in the file at most: what Python keeps of each takes some 600 bytes."""


def max_pieces(disk_bytes: int | None, state_bytes: int, piece_bytes: int) -> int:
    """Return how many pieces of tapes fit in a file beside some states; None: no limit of size."""
    if disk_bytes is None:
        return MAX_PIECES_IN_FILE
    room = max(0, disk_bytes - MAX_STATES * state_bytes)
    return min(MAX_PIECES_IN_FILE, room // max(1, piece_bytes))


def with_pieces(costs: Costs, ratio: float) -> Costs:
    """Return the costs where a piece of a tape takes `ratio` times as long to move as a state."""
    return replace(costs, piece_write=ratio * costs.write, piece_read=ratio * costs.read)


def tapes_in_file_seconds(schedule: TapesInFile, costs: Costs) -> float:
    """Return what playing a schedule takes, to a few per cent."""
    leaf = LeafCosts.of(costs, schedule.leaf_steps)
    leaves, moved = num_leaves(schedule.num_steps, schedule.leaf_steps), schedule.file_tapes
    beyond_end = leaves * schedule.leaf_steps - schedule.num_steps
    step = costs.advance + costs.record + costs.pull_back
    seconds = moved * sum(leaf_seconds(costs, schedule.leaf_steps, schedule.tape_pieces))
    seconds += (leaves - moved) * (leaf.keep + leaf.pull_back) - beyond_end * step
    states = schedule.kept_states * (
        costs.store + costs.post + (1 - 1 / costs.slowdown) * costs.write
    )
    return seconds + states + costs.turn


def best_with_tapes(cases: Iterable[Case], budget: Budget) -> Iterator[Candidate]:
    """Give the best schedule that has all tapes in the file, if they fit there and that can pay."""
    found = [candidate for case in cases if (candidate := _candidate(case, budget)) is not None]

    def seconds(candidate: Candidate) -> float:
        return candidate.seconds + budget.touching_of(candidate.schedule)

    if found:
        yield min(found, key=seconds)


def _candidate(case: Case, budget: Budget) -> Candidate | None:
    pieces, slots = budget.tape_pieces.get(case.leaf_steps, 0), case.num_slots
    tape = budget.tape_slots.get(case.leaf_steps, 0)
    if not pieces or not case.costs.piece_write or not 0 < tape < slots:
        return None
    schedule = TapesInFile(
        case.num_steps,
        slots,
        tape,
        costs=case.costs,
        tape_pieces=pieces,
        leaf_steps=case.leaf_steps,
    )
    fits = 0 < schedule.file_tapes * pieces <= budget.file_pieces
    if not fits or not tapes_pay(case.costs, case.leaf_steps, pieces):
        return None
    seconds = tapes_in_file_seconds(schedule, case.costs)
    reason = f"the tapes of {schedule.file_tapes:,} leaves to the file: no step is taken twice"
    return Candidate(schedule, seconds, reason, is_adaptive=True)
