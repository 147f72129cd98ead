"""Measuring what a planner must know: the stepper's costs, and what each engine's transfers cost.

The stepper is run for real, over its first steps, and started afresh afterwards. Every length is
agreed between ranks, because steps may be collective. What is measured is what a sweep will do:
in buffers such as it will have, as many as it will have, through the same file store.
"""

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from adjoint.measurement.transfers import (
    Computation,
    Survey,
    TransferCosts,
    measure_engines,
    rows_for,
)
from adjoint.measurement.trial import trial_costs, trial_leaves
from adjoint.parallel import Communicator, largest
from adjoint.schedules import Revolve
from adjoint.schedules.costs import Costs
from adjoint.steppers.protocol import Stepper, copy_arrays
from adjoint.storage.blocks import Block
from adjoint.storage.state_layout import Field, StateLayout
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import Buffers

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory

__all__ = ["Probe", "first_part", "with_file"]

ENOUGH_SECONDS = 0.03
"""A measurement this long is good enough."""

LEAST_PAIRS, MOST_PAIRS = 3, 9
"""So often a leaf is recorded up to its end, and not."""

TRIAL_SECONDS = 0.1
"""For so long leaves of one size are tried in short sweeps, if the run is long enough."""

TRIAL_SHARE = 32
"""It is long enough if it takes so many times as long."""

PAUSES = 64
"""How often transfers are given a chance to go on in one computation."""

ENGINES_SECONDS = 1.0
"""Once engines were measured for so long, no other one is."""

PROBED_BYTES = 16 << 20
"""Of larger states so much is written to measure engines."""


@dataclass(slots=True)
class Probe:
    """A stepper on its first steps, ready to be timed. Every method is collective on `comm`.

    Each leaves the stepper started afresh, and memory and store given back.
    """

    stepper: Stepper
    num_steps: int
    slots: Mapping[int, int]
    """Leaf sizes to be recorded, and the slots that fit in memory beside such a tape."""
    memory: Callable[[int], Buffers]
    """Makes buffers of so many slots, to be released by the probe."""
    comm: Communicator
    _long_advance: tuple[float, int] | None = field(default=None, init=False)
    """Seconds of a step, and the last step that is known to be there."""

    @property
    def grid(self) -> int:
        """The fewest steps that are taken at once."""
        return min(self.slots)

    def step_seconds(self) -> float:
        """Return what a step takes in a long advance: its state stays where it is."""
        return self._advanced()[0]

    def stepper_costs(self) -> dict[int, Costs]:
        """Return what steps cost in leaves of each size, beside as many slots as fit.

        What a recorded step costs depends on the leaf: a single step may need no recording at all,
        and the tape of many may leave the cache.
        """
        advance, end = self._advanced()
        with self._buffers(0):
            rough = self._rough_costs(advance)
        return {
            leaf: self._leaf_costs(leaf, slots, rough, end) for leaf, slots in self.slots.items()
        }

    def engines(
        self,
        candidates: "Sequence[str | EngineFactory]",
        open_store: "Callable[[StateLayout, int, str | EngineFactory], FileStore]",
        *,
        seconds: float = ENGINES_SECONDS,
    ) -> Survey:
        """Return what transfers cost these steps, by one engine after the other.

        Large states are measured by their first 16 MiB, and the rest is reckoned. `open_store`
        opens an empty store of so many states of that layout with such an engine; the candidate
        comes first that is to be used if there is time for one only. Which is best, says
        `adjoint.measurement.transfers.best`.

        Raises
        ------
        NonFiniteError
            The initial state is not finite, on any rank.
        """
        step_seconds = self.step_seconds()
        with self._buffers(2) as buffers:
            for step in range(2):
                copy_arrays(self.stepper.state, buffers.fill(step).arrays)
            whole = buffers.slots[0]
            layout = first_part(StateLayout.of(whole.arrays), PROBED_BYTES)
            rows = rows_for(sum(self.comm.gather(layout.block_bytes)))
            survey = measure_engines(
                candidates,
                partial(open_store, layout, rows),
                [_part(block, layout) for block in buffers.slots.values()],
                Computation(self._compute, step_seconds, self.grid),
                self.comm,
                seconds=seconds,
            )
        factor = largest(whole.bytes.size / max(1, layout.memory_bytes), self.comm)
        return survey.scaled(max(1.0, factor))

    # -- the stepper --------------------------------------------------------------------------

    def _advanced(self) -> tuple[float, int]:
        if self._long_advance is None:
            with self._buffers(0):
                self._long_advance = self._longest_advance()
        return self._long_advance

    def _longest_advance(self) -> tuple[float, int]:
        length = self.grid
        self.stepper.advance(0, length)
        while True:
            self.stepper.start()
            seconds = self._timed(partial(self.stepper.advance, 0, length))
            if getattr(self.stepper, "finished", False):
                end = int(getattr(self.stepper, "position", length))
                return seconds / end, end
            if seconds > ENOUGH_SECONDS or length == self.num_steps:
                return seconds / length, self.num_steps
            growth = max(2, min(16, int(1.5 * ENOUGH_SECONDS / max(seconds, 1e-9))))
            length = min(self.num_steps, growth * length)

    def _leaf_costs(self, leaf: int, slots: int, rough: Costs, end: int) -> Costs:
        run_seconds = self.num_steps * (rough.record + rough.pull_back + 2 * rough.advance)
        seconds = min(TRIAL_SECONDS, run_seconds / TRIAL_SHARE)
        count = min(trial_leaves(rough, leaf, slots, seconds), max(1, end // leaf))
        slots = min(slots, count - 1)
        schedule = Revolve(count * leaf, slots, leaf_steps=leaf)
        with self._buffers(slots) as buffers:
            self._leaf_seconds(leaf, reach_stop=False)
            return trial_costs(self.stepper, buffers, schedule, rough, self.comm, seconds)

    def _rough_costs(self, advance: float) -> Costs:
        """Return what steps cost in the smallest leaves, over and over in the same memory.

        What else the machine does makes times longer, never shorter. Whether the last step must be
        taken shows best where there are few others.
        """
        leaf = self.grid
        record = reached = pull_back = math.inf
        total = 0.0
        for pairs in range(1, MOST_PAIRS + 1):
            with_end, _ = self._leaf_seconds(leaf, reach_stop=True)
            without_end, pulled_back = self._leaf_seconds(leaf, reach_stop=False)
            reached, record = min(reached, with_end), min(record, without_end)
            pull_back = min(pull_back, pulled_back)
            total += with_end + without_end + 2 * pulled_back
            if pairs >= LEAST_PAIRS and total > ENOUGH_SECONDS:
                break
        unreached = min(advance, max(0.0, advance - (reached - record)))
        return Costs(
            advance=advance,
            record=max(0.0, (record - (leaf - 1) * advance - unreached) / leaf),
            unreached=unreached,
            pull_back=pull_back / leaf,
        )

    def _leaf_seconds(self, leaf: int, *, reach_stop: bool) -> tuple[float, float]:
        """Return the seconds to record the first leaf and to pull it back."""
        self.stepper.start()
        for array in self.stepper.adjoint.values():
            array[...] = 0
        recorded = self._timed(partial(self.stepper.record, 0, leaf, reach_stop=reach_stop))
        return recorded, self._timed(partial(self.stepper.pull_back, 0, leaf))

    # -- the file -----------------------------------------------------------------------------

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

    @contextmanager
    def _buffers(self, slots: int) -> Generator[Buffers, None, None]:
        """Give buffers for so many slots, the stepper at its start before and afterwards."""
        buffers = self.memory(slots)
        self.stepper.start()
        try:
            yield buffers
        finally:
            buffers.release()
            self.stepper.start()

    def _timed(self, work: Callable[[], object]) -> float:
        """Return the seconds that the slowest rank took."""
        began = time.perf_counter()
        work()
        return largest(time.perf_counter() - began, self.comm)


def with_file(costs: Mapping[int, Costs], overlap: TransferCosts) -> dict[int, Costs]:
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
    for whole in layout.fields:
        room = most_bytes - whole.offset
        if whole.nbytes > room:
            count = max(0, room // whole.dtype.itemsize)
            fields += [replace(whole, shape=(count,))] if count else []
            break
        fields.append(whole)
    return StateLayout(tuple(fields))


def _part(block: Block, layout: StateLayout) -> Block:
    """Return the beginning of a block, in the same memory, as a block of that layout."""
    part = Block(layout)
    part.bytes = block.bytes[: layout.memory_bytes]
    part.arrays = layout.views(part.bytes)
    return part
