"""The state-sized memory of a sweep: which block holds which snapshot, and which is live.

A schedule's slots are blocks of memory here. There are two ways to fill one. A stepper that adopts
memory (`adjoint.steppers.protocol.Adopting`) computes in the sweep's own blocks: storing a state
pins the block that it is in, and the next advance ends in another one, so nothing is copied. For
any other stepper a state is copied out and in.

The blocks come from a `BlockPool`, and so do tapes that consist of states (`Scratch`). It has one
more block than slots and tape take: for the live state of a stepper that adopts, or for a state
that another stepper reads straight from the file. Memory of a block that is never used is never
touched.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

from adjoint.errors import ScheduleError
from adjoint.steppers.protocol import Adopting, Arrays, Restorable, Stepper, copy_arrays
from adjoint.storage.blocks import Block, BlockPool

__all__ = ["AdoptingBuffers", "Buffers", "CopyingBuffers"]


class Buffers(ABC):
    """The snapshots in slots, the live state and the tapes, and how one becomes the other.

    Parameters
    ----------
    stepper
        What is stepped.
    pool
        Where the blocks come from.
    tape_bytes
        Memory of one leaf's tape that the stepper allocates itself: idle blocks make room for it.
    """

    def __init__(self, stepper: Stepper, pool: BlockPool, tape_bytes: int = 0) -> None:
        self.slots: dict[int, Block] = {}
        """Step -> the block that holds its state."""
        self.tape_bytes = tape_bytes
        self._stepper = stepper
        self._pool = pool
        self._room = pool.room
        self._tapes = 0
        """Tapes that are alive."""
        self._pinned = False
        """Whether the live state is in the memory of a slot."""

    # -- steps --------------------------------------------------------------------------------

    @property
    @abstractmethod
    def live(self) -> Arrays:
        """The arrays of the live state."""

    @abstractmethod
    def advance(self, start: int, stop: int, cost: float | None) -> float | None:
        """Advance the stepper, leaving every slot as it is."""

    def record(
        self, start: int, stop: int, cost: float | None, *, reach_stop: bool
    ) -> float | None:
        """Record on the stepper, leaving every slot as it is."""
        if self._pinned:
            self._unpin()
        if self.tape_bytes:
            self._room.make_tape(self.tape_bytes)
        self._tapes += 1
        return self._stepper.record(start, stop, cost=cost, reach_stop=reach_stop)

    def pull_back(self, start: int, stop: int) -> None:
        """Pull back on the stepper."""
        self._stepper.pull_back(start, stop)
        self._tapes -= 1
        if self.tape_bytes:
            self._room.drop_tape(self.tape_bytes)

    def abandon_tapes(self) -> None:
        """Leave the stepper the tapes that are alive, with their memory: they are of no use."""
        if self._tapes:
            self._forget_tapes()
            self._pool.write_off(len(self.slots))

    # -- slots --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Release every slot, before the stepper is started."""
        self.clear()

    @abstractmethod
    def store(self, step: int) -> None:
        """Keep the live state, at `step`, in a slot."""

    @abstractmethod
    def restore(self, step: int) -> None:
        """Make the snapshot in the slot of `step` the live state; it stays in the slot."""

    def fill(self, step: int) -> Block:
        """Take a slot for `step` and return its block, for a read to fill."""
        self._require_new(step)
        block = self.slots[step] = self._pool.take()
        return block

    @abstractmethod
    def receive(self, step: int, read: Callable[[Block], None]) -> None:
        """Make what `read` puts in a block the live state, at `step`. No slot is used."""

    def discard(self, step: int) -> None:
        """Release the slot of `step`; its block is free once no transfer uses it."""
        self._pool.give_back(self.slots.pop(step))

    def clear(self) -> None:
        """Release every slot, and forget the tapes."""
        for step in list(self.slots):
            self.discard(step)
        self._forget_tapes()

    # -- inside -------------------------------------------------------------------------------

    def _require_new(self, step: int) -> None:
        if step in self.slots:
            raise ScheduleError(
                f"state {step} is in a slot already: discard it before storing it again"
            )

    def _unpin(self) -> None:  # noqa: B027 (only memory that a stepper adopts is pinned)
        """Move the live state out of the memory of a slot."""

    def _forget_tapes(self) -> None:
        self._room.drop_tape(self._tapes * self.tape_bytes)
        self._tapes = 0


class CopyingBuffers(Buffers):
    """Slots for a stepper that computes in memory of its own: a state is copied out and in."""

    def __init__(self, stepper: Stepper, pool: BlockPool, tape_bytes: int = 0) -> None:
        super().__init__(stepper, pool, tape_bytes)
        self._restored = stepper.restored if isinstance(stepper, Restorable) else None

    @property
    def live(self) -> Arrays:
        return self._stepper.state

    def advance(self, start: int, stop: int, cost: float | None) -> float | None:
        return self._stepper.advance(start, stop, cost=cost)

    def store(self, step: int) -> None:
        copy_arrays(self._stepper.state, self.fill(step).arrays)

    def restore(self, step: int) -> None:
        copy_arrays(self.slots[step].arrays, self._stepper.state)
        if self._restored is not None:
            self._restored(step)

    def receive(self, step: int, read: Callable[[Block], None]) -> None:
        read(self.fill(step))
        self.restore(step)
        self.discard(step)


class AdoptingBuffers(Buffers):
    """Slots for a stepper that computes in the memory it is given: no state is copied.

    The live block is *pinned* while it is a slot as well: it must not change until that slot is
    released, so the stepper advances into another block. The first of them takes the place of the
    memory that the stepper had, once and for all.
    """

    def __init__(self, stepper: Stepper, pool: BlockPool, tape_bytes: int = 0) -> None:
        super().__init__(stepper, pool, tape_bytes)
        self._adopting = cast(Adopting, stepper)
        self._live = pool.take()
        copy_arrays(stepper.state, self._live.arrays)
        self._adopting.adopt(self._live.arrays)

    @property
    def live(self) -> Arrays:
        return self._live.arrays

    def begin(self) -> None:
        super().begin()
        self._live.settle()  # an interrupted run may have left a read into it
        self._adopting.adopt(self._live.arrays)

    def advance(self, start: int, stop: int, cost: float | None) -> float | None:
        if not self._pinned:
            return self._stepper.advance(start, stop, cost=cost)
        block = self._pool.take()
        try:
            total = self._adopting.advance(start, stop, cost=cost, out=block.arrays)
        except BaseException:
            self._pool.give_back(block)
            raise
        self._live = block
        self._pinned = False
        return total

    def store(self, step: int) -> None:
        self._require_new(step)
        if self._pinned:
            raise ScheduleError(f"the live state, to be stored as {step}, is in a slot already")
        self.slots[step] = self._live
        self._pinned = True

    def restore(self, step: int) -> None:
        if not self._pinned:
            self._pool.give_back(self._live)
        self._live = self.slots[step]
        self._pinned = True
        self._adopting.adopt(self._live.arrays)

    def receive(self, step: int, read: Callable[[Block], None]) -> None:
        del step
        if self._pinned:
            self._live = self._pool.take()
            self._pinned = False
        read(self._live)
        if self._live.is_lost:
            self._leave_lost()
        self._adopting.adopt(self._live.arrays)

    def discard(self, step: int) -> None:
        block = self.slots.pop(step)
        if block is self._live:
            block.settle()  # the stepper goes on in it: a write must not see it change
            self._pinned = False
            if block.is_lost:
                self._leave_lost()
        else:
            self._pool.give_back(block)

    def _unpin(self) -> None:
        self._move(self._live)

    def _leave_lost(self) -> None:
        """Move the live state out of a block that an overdue transfer may still use."""
        lost = self._live
        self._pool.give_back(lost)
        self._move(lost)

    def _move(self, block: Block) -> None:
        """Go on in another block, with the content of this one."""
        self._live = self._pool.take()
        copy_arrays(block.arrays, self._live.arrays)
        self._adopting.adopt(self._live.arrays)
        self._pinned = False
