"""What a sweep may use: slots and file states, from bytes of memory and disk."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from adjoint.errors import ArgumentError
from adjoint.schedules import Schedule, num_leaves
from adjoint.units import format_count

__all__ = ["SLOW_TOUCH", "Budget", "Room", "leaf_sizes"]

BLOCK_OBJECT_BYTES, ARRAY_OBJECT_BYTES = 1200, 256
"""What Python takes for a block, and for each of its arrays, whatever their size: 1,370 to 1,450
bytes were measured for a block of one array, 2,130 to 2,270 for one of four."""

FREE_BYTES = 16 << 20
"""Memory that objects may take beside the budget, as the interpreter and its libraries do."""

TOUCHED_QUICKLY = 1 << 30
SLOW_TOUCH = 0.4e9
"""Beyond so many bytes, so many a second can be touched for the first time: a virtual machine may
never have used them before, and gave 0.2 to 0.5 GB/s."""


@dataclass(frozen=True, slots=True)
class Room:
    """What the memory of one rank has room for, by leaf size."""

    slot_bytes: int
    tape_bytes: Mapping[int, int]
    """The tape of a leaf that is pulled back at once."""
    slots: Mapping[int, int]
    """Slots that fit beside it; negative if it does not fit itself."""
    tape_slots: Mapping[int, int]
    """Slots that a kept tape takes."""
    reserved_slots: int = 0
    """Slots that are taken by something else."""

    @classmethod
    def of(
        cls,
        leaves: Iterable[int],
        memory_bytes: int,
        slot_bytes: int,
        tape_bytes: Callable[[int, bool], int],
        *,
        tape_block_bytes: int = 0,
        num_arrays: int = 1,
        reserved_slots: int = 0,
    ) -> "Room":
        """Return what a memory has room for.

        Parameters
        ----------
        leaves
            Leaf sizes.
        memory_bytes
            Memory for all snapshots and tapes.
        slot_bytes
            What a state takes in memory; 0 for a rank without state.
        tape_bytes
            Returns the size of the tape of a leaf, given its steps and whether it is kept.
        tape_block_bytes
            Bytes of the blocks of memory that tapes consist of; 0 if the stepper allocates tapes.
        num_arrays
            Arrays of a block.
        reserved_slots
            Blocks of memory that are neither.
        """
        leaves, block, free, objects = list(leaves), max(1, slot_bytes), 0, 0
        # What Python takes for the blocks is not counted as long as it is little.
        takes = BLOCK_OBJECT_BYTES + ARRAY_OBJECT_BYTES * num_arrays
        if memory_bytes // min(block, tape_block_bytes or block) * takes > FREE_BYTES:
            free, objects = FREE_BYTES, takes

        def price(tape: int) -> int:
            return tape + (tape // tape_block_bytes * objects if tape_block_bytes else 0)

        tapes = {leaf: tape_bytes(leaf, False) for leaf in leaves}
        slots = {
            leaf: (memory_bytes + free - price(tape)) // (block + objects) - reserved_slots
            for leaf, tape in tapes.items()
        }
        kept = {
            leaf: max(1, -(-price(tape_bytes(leaf, True)) // (block + objects))) for leaf in leaves
        }
        return cls(slot_bytes, tapes, slots, kept, reserved_slots)

    def needed_bytes(self, leaf_steps: int, num_slots: int) -> int:
        """Return the memory for leaves of a size and so many slots."""
        slots = num_slots + self.reserved_slots
        return self.tape_bytes[leaf_steps] + slots * self.slot_bytes


@dataclass(frozen=True, slots=True)
class Budget:
    """What a sweep may use: the same on every rank."""

    slots: Mapping[int, int]
    """Leaf size -> slots that fit in memory beside the tape of such a leaf, on the rank with the
    fewest. Only leaf sizes that can be played: those with a slot, or that need none."""
    file_states: int = 0
    """Snapshots that the file may hold at once; 0 without a file."""
    tape_slots: Mapping[int, int] = field(default_factory=dict)
    """Leaf size -> slots that each tape takes that is kept beside that of the leaf being reversed.
    Leaf sizes that are not in it keep no tapes."""
    tape_pieces: Mapping[int, int] = field(default_factory=dict)
    """Leaf size -> pieces of a tape in the file; none for those whose tapes cannot go there."""
    file_pieces: int = 0
    """Pieces of tapes that the file may hold at once."""
    retaking_leaf: int | None = None
    """The leaf size of schedules that take steps again, if sweeps have shown which is best; None
    for the best by costs."""
    slot_bytes: int = 0
    """Memory of a slot, on the rank where it takes most."""
    touch_speed: float = math.inf
    """Bytes of new memory that can be touched in a second."""
    evaluations: int = 1
    """Evaluations over which the first touch of memory is spread."""

    @classmethod
    def of(
        cls, num_steps: int, memory_bytes: int, rooms: Sequence[Room], *, file_states: int = 0
    ) -> "Budget":
        """Return what all ranks have room for; the rank with the least decides.

        Parameters
        ----------
        num_steps
            Steps of the run.
        memory_bytes
            Of each rank, for an error to name.
        rooms
            What the memory of each rank has room for.
        file_states
            Snapshots that the file may hold; 0 without one.

        Raises
        ------
        ArgumentError
            The memory holds too few slots beside the tape of any leaf: one, two with a file.
        """
        slots = {leaf: min(room.slots[leaf] for room in rooms) for leaf in rooms[0].slots}
        least = {
            leaf: 0 if num_leaves(num_steps, leaf) == 1 else 1 + (file_states > 0) for leaf in slots
        }
        playable = {leaf: count for leaf, count in slots.items() if count >= least[leaf]}
        if not playable:
            leaf = min(slots)
            needed = max(room.needed_bytes(leaf, least[leaf]) for room in rooms)
            where = " on the rank with the largest state" if len(rooms) > 1 else ""
            raise ArgumentError(
                f"memory={memory_bytes} bytes is too little: the tape of "
                f"{format_count(leaf, 'step')} and {format_count(least[leaf], 'slot')} take "
                f"{needed} bytes{where}"
            )
        tapes = {leaf: max(room.tape_slots[leaf] for room in rooms) for leaf in playable}
        block = max(room.slot_bytes for room in rooms)
        return cls(playable, min(num_steps, file_states), tapes, slot_bytes=block)

    def touching_of(self, schedule: Schedule) -> float:
        """Return what each evaluation by a schedule takes to touch its memory, in seconds."""
        return self.touching(schedule.num_slots + self.tape_slots.get(schedule.leaf_steps, 0))

    def touching(self, slots: int) -> float:
        """Return what each evaluation takes to touch the memory of so many slots, in seconds."""
        if math.isinf(self.touch_speed):
            return 0.0
        size = slots * self.slot_bytes
        quickly, slowly = min(size, TOUCHED_QUICKLY), max(0, size - TOUCHED_QUICKLY)
        seconds = quickly / self.touch_speed + slowly / min(self.touch_speed, SLOW_TOUCH)
        return seconds / self.evaluations


def leaf_sizes(num_steps: int, required: int | None = None) -> list[int]:
    """Return the leaf sizes worth pricing: the required one, or else a geometric sequence."""
    if required is not None:
        return [required]
    powers = [1 << k for k in range(num_steps.bit_length())]
    sizes = {*powers, *(3 * p // 2 for p in powers[1:]), num_steps, math.isqrt(num_steps)}
    return sorted(size for size in sizes if size <= num_steps)
