"""The memory of a run's slots and tapes, from the first measured step to the last evaluation."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

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
    def piece_layout(self) -> StateLayout | None:
        """Layout of a piece of a tape; None if tapes cannot go to the file."""
        return self._tape_layout if self._has.shows_tapes else None

    @property
    def peak_bytes(self) -> int:
        """The most bytes in use at once since `buffers`, without what the stepper has anyway."""
        return 0 if self._pool is None else max(0, self._pool.room.peak - self._uncharged)

    def tape_bytes(self, leaf_steps: int, *, kept: bool = False) -> int:
        """Return what the tape of a leaf takes: see `Capabilities.tape_bytes`."""
        size = self._has.tape_bytes(leaf_steps, kept=kept)
        if self._tape_layout == self._layout:  # in blocks, each of which holds a state
            state = sum(field.nbytes for field in self._layout.fields)
            return -(-size // max(1, state)) * self._layout.memory_bytes
        return size

    def num_slots(self, memory_bytes: int, leaf_steps: int) -> int:
        """Return how many slots fit beside the tape of a leaf; negative if that alone does not."""
        block, tape = max(1, self._layout.memory_bytes), self.tape_bytes(leaf_steps)
        fit = (memory_bytes - tape) // block
        if self._tape_layout != self._layout:
            tape = 0
        # What arrays are to Python is not counted as long as it is little.
        blocks = (memory_bytes + constants.FREE_BYTES) // (block + constants.OBJECT_BYTES)
        return min(fit, blocks - tape // block)

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
        in_pool = tape if self._tape_layout == self._layout else 0
        self._uncharged = tape - self.tape_bytes(leaf_steps)
        if self._has.adopting is not None:
            self._uncharged += block
        # One more for the live state, or for a state that is read straight from the file.
        pool.resize(num_slots + 1 + in_pool // block if block else sys.maxsize)
        pool.room.limit, pool.room.peak = (num_slots + 1) * block + tape, 0
        buffers.tape_bytes = tape if self._tape_layout is None else 0
        return buffers

    @contextmanager
    def in_use(self) -> Generator[None, None, None]:
        """Forget all blocks if the user ends what is done meanwhile, as by Ctrl-C.

        That may happen between any two instructions, so some blocks may be in nobody's hands.
        """
        try:
            yield
        except Exception:
            raise
        except BaseException:
            self._pool = self._buffers = self._tapes = None
            raise

    def touch(self, num_slots: int) -> None:
        """Touch the memory of the live state and of so many slots for the first time."""
        if self._pool is not None:
            self._pool.touch(num_slots + (self._has.adopting is not None))

    def close(self) -> None:
        """Give back what the stepper is not in; from now on it allocates its own."""
        if self._buffers is not None:
            self._buffers.clear()
        if self._has.tape_memory is not None:
            self._has.tape_memory.use_own()
        self._pool = self._buffers = self._tapes = None
