"""Measuring what a planner must know: the stepper's costs, and what each engine's transfers cost.

The stepper is run for real, over its first steps, and started afresh afterwards. Every length is
agreed between ranks, because steps may be collective. What is measured is what a sweep will do:
warm, in the same buffers, through the same file store.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from adjoint.agreement import agreed_costs, largest
from adjoint.buffers import Buffers
from adjoint.comm import Communicator
from adjoint.costs import Costs
from adjoint.overlap import Computation, Overlap, Survey, look_at, rows_for
from adjoint.stepping import Stepper, copy_arrays
from adjoint.storage.file_store import FileStore
from adjoint.storage.layout import Field, StateLayout
from adjoint.storage.slots import Block

if TYPE_CHECKING:
    from adjoint.storage.opening import EngineFactory

__all__ = ["Probe", "first_part", "with_file"]

ENOUGH_SECONDS = 0.03
"""A measurement this long is good enough."""

MOST_REPEATS = 8

ACTION_SECONDS = 2e-6
"""What the driver itself takes for one action."""

ACTIONS_PER_LEAF = 5
"""Store, Restore, Discard, Record and PullBack; the advances are counted with the steps."""

PAUSES = 64
"""How often transfers are given a chance to go on in one computation."""

ENGINES_SECONDS = 1.0
"""Once engines were measured for so long, no other one is."""

PROBED_BYTES = 16 << 20
"""Of larger states so much is written to measure engines."""


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

    def engines(
        self,
        costs: Mapping[int, Costs],
        candidates: "Sequence[str | EngineFactory]",
        open_store: "Callable[[StateLayout, int, str | EngineFactory], FileStore]",
        *,
        seconds: float = ENGINES_SECONDS,
    ) -> Survey:
        """Return what transfers cost these steps, by one engine after the other.

        Large states are measured by their first 16 MiB, and the rest is reckoned. `open_store`
        opens an empty store of so many states of that layout with such an engine; the candidate
        comes first that is to be used if there is time for one only. Which is best, says
        `adjoint.overlap.best`.

        Raises
        ------
        TransferError
            A write or a read failed, on any rank.
        """
        self._fill_slots()
        whole = self.buffers.slots[0]
        layout = first_part(StateLayout.of(whole.arrays), PROBED_BYTES)
        blocks = [_part(block, layout) for block in self.buffers.slots.values()]
        rows = rows_for(sum(self.comm.gather(layout.block_bytes)))
        survey = look_at(
            candidates,
            partial(open_store, layout, rows),
            blocks,
            self._computation(costs),
            self.comm,
            seconds=seconds,
        )
        self._restart()
        factor = largest(whole.bytes.size / max(1, layout.memory_bytes), self.comm)
        return survey.scaled(max(1.0, factor))

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

    def _computation(self, costs: Mapping[int, Costs]) -> Computation:
        return Computation(self._compute, costs[self.grid].advance, self.grid)

    def _compute(self, steps: int, pause: Callable[[], None]) -> None:
        chunk = self.grid * max(1, steps // (PAUSES * self.grid))
        while steps > 0:
            self.stepper.start()
            steps -= self._stepped(min(steps, self.num_steps), chunk, pause)

    def _stepped(self, steps: int, chunk: int, pause: Callable[[], None]) -> int:
        """Advance so many steps, or to where the stepper says that it has finished."""
        at = 0
        while at < steps and not (at and getattr(self.stepper, "finished", False)):
            stop = min(at + chunk, steps)
            self.stepper.advance(at, stop)
            at = stop
            pause()
        return at

    # -- inside -------------------------------------------------------------------------------

    def _restart(self) -> None:
        self.buffers.clear()
        self.stepper.start()

    def _timed(self, work: Callable[[], object]) -> float:
        """Return the seconds that the slowest rank took."""
        began = time.perf_counter()
        work()
        return largest(time.perf_counter() - began, self.comm)


def with_file(costs: Mapping[int, Costs], overlap: Overlap) -> dict[int, Costs]:
    """Return `costs` with what an engine takes, by leaf size."""
    return {
        leaf: replace(
            paid,
            write=overlap.write_while_computing,
            read=overlap.read_while_computing,
            post=overlap.post_seconds,
            slowdown=overlap.slowdown,
            read_slowdown=overlap.read_slowdown,
        )
        for leaf, paid in costs.items()
    }


def first_part(layout: StateLayout, most_bytes: int) -> StateLayout:
    """Return the layout of as much of a state as fits: the last array may be cut."""
    fields: list[Field] = []
    for field in layout.fields:
        room = most_bytes - field.offset
        if field.nbytes > room:
            count = max(0, room // field.dtype.itemsize)
            fields += [replace(field, shape=(count,))] if count else []
            break
        fields.append(field)
    return StateLayout(tuple(fields))


def _part(block: Block, layout: StateLayout) -> Block:
    """Return the beginning of a block, in the same memory, as a block of that layout."""
    part = Block(layout)
    part.bytes = block.bytes[: layout.memory_bytes]
    part.arrays = layout.views(part.bytes)
    return part
