"""What a sweep may use: slots and file states, from bytes of memory and disk."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from adjoint.errors import ArgumentError
from adjoint.schedules import Schedule, num_leaves
from adjoint.units import format_count

__all__ = ["SLOW_TOUCH", "Budget", "leaf_sizes"]

CACHE_SHARE = 1 / 4
"""Share of the last level of cache that the tape of a leaf may take to be still there when it is
pulled back: the rest is for what steps use besides, and for other cores."""

SLOTS_PER_LEAF_STEP = 8 / 3
"""A leaf has so many slots for each of its steps at the least: its tape takes memory from them."""

TOUCHED_QUICKLY = 1 << 30
SLOW_TOUCH = 0.4e9
"""Beyond so many bytes, so many a second can be touched for the first time: a virtual machine may
never have used them before, and gave 0.2 to 0.5 GB/s."""


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
    """The leaf size of schedules that take steps again for each leaf; None for the best by costs.
    What such a step takes depends on where its state is, which no costs say."""
    slot_bytes: int = 0
    """Memory of a slot, on the rank where it takes most."""
    touch_speed: float = math.inf
    """Bytes of new memory that can be touched in a second."""
    evaluations: int = 1
    """Evaluations over which the first touch of memory is spread."""

    @classmethod
    def of(
        cls,
        num_steps: int,
        *,
        memory_bytes: int,
        state_bytes: int,
        tape_bytes: Callable[[int], int],
        disk_bytes: int | None = 0,
        leaf_steps: int | None = None,
    ) -> "Budget":
        """Return what fits into memory and disk, in one process.

        Parameters
        ----------
        num_steps
            Steps of the run.
        memory_bytes
            Memory for all snapshots and tapes.
        state_bytes
            Size of one state.
        tape_bytes
            Returns the size of the tape of a leaf, given its steps.
        disk_bytes
            Size of the file: 0 without one, None without a limit.
        leaf_steps
            The leaf size that the stepper requires, if it does.

        Raises
        ------
        ArgumentError
            The memory holds no slot beside the tape of the smallest leaf.
        """
        sizes = leaf_sizes(num_steps, leaf_steps)
        slots = {leaf: (memory_bytes - tape_bytes(leaf)) // state_bytes for leaf in sizes}
        playable = {
            leaf: count
            for leaf, count in slots.items()
            if count >= min(1, num_leaves(num_steps, leaf) - 1)
        }
        if not playable:
            raise ArgumentError(
                f"memory={memory_bytes} bytes is too little: the tape of "
                f"{format_count(sizes[0], 'step')} and one slot take "
                f"{tape_bytes(sizes[0]) + state_bytes} bytes"
            )
        file_states = num_steps if disk_bytes is None else disk_bytes // state_bytes
        tapes = {leaf: max(1, math.ceil(tape_bytes(leaf) / state_bytes)) for leaf in playable}
        return cls(playable, min(num_steps, file_states), tapes, slot_bytes=state_bytes)

    def cached_leaf(self, cache_bytes: int) -> int:
        """Return the leaf size for steps that are taken again only for the leaf that they are in.

        The largest whose tape stays in a cache of this size until it is pulled back, and that
        leaves enough slots. Taking such steps costs little then, and each leaf that is set out to
        costs what it takes to fetch its first state.
        """
        room = CACHE_SHARE * cache_bytes
        fitting = [
            leaf
            for leaf, slots in self.slots.items()
            if self.tape_slots.get(leaf, leaf) * self.slot_bytes <= room
            and leaf * SLOTS_PER_LEAF_STEP <= slots
        ]
        return max(fitting, default=min(self.slots))

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


def leaf_sizes(num_steps: int, required: int | None) -> list[int]:
    """Return the leaf sizes worth pricing: the required one, or else a geometric sequence."""
    if required is not None:
        return [required]
    powers = [1 << k for k in range(num_steps.bit_length())]
    sizes = {*powers, *(3 * p // 2 for p in powers[1:]), num_steps, math.isqrt(num_steps)}
    return sorted(size for size in sizes if size <= num_steps)
