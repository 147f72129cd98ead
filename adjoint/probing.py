"""Measuring what a planner must know: the stepper's costs, and the file's.

The stepper is run for real, over its first steps, and started afresh afterwards. Every length is
agreed between ranks, because steps may be collective. What is measured is what a sweep will do:
warm, in the same buffers, through the same file store.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from adjoint.agreement import agreed_costs, largest
from adjoint.buffers import Buffers
from adjoint.comm import Communicator
from adjoint.costs import Costs
from adjoint.stepping import Stepper, copy_arrays
from adjoint.storage.file_store import FileStore

__all__ = ["PROBED_STATES", "Probe"]

ENOUGH_SECONDS = 0.03
"""A measurement this long is good enough."""

MOST_REPEATS = 8

PROBED_STATES = 4
"""How many states are written to the file and read back."""

ACTION_SECONDS = 2e-6
"""What the driver itself takes for one action."""

ACTIONS_PER_LEAF = 5
"""Store, Restore, Discard, Record and PullBack; the advances are counted with the steps."""

CHUNKS = 16
"""Pieces of computation between which transfers are given a chance to go on."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A stepper on its first steps, ready to be timed. Every method is collective on `comm`.

    Each leaves the stepper started afresh, and buffers and store empty.
    """

    stepper: Stepper
    num_steps: int
    leaf_sizes: tuple[int, ...]
    """Leaves to record, the smallest first; their tapes must fit in memory beside two slots."""
    buffers: Buffers
    comm: Communicator

    @property
    def grid(self) -> int:
        """The fewest steps that are taken at once."""
        return self.leaf_sizes[0]

    def stepper_costs(self) -> dict[int, Costs]:
        """Measure advance, store and restore; and record and pull-back with leaves of each size.

        What a recorded step costs depends on the leaf: a single step may need no recording at all,
        and the tape of many may leave the cache.
        """
        advance = self._advance_seconds()
        store, restore = self._slot_seconds()
        found: dict[int, Costs] = {}
        for leaf in self.leaf_sizes:
            record, pull_back = self._leaf_seconds(leaf, reach_stop=False)
            reached, _ = self._leaf_seconds(leaf, reach_stop=True)
            unreached = min(advance, max(0.0, advance - (reached - record)))
            costs = Costs(
                advance=advance,
                record=max(0.0, (record - (leaf - 1) * advance - unreached) / leaf),
                unreached=unreached,
                pull_back=pull_back / leaf,
                store=store,
                restore=restore,
                driving=ACTIONS_PER_LEAF * ACTION_SECONDS,
            )
            found[leaf] = agreed_costs(costs, self.comm)
        self._restart()
        return found

    def file_costs(self, costs: Mapping[int, Costs], store: FileStore) -> dict[int, Costs]:
        """Return `costs` with those of the file: write, read, post, and the slowdown meanwhile.

        Raises
        ------
        TransferError
            A write or a read failed, on any rank.
        """
        self._fill_slots()
        posted = store.engine.statistics.post_seconds
        write = self._timed(lambda: self._write(store)) / PROBED_STATES
        read = self._timed(lambda: self._read(store)) / PROBED_STATES
        post = (store.engine.statistics.post_seconds - posted) / (2 * PROBED_STATES)
        slowdown = self._slowdown(costs[self.grid].advance, write, store)
        self._restart()
        self.comm.agree(store.clear())
        measured = {"write": write, "read": read, "post": post, "slowdown": slowdown}
        return {
            leaf: agreed_costs(replace(paid, **measured), self.comm) for leaf, paid in costs.items()
        }

    # -- the stepper --------------------------------------------------------------------------

    def _advance_seconds(self) -> float:
        length = self.grid
        self.stepper.advance(0, length)
        while True:
            self._restart()
            seconds = self._timed(partial(self.stepper.advance, 0, length))
            if seconds > ENOUGH_SECONDS or length == self.num_steps:
                return seconds / length
            growth = max(2, min(16, int(1.5 * ENOUGH_SECONDS / max(seconds, 1e-9))))
            length = min(self.num_steps, growth * length)

    def _leaf_seconds(self, leaf: int, *, reach_stop: bool) -> tuple[float, float]:
        """Return the mean seconds to record a leaf and to pull it back; the first is warm-up."""
        record = pull_back = 0.0
        for repeats in range(1 + MOST_REPEATS):
            self._restart()
            for array in self.stepper.adjoint.values():
                array[...] = 0
            recorded = self._timed(partial(self.stepper.record, 0, leaf, reach_stop=reach_stop))
            pulled_back = self._timed(partial(self.stepper.pull_back, 0, leaf))
            if repeats:
                record, pull_back = record + recorded, pull_back + pulled_back
            if record + pull_back > ENOUGH_SECONDS:
                return record / repeats, pull_back / repeats
        return record / MOST_REPEATS, pull_back / MOST_REPEATS

    def _slot_seconds(self) -> tuple[float, float]:
        store = restore = 0.0
        for _warm in range(2):
            self._restart()
            plain = self._timed(partial(self.buffers.advance, 0, self.grid, None))
            self._restart()
            store = self._timed(self._store_and_advance)
            store = max(0.0, store - plain)
            restore = self._timed(lambda: self.buffers.restore(0))
        return store, restore

    def _store_and_advance(self) -> None:
        self.buffers.store(0)
        self.buffers.advance(0, self.grid, None)

    # -- the file -----------------------------------------------------------------------------

    def _fill_slots(self) -> None:
        self._restart()
        for step in range(2):
            copy_arrays(self.stepper.state, self.buffers.fill(step).arrays)

    def _write(self, store: FileStore) -> None:
        for step in range(PROBED_STATES):
            store.offload(step, self.buffers.slots[step % 2])
        self.comm.agree(store.settle())

    def _read(self, store: FileStore) -> None:
        for step in range(PROBED_STATES):
            store.prefetch(step, self.buffers.slots[step % 2])
            if step % 2:
                self.comm.agree(store.settle())
        self.comm.agree(store.settle())

    def _slowdown(self, advance: float, write: float, store: FileStore) -> float:
        """Return how many times longer a step takes while a write is under way."""
        transfers = PROBED_STATES * write
        wanted = int(2 * transfers / max(advance, 1e-9) / CHUNKS) + 1
        chunk = self.grid * -(-wanted // self.grid)
        chunk = min(chunk, max(self.num_steps // CHUNKS, 1))
        alone = self._timed(lambda: self._compute(chunk, store))
        self.comm.agree(store.clear())
        for step in range(PROBED_STATES):
            store.offload(step, self.buffers.slots[step % 2])
        busy = self._timed(lambda: self._compute(chunk, store))
        overlapped = min(transfers, alone)
        lost = min(0.9, max(0.0, (busy - alone) / overlapped)) if overlapped > 0 else 0.0
        return 1 / (1 - lost)

    def _compute(self, chunk: int, store: FileStore) -> None:
        self.stepper.start()
        for start in range(0, min(CHUNKS * chunk, self.num_steps), chunk):
            self.stepper.advance(start, min(start + chunk, self.num_steps))
            store.engine.progress()

    # -- inside -------------------------------------------------------------------------------

    def _restart(self) -> None:
        self.buffers.clear()
        self.stepper.start()

    def _timed(self, work: Callable[[], object]) -> float:
        """Return the seconds that the slowest rank took."""
        began = time.perf_counter()
        work()
        return largest(time.perf_counter() - began, self.comm)
