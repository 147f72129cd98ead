"""The memory of a run's slots and tapes, from the first measured step to the last evaluation."""

import sys

from adjoint.driver import constants
from adjoint.steppers import Capabilities
from adjoint.storage.blocks import BlockPool
from adjoint.storage.state_layout import StateLayout
from adjoint.sweep.buffers import AdoptingBuffers, Buffers, CopyingBuffers

__all__ = ["Memory"]


class Memory:
    """Blocks for slots, and for tapes if these are the driver's to allocate.

    What has been touched stays, whatever the plan: the first touch of memory is slow.

    Parameters
    ----------
    capabilities
        Of the stepper.
    layout
        Of this rank's state.
    """

    def __init__(self, capabilities: Capabilities, layout: StateLayout) -> None:
        self._has = capabilities
        self._layout = layout
        scratch = capabilities.tape_memory
        self._tape_layout = None if scratch is None else StateLayout.of(scratch.make())
        """Of what the stepper is lent for tapes; None if it allocates them itself."""
        self._uncharged = 0
        """Bytes of what the stepper would have without us."""
        self._pool: BlockPool | None = None
        self._buffers: Buffers | None = None
        self._tapes: BlockPool | None = None
        """Where tapes come from: the same pool if they consist of states."""

    @property
    def peak_bytes(self) -> int:
        """The most bytes in use at once since `buffers`, without what the stepper has anyway."""
        return 0 if self._pool is None else max(0, self._pool.room.peak - self._uncharged)

    def tape_bytes(self, leaf_steps: int, *, kept: bool = False) -> int:
        """Return what the tape of a leaf takes: see `Capabilities.tape_bytes`.

        If it is in blocks that the stepper is lent, each is rounded up to cache lines.
        """
        size, layout = self._has.tape_bytes(leaf_steps, kept=kept), self._tape_layout
        if layout is None:
            return size
        each = sum(field.nbytes for field in layout.fields)
        return size + size // max(1, each) * (layout.memory_bytes - each)

    def num_slots(self, memory_bytes: int, leaf_steps: int) -> int:
        """Return how many slots fit beside the tape of a leaf; negative if that alone does not."""
        slot, tape, is_all = self._prices(memory_bytes, self.tape_bytes(leaf_steps))
        return (memory_bytes + constants.FREE_BYTES * is_all - tape) // slot

    def slots_of_a_tape(self, memory_bytes: int, leaf_steps: int) -> int:
        """Return how many of the slots that fit in so much memory a kept tape takes; at least 1."""
        slot, tape, _ = self._prices(memory_bytes, self.tape_bytes(leaf_steps, kept=True))
        return max(1, -(-tape // slot))

    def _prices(self, memory_bytes: int, tape: int) -> tuple[int, int, bool]:
        """Return the bytes of a slot and of a tape, and whether what Python takes is among them.

        It is not if it is less than `FREE_BYTES` for all blocks together.
        """
        slot, lent = max(1, self._layout.memory_bytes), self._tape_layout
        each = slot if lent is None else max(1, lent.memory_bytes)
        if memory_bytes // min(slot, each) * _object_bytes(self._layout) <= constants.FREE_BYTES:
            return slot, tape, False
        objects = 0 if lent is None else tape // each * _object_bytes(lent)
        return slot + _object_bytes(self._layout), tape + objects, True

    def buffers(self, num_slots: int, leaf_steps: int) -> Buffers:
        """Return the buffers, all slots empty, for so many slots and leaves of this size.

        Always the same object: it must not be in use any more. The stepper gets its memory, in case
        it has served another run meanwhile; its state is void until it is started.
        """
        if self._pool is None or self._buffers is None or self._tapes is None:
            self._pool = BlockPool(self._layout, 1)
            make = CopyingBuffers if self._has.adopting is None else AdoptingBuffers
            self._buffers = make(self._has.stepper, self._pool)
            self._tapes = self._pool
            if self._tape_layout is not None and self._tape_layout != self._layout:
                self._tapes = BlockPool(self._tape_layout, room=self._pool.room)
        pool, buffers, block = self._pool, self._buffers, self._layout.memory_bytes
        buffers.begin()
        if self._has.tape_memory is not None:
            self._has.tape_memory.use(self._tapes.lend, self._tapes.take_back)
        tape = self.tape_bytes(leaf_steps, kept=True)
        in_pool = tape if self._tape_layout == self._layout else 0
        self._uncharged = tape - self.tape_bytes(leaf_steps)
        if self._has.adopting is not None:
            self._uncharged += block
        # One more for the live state, or for a state that is read straight from the file.
        pool.resize(num_slots + 1 + in_pool // block if block else sys.maxsize)
        pool.room.limit, pool.room.peak = (num_slots + 1) * block + tape, 0
        buffers.tape_bytes = tape if self._tape_layout is None else 0
        return buffers

    def touch(self, num_slots: int) -> None:
        """Touch the memory of the live state and of so many slots for the first time."""
        if self._pool is not None:
            self._pool.touch(num_slots + (self._has.adopting is not None))

    def close(self) -> None:
        """Give back what the stepper is not in; from now on it allocates its own. Idempotent."""
        if self._has.tape_memory is not None:
            self._has.tape_memory.use_own()
        self._pool = self._buffers = self._tapes = None


def _object_bytes(layout: StateLayout) -> int:
    """Return what Python takes for the objects of a block, whatever their size."""
    return constants.BLOCK_OBJECT_BYTES + constants.ARRAY_OBJECT_BYTES * len(layout.fields)
