"""Memory for states: blocks of bytes that contain a state's arrays, and a pool of them.

A slot of the schedule is one block; a stepper may compute in a block, and a transfer moves one. The
first touch of new memory is slow, so it is timed apart, and blocks are reused, the most recently
used one first, while it is in the cache. No block is made before it is used, so a pool may be
larger than a run needs.
"""

import mmap
import sys
import time
from collections import deque
from collections.abc import Iterable
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ScheduleError
from adjoint.steppers.mappings import StateArrays
from adjoint.storage.engines.transfer import Transfer
from adjoint.storage.state_layout import PAGE_BYTES, StateLayout

__all__ = ["Block", "BlockPool", "Room"]

ARENA_BYTES = 2 << 20
"""Memory that small blocks are cut from: a huge page."""


class Block:
    """Contiguous memory, and the arrays of a state in it.

    It begins on a cache line, that of a large state on a page. New memory is zero. It returns to
    the operating system once nothing refers to the block, its arrays, or others cut from the same
    memory.

    Parameters
    ----------
    layout
        Of the arrays.
    memory
        New memory for them, `StateLayout.moved_bytes` long; by default pages of its own.
    """

    __slots__ = ("arrays", "bytes", "is_lost", "layout", "taken", "transfers")

    def __init__(self, layout: StateLayout, memory: NDArray[np.uint8] | None = None) -> None:
        self.layout = layout
        self.bytes = _pages(layout.moved_bytes) if memory is None else memory
        """The whole block."""
        self.arrays = StateArrays(layout.views(self.bytes))
        """The arrays of a state: views of `bytes`."""
        self.taken = False
        """Whether it has been taken from the pool."""
        self.is_lost = False
        """Whether an overdue transfer may use it for ever: then nothing else must, from now on."""
        self.transfers: list[Transfer] = []
        """Those that use the block, and perhaps some that have ended."""

    def hold(self, transfer: Transfer) -> None:
        """Mark the block as used by `transfer`; it is busy until that has ended."""
        self.transfers = [other for other in self.transfers if not other.done]
        self.transfers.append(transfer)

    @property
    def busy(self) -> bool:
        """Whether a transfer uses the block. Never blocks."""
        transfers = self.transfers
        while transfers and transfers[-1].done:
            transfers.pop()
        return bool(transfers)

    def settle(self) -> None:
        """Wait until no transfer uses the block, or it is lost: errors are left to `Transfer`."""
        for transfer in self.transfers:
            transfer.settle()


class Room:
    """Bytes of memory that pools and tapes take together.

    New memory that would exceed the limit first unmaps idle blocks, of any pool: tapes may need
    what snapshots have left, and snapshots what tapes have left. Nothing else is ever unmapped.
    """

    def __init__(self, limit: int = sys.maxsize) -> None:
        self.limit = limit
        """The bytes from which on idle blocks are unmapped."""
        self.in_use = self.peak = 0
        """The bytes in use now, those in transfer included, and the most so far."""
        self.touched_bytes = 0
        """Memory of new blocks so far, which has been touched for the first time."""
        self.touch_seconds = 0.0
        """What making and touching them took."""
        self.pools: WeakSet[BlockPool] = WeakSet()
        """Those that have idle blocks to give up."""
        self._mapped = 0

    def map(self, size: int, by: "BlockPool | None" = None) -> None:
        """Make room for `size` bytes of new memory, for the pool `by` or for a tape."""
        self._mapped += size
        if self._mapped > self.limit:
            self._make_room(by)

    def unmap(self, size: int) -> None:
        """Note that `size` bytes have been returned to the operating system."""
        self._mapped -= size

    def use(self, size: int) -> None:
        """Note that `size` more bytes are in use."""
        self.in_use = in_use = self.in_use + size
        if in_use > self.peak:  # noqa: PLR1730, a call of max takes as long as all the rest
            self.peak = in_use

    def make_tape(self, size: int) -> None:
        """Note that a tape of `size` bytes takes new memory, all of which is in use."""
        # As `use` and `map` do: calls of both would take twice as long.
        self.in_use = in_use = self.in_use + size
        if in_use > self.peak:  # noqa: PLR1730
            self.peak = in_use
        self._mapped += size
        if self._mapped > self.limit:
            self._make_room(None)

    def drop_tape(self, size: int) -> None:
        """Note that a tape of `size` bytes is gone."""
        self.in_use -= size
        self._mapped -= size

    def _make_room(self, by: "BlockPool | None") -> None:
        for pool in self.pools:
            while self._mapped > self.limit and pool is not by and pool.unmap():
                pass


class BlockPool:
    """At most `capacity` blocks, allocated when they are first needed.

    A block that is given back while a transfer uses it counts as in use until the transfer has
    ended. One that is lost to an overdue transfer is replaced by a new one, beyond `capacity`. Not
    thread-safe.

    Parameters
    ----------
    layout
        Of the arrays that each block holds.
    capacity
        The largest number of blocks.
    room
        What it shares with other pools, if anything.
    """

    def __init__(
        self, layout: StateLayout, capacity: int = sys.maxsize, room: Room | None = None
    ) -> None:
        self.layout = layout
        self.capacity = capacity
        self.room = Room() if room is None else room
        self.room.pools.add(self)
        self._size = layout.memory_bytes
        self._is_large = layout.is_large
        self._arena = np.empty(0, np.uint8)
        """Memory that the next small blocks are cut from."""
        self._allocated = 0
        self._idle: deque[Block] = deque()
        self._leaving: deque[Block] = deque()

    def take(self) -> Block:
        """Return a block that is not in use; its content is undefined.

        In order of preference: the idle block given back last, one whose transfer has ended since,
        a new one; else wait for the transfer of the block that was given back first.

        Raises
        ------
        ScheduleError
            Every block is taken.
        """
        if not self._idle:
            self._find_idle()
        block = self._idle.pop()
        block.taken = True
        room = self.room
        room.in_use = in_use = room.in_use + self._size  # as `Room.use`, which takes twice as long
        if in_use > room.peak:  # noqa: PLR1730
            room.peak = in_use
        return block

    def lend(self, count: int) -> list[Block]:
        """Return blocks as `take` does."""
        idle = self._idle
        taken = [idle.pop() for _ in range(min(count, len(idle)))]
        for block in taken:
            block.taken = True
        self.room.use(len(taken) * self._size)
        try:
            while len(taken) < count:
                taken.append(self.take())
        except BaseException:
            self.take_back(taken)
            raise
        return taken

    def give_back(self, block: Block) -> None:
        """Return a block to the pool. It is idle at once, or when its transfer has ended.

        Raises
        ------
        ScheduleError
            The block is in the pool already.
        """
        if not block.taken:
            raise ScheduleError(
                "a block was given back twice: two snapshots would share its memory"
            )
        block.taken = False
        if not block.transfers and not block.is_lost:  # as for almost all, and quick
            self.room.in_use -= self._size
            self._idle.append(block)
        elif block.busy and not block.is_lost:
            self._leaving.append(block)
        else:
            self._add_idle(block)

    def take_back(self, blocks: Iterable[Block]) -> None:
        """Return blocks to the pool as `give_back` does."""
        idle = 0
        for block in blocks:
            if block.taken and not block.busy and not block.is_lost:
                block.taken = False
                self._idle.append(block)
                idle += 1
            else:
                self.give_back(block)
        self.room.use(-idle * self._size)

    def resize(self, capacity: int) -> None:
        """Change the capacity, and release idle blocks beyond it."""
        self.capacity = capacity
        while self._idle and self._allocated > capacity:
            self._idle.popleft()
            self._forget()

    def write_off(self, wanted: int) -> None:
        """Let new blocks take the place of those taken beyond `wanted`, which may not come back."""
        taken = self._allocated - len(self._idle) - len(self._leaving)
        self.capacity += max(0, taken - wanted)

    def touch(self, count: int) -> None:
        """Allocate `count` blocks, or up to the capacity, which touches their pages."""
        while self._allocated < min(count, self.capacity):
            self._idle.append(self._allocate())

    def unmap(self) -> bool:
        """Give up the block that has been idle longest; return whether there was one.

        The memory of a small one returns to the operating system with that of all cut beside it.
        """
        if not self._idle:
            return False
        self._idle.popleft()
        self._forget()
        return True

    def _find_idle(self) -> None:
        for block in [block for block in self._leaving if block.is_lost or not block.busy]:
            self._leaving.remove(block)
            self._add_idle(block)
        if not self._idle and self._allocated < self.capacity:
            self._idle.append(self._allocate())
        while not self._idle:
            if not self._leaving:
                raise ScheduleError(
                    f"all {self.capacity} blocks are in use: the schedule keeps more states in "
                    "memory than it has slots, or the buffers were made for fewer slots"
                )
            block = self._leaving.popleft()
            block.settle()
            self._add_idle(block)

    def _add_idle(self, block: Block) -> None:
        self.room.in_use -= self._size
        if block.is_lost:
            self._forget()
        else:
            self._idle.append(block)

    def _allocate(self) -> Block:
        """Return a new block, whose pages are touched apart from their first use: that is slow."""
        self.room.map(self._size, self)
        began = time.perf_counter()
        if self._is_large:
            block = Block(self.layout)
            block.bytes[::PAGE_BYTES] = 0
        else:
            block = Block(self.layout, self._cut())
        self._allocated += 1
        self.room.touch_seconds += time.perf_counter() - began
        self.room.touched_bytes += self._size
        return block

    def _cut(self) -> NDArray[np.uint8]:
        """Return memory for a small block."""
        size = self._size
        if self._arena.size < size:
            self._arena = _pages(ARENA_BYTES)
            self._arena[::PAGE_BYTES] = 0
        memory, self._arena = self._arena[:size], self._arena[size:]
        return memory

    def _forget(self) -> None:
        self._allocated -= 1
        self.room.unmap(self._size)


def _pages(count: int) -> NDArray[np.uint8]:
    """Return `count` bytes of untouched, zeroed, private pages."""
    if count == 0:
        return np.empty(0, np.uint8)
    # Not numpy.empty: the C library may keep freed memory, and need not align it to pages.
    memory = mmap.mmap(-1, count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        _prefer_huge_pages(memory)
    return np.ndarray(count, np.uint8, memory)


def _prefer_huge_pages(memory: mmap.mmap) -> None:
    """Ask for huge pages: the first touch ran at 9 GB/s with them, at 1.3 GB/s without."""
    try:
        memory.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # A kernel built without them: ordinary pages do as well.
        return
