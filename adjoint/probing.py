"""Measuring what a planner must know: the stepper's costs, and the file's.

The stepper is run for real, over its first steps, and started afresh afterwards. Every length is
agreed between ranks, because steps may be collective. What is measured is what a sweep will do:
warm, in the same buffers, through the same file store.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from adjoint.agreement import agreed_costs, largest
from adjoint.buffers import Buffers
from adjoint.comm import Communicator
from adjoint.replay import Costs
from adjoint.stepping import Stepper, copy_arrays
from adjoint.storage.file_store import FileStore

__all__ = ["PROBED_STATES", "Probe"]

ENOUGH_SECONDS = 0.03
"""A measurement this long is good enough."""

PROBED_STATES = 4
"""How many states are written to the file and read back."""

CHUNKS = 16
"""Pieces of computation between which transfers are given a chance to go on."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A stepper on its first steps, ready to be timed. Every method is collective on `comm`.

    Each leaves the stepper started afresh, and buffers and store empty.
    """

    stepper: Stepper
    num_steps: int
    leaf_steps: int
    """Steps of the leaf that is recorded; its tape must fit in memory beside two slots."""
    buffers: Buffers
    comm: Communicator

    def stepper_costs(self) -> Costs:
        """Measure advance, record, pull-back, store and restore."""
        advance = self._advance_seconds()
        record, pull_back = self._leaf_seconds()
        store, restore = self._slot_seconds()
        self._restart()
        leaf = self.leaf_steps
        costs = Costs(
            advance=advance,
            record=max(0.0, (record - (leaf - 1) * advance) / leaf),
            pull_back=pull_back / leaf,
            store=store,
            restore=restore,
        )
        return agreed_costs(costs, self.comm)

    def file_costs(self, costs: Costs, store: FileStore) -> Costs:
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
        slowdown = self._slowdown(costs.advance, write, store)
        self._restart()
        self.comm.agree(store.clear())
        return agreed_costs(
            replace(costs, write=write, read=read, post=post, slowdown=slowdown), self.comm
        )

    # -- the stepper --------------------------------------------------------------------------

    def _advance_seconds(self) -> float:
        length = self.leaf_steps
        self.stepper.advance(0, length)
        while True:
            self._restart()
            seconds = self._timed(partial(self.stepper.advance, 0, length))
            if seconds > ENOUGH_SECONDS or length == self.num_steps:
                return seconds / length
            growth = max(2, min(16, int(1.5 * ENOUGH_SECONDS / max(seconds, 1e-9))))
            length = min(self.num_steps, growth * length)

    def _leaf_seconds(self) -> tuple[float, float]:
        seconds = (0.0, 0.0)
        for _warm in range(2):
            self._restart()
            for array in self.stepper.adjoint.values():
                array[...] = 0
            record = self._timed(self._record_leaf)
            seconds = record, self._timed(partial(self.stepper.pull_back, 0, self.leaf_steps))
        return seconds

    def _record_leaf(self) -> None:
        self.stepper.record(0, self.leaf_steps, reach_stop=False)

    def _slot_seconds(self) -> tuple[float, float]:
        store = restore = 0.0
        for _warm in range(2):
            self._restart()
            plain = self._timed(partial(self.buffers.advance, 0, self.leaf_steps, None))
            self._restart()
            store = self._timed(self._store_and_advance)
            store = max(0.0, store - plain)
            restore = self._timed(lambda: self.buffers.restore(0))
        return store, restore

    def _store_and_advance(self) -> None:
        self.buffers.store(0)
        self.buffers.advance(0, self.leaf_steps, None)

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
        chunk = self.leaf_steps * -(-wanted // self.leaf_steps)
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
