"""What a sweep may use: slots and file states, from bytes of memory and disk."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from adjoint.errors import ArgumentError
from adjoint.schedules import num_leaves
from adjoint.units import format_count

__all__ = ["Budget", "leaf_sizes"]


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
        return cls(playable, min(num_steps, file_states), tapes)


def leaf_sizes(num_steps: int, required: int | None) -> list[int]:
    """Return the leaf sizes worth pricing: the required one, or else a geometric sequence."""
    if required is not None:
        return [required]
    powers = [1 << k for k in range(num_steps.bit_length())]
    sizes = {*powers, *(3 * p // 2 for p in powers[1:]), num_steps, math.isqrt(num_steps)}
    return sorted(size for size in sizes if size <= num_steps)
