"""What memory and disk allow: the slots, file states and leaf sizes that a plan may use.

All ranks play the same schedule, so the rank with the least room decides. Every function is
collective.
"""

from dataclasses import replace

from adjoint.driver import constants
from adjoint.driver.machine_memory import memory_per_rank
from adjoint.driver.run import Run
from adjoint.driver.tapes_in_file import with_room_for_tapes
from adjoint.errors import ArgumentError
from adjoint.parallel import smallest
from adjoint.planning.budget import Budget, Room, leaf_sizes
from adjoint.planning.draft import leaf_by_sizes
from adjoint.schedules import Schedule

__all__ = [
    "find_budget",
    "find_leaf",
    "max_file_states",
    "memory_bytes",
    "required_bytes",
    "slots_of_a_tape",
]


def find_budget(run: Run, *, leaf_steps: int | None = None) -> Budget:
    """Return what a plan may use.

    With `leaf_steps`, only leaves of that size may be used; else those the stepper insists on, or
    any. The live state, which the stepper has without us, is not counted.

    Raises
    ------
    ArgumentError
        Memory or disk is too small for any schedule.
    """
    only = run.capabilities.leaf_steps if leaf_steps is None else leaf_steps
    return with_room_for_tapes(run, _budget(run, leaf_sizes(run.planned_steps, only)))


def find_leaf(run: Run) -> int:
    """Return the leaf for a stepper whose rounding depends on it.

    Raises
    ------
    ArgumentError
        As `find_budget` does.
    """
    has, n = run.capabilities, run.planned_steps
    usual = min(n, has.leaf_steps or 1)
    budget = _budget(run, sorted({usual, *leaf_sizes(n)}))
    return leaf_by_sizes(n, budget, usual, retakes=has.needs_last_state is not False)


def _budget(run: Run, leaves: list[int]) -> Budget:
    memory = memory_bytes(run)
    room = Room.of(
        leaves,
        memory,
        run.layout.memory_bytes,
        lambda leaf, kept: run.memory.tape_bytes(leaf, kept=kept),
        tape_block_bytes=run.memory.tape_block_bytes,
        num_arrays=run.memory.num_arrays,
        reserved_slots=_blocks_to_read(run),
    )
    rooms = run.comm.gather(room)
    budget = Budget.of(run.planned_steps, memory, rooms, file_states=max_file_states(run))
    return replace(budget, tape_slots={}) if run.capabilities.tape_is_first_state else budget


def max_file_states(run: Run) -> int:
    """Return how many states the file may hold at once; 0 without a file.

    Raises
    ------
    ArgumentError
        ``disk=`` has no room for one state.
    """
    if run.file is None:
        return 0
    most = constants.MAX_ROWS_OPEN_ENDED if run.num_steps is None else run.num_steps
    disk = run.options.disk_bytes
    if disk is None:
        return most
    row = sum(run.comm.gather(run.layout.block_bytes))
    journal = run.file.journal_bytes()
    if disk < row + journal:
        besides = f" besides {journal} for the journal" if journal else ""
        raise ArgumentError(f"disk={disk} bytes has no room for one state of {row} bytes{besides}")
    return min(most, (disk - journal) // row)


def slots_of_a_tape(run: Run, leaf_steps: int) -> int:
    """Return the slots that a kept tape takes, on the rank where it takes most; at least 1."""
    tape = run.memory.tape_bytes(leaf_steps, kept=True)
    return max(1, *run.comm.gather(-(-tape // max(1, run.layout.memory_bytes))))


def required_bytes(run: Run, schedule: Schedule) -> int:
    """Return the memory that a schedule takes, on the rank where it takes most."""
    tape = run.memory.tape_bytes(schedule.leaf_steps)
    blocks = schedule.num_slots + _blocks_to_read(run)
    return max(run.comm.gather(tape + blocks * run.layout.memory_bytes))


def memory_bytes(run: Run) -> int:
    """Return the memory allowed on this rank; by default this rank's part of what there is."""
    if run.options.memory_bytes is not None:
        return run.options.memory_bytes
    return smallest(memory_per_rank(run.comm) // constants.DEFAULT_MEMORY_SHARE, run.comm)


def _blocks_to_read(run: Run) -> int:
    """Return the blocks, besides slots, that a state is read into which cannot be adopted."""
    return int(run.file is not None and run.capabilities.adopting is None)
