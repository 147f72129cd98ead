"""The memory of a run's slots and tapes, from the first measured step to the last evaluation."""

import sys

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
        self._tape_layout: StateLayout | None = None
        """Of what the stepper is lent for tapes; None if it allocates them itself."""
        self.find_tapes()
        self._uncharged = 0
        """Bytes of what the stepper would have without us."""
        self._pool: BlockPool | None = None
        self._buffers: Buffers | None = None
        self._tapes: BlockPool | None = None
        """Where tapes come from: the same pool if they consist of states."""

    def find_tapes(self) -> None:
        """Find out what tapes consist of. Nothing has been allocated yet."""
        scratch = self._has.tape_memory
        self._tape_layout = None if scratch is None else StateLayout.of(scratch.make())

    @property
    def piece_layout(self) -> StateLayout | None:
        """Layout of a piece of a tape; None if tapes cannot go to the file."""
        return self._tape_layout if self._has.shows_tapes else None

    @property
    def peak_bytes(self) -> int:
        """The most bytes in use at once since `buffers`, without what the stepper has anyway."""
        return 0 if self._pool is None else max(0, self._pool.room.peak - self._uncharged)

    @property
    def touched_bytes(self) -> int:
        """The bytes of new memory that have been touched so far."""
        return 0 if self._pool is None else self._pool.room.touched_bytes

    @property
    def touch_seconds(self) -> float:
        """What that took."""
        return 0.0 if self._pool is None else self._pool.room.touch_seconds

    def tape_bytes(self, leaf_steps: int, *, kept: bool = False) -> int:
        """Return what the tape of a leaf takes: see `Capabilities.tape_bytes`.

        If it is in blocks that the stepper is lent, each is rounded up to cache lines.
        """
        size, layout = self._has.tape_bytes(leaf_steps, kept=kept), self._tape_layout
        if layout is None:
            return size
        each = sum(field.nbytes for field in layout.fields)
        return size + size // max(1, each) * (layout.memory_bytes - each)

    @property
    def tape_block_bytes(self) -> int:
        """Bytes of the blocks that the stepper is lent for tapes; 0 if it allocates its own."""
        return 0 if self._tape_layout is None else max(1, self._tape_layout.memory_bytes)

    @property
    def num_arrays(self) -> int:
        """Arrays of a block."""
        return len(self._layout.fields)

    @property
    def tapes_are_states(self) -> bool:
        """Whether tapes are blocks as slots are."""
        return self._tape_layout == self._layout

    def buffers(self, num_slots: int, leaf_steps: int, *, pieces: int | None = None) -> Buffers:
        """Return the buffers, all slots empty, for so many slots and leaves of this size.

        Of tapes that consist of pieces, no more than `pieces` are in memory at once, those being
        written or read included.
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
        buffers.tape_pool = self._tapes
        if self._tapes is not pool:
            self._tapes.resize(sys.maxsize if pieces is None else pieces)
        if self._has.tape_memory is not None:
            self._has.tape_memory.use(self._tapes.lend, self._tapes.take_back)
        tape = self.tape_bytes(leaf_steps, kept=True)
        in_pool = tape if self.tapes_are_states else 0
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
