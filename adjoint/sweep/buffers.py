"""The state-sized memory of a sweep: which block holds which snapshot, and which is live.

A schedule's slots are blocks of memory here. There are two ways to fill one. A stepper that adopts
memory (`adjoint.steppers.protocol.Adopting`) computes in the sweep's own blocks: storing a state
pins the block that it is in, and the next advance ends in another one, so nothing is copied. For
any other stepper a state is copied out and in.

The blocks come from a `BlockPool` of ``num_slots + 1``: the additional one is for the live state of
a stepper that adopts, or for a state that another stepper reads straight from the file. Memory of
a block that is never used is never touched.
"""

from collections.abc import Callable
from typing import Protocol, cast

from adjoint.errors import ScheduleError
from adjoint.steppers.protocol import Adopting, Arrays, Restorable, Stepper, copy_arrays
from adjoint.storage.blocks import Block, BlockPool

__all__ = ["AdoptingBuffers", "Buffers", "CopyingBuffers"]


class Buffers(Protocol):
    """The snapshots in slots and the live state, and how one becomes the other."""

    slots: dict[int, Block]
    """Step -> the block that holds its state."""

    @property
    def live(self) -> Arrays:
        """The arrays of the live state."""
        ...

    def store(self, step: int) -> None:
        """Keep the live state, at `step`, in a slot."""
        ...

    def advance(self, start: int, stop: int, cost: float | None) -> float | None:
        """Advance the stepper, leaving every slot as it is."""
        ...

    def record(
        self, start: int, stop: int, cost: float | None, *, reach_stop: bool
    ) -> float | None:
        """Record on the stepper, leaving every slot as it is."""
        ...

    def restore(self, step: int) -> None:
        """Make the snapshot in the slot of `step` the live state; it stays in the slot."""
        ...

    def fill(self, step: int) -> Block:
        """Take a slot for `step` and return its block, for a read to fill."""
        ...

    def receive(self, step: int, read: Callable[[Block], None]) -> None:
        """Make what `read` puts in a block the live state, at `step`. No slot is used."""
        ...

    def discard(self, step: int) -> None:
        """Release the slot of `step`; its block is free once no transfer uses it."""
        ...

    def clear(self) -> None:
        """Release every slot."""
        ...

    def release(self) -> None:
        """Release every slot, and leave the stepper with memory of its own again."""
        ...


class CopyingBuffers:
    """Slots for a stepper that computes in memory of its own: a state is copied out and in."""

    def __init__(self, stepper: Stepper, pool: BlockPool) -> None:
        self.slots: dict[int, Block] = {}
        self._stepper = stepper
        self._pool = pool
        self._restored = stepper.restored if isinstance(stepper, Restorable) else None

    @property
    def live(self) -> Arrays:
        return self._stepper.state

    def store(self, step: int) -> None:
        copy_arrays(self._stepper.state, self.fill(step).arrays)

    def advance(self, start: int, stop: int, cost: float | None) -> float | None:
        return self._stepper.advance(start, stop, cost=cost)

    def record(
        self, start: int, stop: int, cost: float | None, *, reach_stop: bool
    ) -> float | None:
        return self._stepper.record(start, stop, cost=cost, reach_stop=reach_stop)

    def restore(self, step: int) -> None:
        copy_arrays(self.slots[step].arrays, self._stepper.state)
        if self._restored is not None:
            self._restored(step)

    def receive(self, step: int, read: Callable[[Block], None]) -> None:
        read(self.fill(step))
        self.restore(step)
        self.discard(step)

    def fill(self, step: int) -> Block:
        if step in self.slots:
            raise ScheduleError(
                f"state {step} is in a slot already: discard it before storing it again"
            )
        block = self.slots[step] = self._pool.take()
        return block

    def discard(self, step: int) -> None:
        self._pool.give_back(self.slots.pop(step))

    def clear(self) -> None:
        for step in list(self.slots):
            self.discard(step)

    def release(self) -> None:
        self.clear()


class AdoptingBuffers:
    """Slots for a stepper that computes in the memory it is given: no state is copied.

    The live block is *pinned* while it is a slot as well: it must not change until that slot is
    released, so the stepper advances into another block.
    """

    def __init__(self, stepper: Stepper, pool: BlockPool) -> None:
        self.slots: dict[int, Block] = {}
        self._stepper = stepper
        self._adopting = cast(Adopting, stepper)
        self._pool = pool
        self._pinned = False
        self._home: Arrays = dict(stepper.state)
        self._live = pool.take()
        copy_arrays(stepper.state, self._live.arrays)
        self._adopting.adopt(self._live.arrays)

    @property
    def live(self) -> Arrays:
        return self._live.arrays

    def store(self, step: int) -> None:
        if self._pinned or step in self.slots:
            raise ScheduleError(
                f"state {step} is in a slot already: discard it before storing it again"
            )
        self.slots[step] = self._live
        self._pinned = True

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

    def record(
        self, start: int, stop: int, cost: float | None, *, reach_stop: bool
    ) -> float | None:
        if self._pinned:
            block = self._pool.take()
            copy_arrays(self._live.arrays, block.arrays)
            self._adopting.adopt(block.arrays)
            self._live = block
            self._pinned = False
        return self._stepper.record(start, stop, cost=cost, reach_stop=reach_stop)

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

    def fill(self, step: int) -> Block:
        if step in self.slots:
            raise ScheduleError(
                f"state {step} is in a slot already: discard it before reading it again"
            )
        block = self.slots[step] = self._pool.take()
        return block

    def discard(self, step: int) -> None:
        block = self.slots.pop(step)
        if block is self._live:
            self._pinned = False
            if block.is_lost:
                self._leave_lost()
        else:
            self._pool.give_back(block)

    def _leave_lost(self) -> None:
        """Move the live state out of a block that an overdue transfer may still use."""
        lost = self._live
        self._pool.give_back(lost)
        self._live = self._pool.take()
        copy_arrays(lost.arrays, self._live.arrays)
        self._adopting.adopt(self._live.arrays)

    def clear(self) -> None:
        for step in list(self.slots):
            self.discard(step)

    def release(self) -> None:
        self.clear()
        copy_arrays(self._live.arrays, self._home)
        self._adopting.adopt(self._home)
