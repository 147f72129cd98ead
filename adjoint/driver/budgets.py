"""What memory and disk allow: the slots, file states and leaf sizes that a plan may use.

All ranks play the same schedule, so the rank with the least room decides. Every function is
collective.
"""

from collections.abc import Sequence

from adjoint.driver import constants
from adjoint.driver.machine_memory import memory_per_rank
from adjoint.driver.run import Run
from adjoint.driver.tapes_in_file import with_room_for_tapes
from adjoint.errors import ArgumentError
from adjoint.parallel import smallest
from adjoint.planning.budget import Budget, leaf_sizes
from adjoint.schedules import Schedule, num_leaves
from adjoint.units import format_count

__all__ = ["find_budget", "max_file_states", "required_bytes", "slots_of_a_tape"]


def find_budget(run: Run, *, leaf_steps: int | None = None) -> Budget:
    """Return what a plan may use.

    With `leaf_steps`, only leaves of that size may be used; else those the stepper insists on, or
    any. The live state, which the stepper has without us, is not counted.

    Raises
    ------
    ArgumentError
        Memory or disk is too small for any schedule.
    """
    memory = _memory_bytes(run)
    only = run.capabilities.leaf_steps if leaf_steps is None else leaf_steps
    sizes = leaf_sizes(_assumed_steps(run), only)
    slots = _slots_by_leaf(run, memory, sizes)
    if not slots:
        raise _too_small(run, memory, sizes[0])
    tapes = {leaf: slots_of_a_tape(run, leaf) for leaf in slots}
    block = max(run.comm.gather(run.layout.memory_bytes))
    budget = Budget(slots, max_file_states(run), tapes, slot_bytes=block)
    return with_room_for_tapes(run, budget)


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
    return max(1, *run.comm.gather(-(-tape // _slot_bytes(run))))


def required_bytes(run: Run, schedule: Schedule) -> int:
    """Return the memory that a schedule takes, on the rank where it takes most."""
    tape = run.memory.tape_bytes(schedule.leaf_steps)
    blocks = schedule.num_slots + _blocks_to_read(run)
    return max(run.comm.gather(tape + blocks * run.layout.memory_bytes))


def _memory_bytes(run: Run) -> int:
    if run.options.memory_bytes is not None:
        return run.options.memory_bytes
    return smallest(memory_per_rank(run.comm) // constants.DEFAULT_MEMORY_SHARE, run.comm)


def _slots_by_leaf(run: Run, memory: int, sizes: Sequence[int]) -> dict[int, int]:
    """Return the slots beside the tape of a leaf, by leaf size, for those that leave enough."""
    besides = _blocks_to_read(run)
    ranks = run.comm.gather([run.memory.num_slots(memory, leaf) - besides for leaf in sizes])
    tightest = [min(slots) for slots in zip(*ranks, strict=True)]
    return {
        leaf: slots
        for leaf, slots in zip(sizes, tightest, strict=True)
        if slots >= _min_slots(run, leaf)
    }


def _min_slots(run: Run, leaf_steps: int) -> int:
    if num_leaves(_assumed_steps(run), leaf_steps) == 1:
        return 0
    return 1 if run.file is None else 2


def _blocks_to_read(run: Run) -> int:
    """Return the blocks, besides slots, that a state is read into which cannot be adopted."""
    return int(run.file is not None and run.capabilities.adopting is None)


def _slot_bytes(run: Run) -> int:
    return max(1, run.layout.memory_bytes)


def _assumed_steps(run: Run) -> int:
    return constants.ASSUMED_STEPS if run.num_steps is None else run.num_steps


def _too_small(run: Run, memory: int, leaf_steps: int) -> ArgumentError:
    slots = _min_slots(run, leaf_steps)
    blocks = slots + _blocks_to_read(run)
    needed = run.memory.tape_bytes(leaf_steps) + blocks * run.layout.memory_bytes
    return ArgumentError(
        f"memory={memory} bytes is too little: the tape of {format_count(leaf_steps, 'step')} and "
        f"{format_count(slots, 'slot')} take {max(run.comm.gather(needed))} bytes on the rank with "
        "the largest state"
    )
