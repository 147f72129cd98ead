"""What tapes take in the file: of a stepper that shows them, on all ranks.

Every function is collective.
"""

from collections.abc import Iterable
from dataclasses import replace

from adjoint.driver.run import Run
from adjoint.errors import ArgumentError, StepperError
from adjoint.planning.budget import Budget
from adjoint.planning.tapes import max_pieces
from adjoint.schedules import Schedule
from adjoint.schedules.tapes_in_file.parameters import tape_pieces
from adjoint.storage.row_keys import MAX_PIECES
from adjoint.storage.state_layout import StateLayout

__all__ = ["check_pieces", "with_room_for_tapes"]


def with_room_for_tapes(run: Run, budget: Budget) -> Budget:
    """Return the budget with what tapes take in the file, and how much of it there may be.

    Raises
    ------
    StepperError
        A tape has no pieces, or other numbers of them on other ranks.
    """
    piece = run.memory.piece_layout
    if not all(run.comm.gather(piece is not None)) or piece is None:
        return budget
    if run.file is None or run.num_steps is None or not budget.file_states:
        return budget
    return replace(
        budget, tape_pieces=_pieces(run, budget.slots), file_pieces=_max_pieces(run, piece)
    )


def check_pieces(run: Run, schedule: Schedule) -> None:
    """Raise `ArgumentError`, on every rank, unless a given schedule knows how tapes are written."""
    pieces, leaf = tape_pieces(schedule), schedule.leaf_steps
    if not pieces:
        return
    piece = run.memory.piece_layout
    if not all(run.comm.gather(piece is not None)) or piece is None:
        raise ArgumentError(
            f"{schedule!r} keeps tapes in the file, which {type(run.stepper).__name__} cannot: it "
            "has no tape_pieces, release_tape and restore_tape"
        )
    needed = _pieces(run, [leaf])[leaf]
    if pieces != needed:
        raise ArgumentError(
            f"{schedule!r} counts {pieces} pieces for a tape that consists of {needed}: make it "
            f"with tape_pieces={needed}"
        )
    if run.options.disk_bytes is not None and schedule.file_states > _max_pieces(run, piece):
        raise ArgumentError(
            f"the schedule keeps {schedule.file_states} states and pieces of tapes in the file, "
            f"disk={run.options.disk_bytes} bytes has room for {_max_pieces(run, piece)}"
        )


def _max_pieces(run: Run, piece: StateLayout) -> int:
    """Return how many pieces of tapes the file may hold, beside some states."""
    assert run.file is not None
    disk = run.options.disk_bytes
    if disk is not None:
        disk -= run.file.journal_bytes()
    sizes = run.comm.gather((run.layout.block_bytes, piece.block_bytes))
    return max_pieces(disk, *map(sum, zip(*sizes, strict=True)))


def _pieces(run: Run, leaves: Iterable[int]) -> dict[int, int]:
    """Return the pieces of a tape by leaf size, for those that may be in the file."""
    own = {leaf: run.capabilities.tape_pieces(leaf) for leaf in leaves}
    ranks = run.comm.gather(own)
    if any(other != own for other in ranks) or min(own.values()) < 1:
        found = [other[min(own)] for other in ranks]
        raise StepperError(
            f"tape_pieces({min(own)}) is {', '.join(map(str, found))} on the ranks: it must be at "
            "least 1, and the same on all"
        )
    return {leaf: count for leaf, count in own.items() if count <= MAX_PIECES}
