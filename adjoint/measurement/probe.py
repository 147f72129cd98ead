"""Measuring what a planner must know: the costs of steps, and of transfers by each engine.

The stepper is run for real, over its first steps, and started afresh afterwards. Every length is
agreed on between ranks, because steps may be collective. What is measured is what a sweep does, in
the same kind and number of buffers, through the same kind of store.
"""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from adjoint.measurement import constants
from adjoint.measurement.calibration import Calibration, agreed_costs
from adjoint.measurement.engines import Survey, measure_engines, num_rows
from adjoint.measurement.transfers import MIN_SECONDS, Computation, TransferCosts
from adjoint.parallel import Communicator, largest
from adjoint.schedules import Revolve, num_leaves
from adjoint.schedules.costs import Costs
from adjoint.schedules.revolve import minimal_advances
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.protocol import Arrays, Stepper, copy_arrays
from adjoint.storage.blocks import Block
from adjoint.storage.engines.transfer import Statistics
from adjoint.storage.state_layout import Field, StateLayout
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.sweep import Sweep

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory

__all__ = ["Probe", "first_part", "with_file"]


@dataclass(slots=True)
class Probe:
    """A stepper on its first steps, ready to be timed. Every method is collective on `comm`.

    Each leaves the stepper started afresh, slots empty, and files removed.
    """

    stepper: Stepper
    num_steps: int
    slots: Mapping[int, int]
    """For each number of steps in a leaf that is to be measured, the slots that fit in memory
    beside the tape of such a leaf."""
    memory: Callable[[int, int], Buffers]
    """Provides empty buffers for a number of slots and of steps in a leaf."""
    comm: Communicator
    _long_advance: tuple[float, int] | None = field(default=None, init=False)
    """Seconds of a step, and the last step that is known to exist; None until measured."""

    @property
    def grid(self) -> int:
        """Only multiples of this number of steps are taken."""
        return min(self.slots)

    def step_seconds(self) -> float:
        """Return the time of a step in a long advance, where the state stays in one place."""
        return self._advanced()[0]

    def stepper_costs(self) -> dict[int, Costs]:
        """Return the costs of steps for each number of steps in a leaf, beside all slots that fit.

        The cost of a recorded step depends on the leaf: a single step may need no recording at all,
        and the tape of many steps may not fit in the cache.
        """
        advance, end = self._advanced()
        with self._buffers(0, self.grid):
            rough = self._rough_costs(advance)
        return {
            leaf: self._leaf_costs(leaf, slots, rough, end) for leaf, slots in self.slots.items()
        }

    def engines(
        self,
        candidates: "Sequence[str | EngineFactory]",
        open_store: "Callable[[StateLayout, int, str | EngineFactory], FileStore]",
        *,
        seconds: float = constants.MAX_ENGINES_SECONDS,
    ) -> Survey:
        """Return what transfers by each engine cost beside these steps.

        Of large states only the first 16 MiB are transferred, and the costs are scaled.

        Parameters
        ----------
        candidates
            The engines; the first is measured in any case.
        open_store
            Opens an empty store, given the layout of a state, the number of states and the engine.
        seconds
            No other engine is measured after this time.

        Raises
        ------
        NonFiniteError
            The initial state is not finite, on any rank.
        """
        step_seconds = self.step_seconds()
        with self._buffers(2, self.grid) as buffers:
            for step in range(2):
                copy_arrays(self.stepper.state, buffers.fill(step).arrays)
            whole = buffers.slots[0]
            layout = first_part(StateLayout.of(whole.arrays), constants.MAX_PROBED_BYTES)
            rows = num_rows(sum(self.comm.gather(layout.block_bytes)))
            survey = measure_engines(
                candidates,
                partial(open_store, layout, rows),
                [_part(block, layout) for block in buffers.slots.values()],
                Computation(self._compute, step_seconds, self.grid),
                self.comm,
                seconds=seconds,
            )
        factor = largest(whole.bytes.size / max(1, layout.moved_bytes), self.comm)
        return survey.scaled(max(1.0, factor))

    # -- single steps and leaves --------------------------------------------------------------

    def _advanced(self) -> tuple[float, int]:
        if self._long_advance is None:
            with self._buffers(0, self.grid):
                self._long_advance = self._longest_advance()
        return self._long_advance

    def _longest_advance(self) -> tuple[float, int]:
        """Advance over more and more steps, until that takes long enough or the run has ended."""
        stepper, length = Capabilities.of(self.stepper), self.grid
        self.stepper.advance(0, length)
        while True:
            self.stepper.start()
            seconds = self._timed(partial(self.stepper.advance, 0, length))
            if stepper.finished:
                end = length if stepper.position is None else stepper.position
                return seconds / end, end
            if seconds > constants.LONG_SECONDS or length == self.num_steps:
                # Where only the stepper knows the end, no step beyond these is known to be there.
                return seconds / length, length if stepper.finds_end else self.num_steps
            wanted = int(1.5 * constants.LONG_SECONDS / max(seconds, MIN_SECONDS))
            length = min(self.num_steps, max(2, min(16, wanted)) * length)

    def _rough_costs(self, advance: float) -> Costs:
        """Return the costs of steps in the smallest leaves, repeated in the same memory.

        The least times count, because what else the machine does only adds to them. The cost of
        the last step of a leaf shows best where there are few others.
        """
        leaf = self.grid
        record = reached = pull_back = math.inf
        total = 0.0
        for pairs in range(1, constants.MAX_LEAF_PAIRS + 1):
            with_end, _ = self._leaf_seconds(leaf, reach_stop=True)
            without_end, pulled_back = self._leaf_seconds(leaf, reach_stop=False)
            reached, record = min(reached, with_end), min(record, without_end)
            pull_back = min(pull_back, pulled_back)
            total += with_end + without_end + 2 * pulled_back
            if pairs >= constants.MIN_LEAF_PAIRS and total > constants.LONG_SECONDS:
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
        _clear(self.stepper.adjoint)
        recorded = self._timed(partial(self.stepper.record, 0, leaf, reach_stop=reach_stop))
        return recorded, self._timed(partial(self.stepper.pull_back, 0, leaf))

    # -- short gradients ----------------------------------------------------------------------

    def _leaf_costs(self, leaf: int, slots: int, rough: Costs, end: int) -> Costs:
        """Return the costs of steps in leaves of one size, where a sweep finds its states.

        Repeated in the same memory, an advance has its state in the cache, and stored states leave
        no other block to go on in. So what is timed is a sweep of Revolve over a few leaves, in as
        many slots as there are.
        """
        run_seconds = self.num_steps * (rough.record + rough.pull_back + 2 * rough.advance)
        seconds = min(constants.TRIAL_SECONDS, run_seconds * constants.MAX_TRIAL_SHARE)
        count = min(_trial_leaves(rough, leaf, slots, seconds), max(1, end // leaf))
        slots = min(slots, count - 1)
        schedule = Revolve(count * leaf, slots, leaf_steps=leaf)
        with self._buffers(slots, leaf) as buffers:
            self._leaf_seconds(leaf, reach_stop=False)
            mean = self._trial_costs(buffers, schedule, rough, seconds)
        return _with_restart_overhead(mean, rough.advance, schedule)

    def _trial_costs(
        self, buffers: Buffers, schedule: Revolve, rough: Costs, seconds: float
    ) -> Costs:
        """Return the medians of the costs in short sweeps, repeated for about `seconds`.

        Each is that of the rank where it is largest. `rough` has those that such a sweep does not
        show: of transfers, and of a last step that is not reached.
        """
        found: list[Costs] = []
        spent = 0.0
        while not found or (spent < seconds and len(found) < constants.MAX_TRIALS):
            buffers.clear()
            self.stepper.start()
            began = time.perf_counter()
            calibration = Calibration(Statistics)
            part = _FirstPart(self.stepper)
            Sweep(part, schedule.num_steps, buffers, None, self.comm).run(
                schedule, observer=calibration
            )
            found.append(calibration.costs(rough))
            spent += largest(time.perf_counter() - began, self.comm)
        return agreed_costs(_medians(found), self.comm)

    # -- the computation beside transfers -----------------------------------------------------

    def _compute(self, steps: int, pause: Callable[[], None]) -> None:
        """Take steps, from the start and again from the start; call `pause` between some."""
        chunk = self.grid * max(1, steps // (constants.MAX_PAUSES * self.grid))
        while steps > 0:
            self.stepper.start()
            steps -= self._stepped(min(steps, self.num_steps), chunk, pause)

    def _stepped(self, steps: int, chunk: int, pause: Callable[[], None]) -> int:
        """Advance over `steps`, or to where the stepper has finished; return where that is."""
        stepper, at = Capabilities.of(self.stepper), 0
        while at < steps and not (at and stepper.finished):
            stop = min(at + chunk, steps)
            self.stepper.advance(at, stop)
            at = stop
            pause()
        return at

    # -- inside -------------------------------------------------------------------------------

    @contextmanager
    def _buffers(self, slots: int, leaf: int) -> Generator[Buffers, None, None]:
        """Provide buffers of `slots` slots; the stepper is started before and afterwards."""
        buffers = self.memory(slots, leaf)
        self.stepper.start()
        try:
            yield buffers
        finally:
            buffers.clear()
            self.stepper.start()

    def _timed(self, work: Callable[[], object]) -> float:
        """Return the seconds that the slowest rank took."""
        began = time.perf_counter()
        work()
        return largest(time.perf_counter() - began, self.comm)


class _FirstPart:
    """The first steps of a stepper's run as a run of their own, whose terminal cost is zero."""

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper

    @property
    def state(self) -> Arrays:
        return self._stepper.state

    @property
    def adjoint(self) -> Arrays:
        return self._stepper.adjoint

    @property
    def controls(self) -> Arrays:
        return self._stepper.controls

    @property
    def accumulators(self) -> Arrays:
        return self._stepper.accumulators

    @property
    def first_non_finite(self) -> int | None:
        return Capabilities.of(self._stepper).first_non_finite

    def start(self) -> None:
        self._stepper.start()

    def advance(self, start: int, stop: int, *, cost: float | None = None) -> float | None:
        return self._stepper.advance(start, stop, cost=cost)

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        return self._stepper.record(start, stop, cost=cost, reach_stop=reach_stop)

    def turn(self, cost: float) -> float:
        _clear(self._stepper.adjoint)
        return cost

    def pull_back(self, start: int, stop: int) -> None:
        self._stepper.pull_back(start, stop)

    def finish(self) -> None:
        pass


def _clear(arrays: Arrays) -> None:
    for array in arrays.values():
        array[...] = 0


def _trial_leaves(rough: Costs, leaf_steps: int, num_slots: int, seconds: float) -> int:
    """Return the leaves of a sweep that takes about `seconds`, by its rough costs.

    At least two, and no more than show what advancing beside `num_slots` stored states costs.
    """
    reversing = rough.recording(leaf_steps, reach_stop=False) + leaf_steps * rough.pull_back
    per_leaf = 2 * leaf_steps * rough.advance + reversing
    in_time = int(seconds / max(per_leaf, MIN_SECONDS))
    return max(2, min(in_time, constants.LEAVES_PER_SLOT * num_slots + 1))


def _medians(found: list[Costs]) -> Costs:
    names = [field.name for field in dataclasses.fields(Costs)]
    return replace(
        found[0],
        **{name: statistics.median(getattr(costs, name) for costs in found) for name in names},
    )


def _with_restart_overhead(mean: Costs, long_advance: float, schedule: Revolve) -> Costs:
    """Split the mean cost of a step into that of a long advance and that of restarting.

    In a long run more steps are taken where their state is already, as in one long advance.
    """
    if mean.advance <= long_advance:
        return mean
    assert schedule.num_steps is not None
    leaf = schedule.leaf_steps
    leaves = num_leaves(schedule.num_steps, leaf)
    steps = leaf * minimal_advances(leaves, schedule.num_slots)
    restart_overhead = steps * (mean.advance - long_advance) / leaves
    return replace(mean, advance=long_advance, restart_overhead=restart_overhead)


def with_file(costs: Mapping[int, Costs], transfers: TransferCosts) -> dict[int, Costs]:
    """Return the costs for each leaf size, with those of transfers by an engine."""
    return {
        leaf: replace(
            without,
            write=transfers.write_while_computing,
            read=transfers.read_while_computing,
            post=transfers.post_seconds,
            slowdown=transfers.slowdown,
            read_slowdown=transfers.read_slowdown,
        )
        for leaf, without in costs.items()
    }


def first_part(layout: StateLayout, max_bytes: int) -> StateLayout:
    """Return the layout of the first `max_bytes` of a state; the last array may be cut."""
    fields: list[Field] = []
    for whole in layout.fields:
        room = max_bytes - whole.offset
        if whole.nbytes > room:
            count = max(0, room // whole.dtype.itemsize)
            fields += [replace(whole, shape=(count,))] if count else []
            break
        fields.append(whole)
    return StateLayout(tuple(fields))


def _part(block: Block, layout: StateLayout) -> Block:
    """Return the beginning of a block, in the same memory, as a block of that layout."""
    return Block(layout, block.bytes[: layout.moved_bytes])
