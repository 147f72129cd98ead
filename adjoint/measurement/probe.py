"""Measuring what a planner must know: the costs of steps, and of transfers by each engine.

The stepper is run for real, over its first steps, and started afresh afterwards. Every length is
agreed on between ranks, because steps may be collective. What is measured is what a sweep does, in
the same kind and number of buffers, through the same kind of store.
"""

import dataclasses
import math
import resource
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from adjoint.measurement import constants
from adjoint.measurement.calibration import Calibration, agreed_costs
from adjoint.measurement.engines import Survey, measure_engines, num_rows
from adjoint.measurement.first_steps import FirstSteps, clear
from adjoint.measurement.transfers import MIN_SECONDS, Computation, TransferCosts
from adjoint.parallel import Communicator, largest
from adjoint.planning.case import Case
from adjoint.schedules import Revolve, num_leaves
from adjoint.schedules.costs import Costs
from adjoint.schedules.revolve import minimal_advances
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.protocol import Stepper, copy_arrays
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

    Each leaves the stepper started afresh, and slots empty, and files removed.
    """

    stepper: Stepper
    num_steps: int
    """Of the run: measuring takes a small share of it."""
    grid: int
    """Only multiples of this number of steps are taken, as far as the run has as many."""
    memory: Callable[[int, int], Buffers]
    """Provides empty buffers for a number of slots and of steps in a leaf."""
    comm: Communicator
    _costs: Costs | None = field(default=None, init=False)
    _end: int = field(default=0, init=False)
    """The last step that is known to exist."""

    def __post_init__(self) -> None:
        self.grid = min(self.grid, self.num_steps)

    def costs(self) -> Costs:
        """Return the costs of steps, in leaves of `grid` steps repeated in the same memory.

        Measured once. Where a few steps are a large part of the run, only one of them is timed, and
        a step back taken to be two forward.
        """
        if self._costs is None:
            with self._started(0, self.grid):
                self._costs = self._rough_costs()
        return self._costs

    def costs_in_sweeps(self, cases: Sequence[Case], seconds: float) -> tuple[int, Costs]:
        """Return the leaf size of the case that is fastest in short sweeps, and what steps cost.

        Steps have costs of their own where a sweep finds its states, which depend on the leaf and
        on the slots. So sweeps of Revolve over a few leaves are timed, round by round one for each
        case. A case replaces the first only if it is predicted to be `MIN_TRIAL_SAVING` faster,
        on the median over rounds. All sweeps together take about `seconds`.
        """
        rough = self.costs()
        each = min(constants.TRIAL_SECONDS, seconds / len(cases) / (constants.MIN_ROUNDS + 1))
        rounds: list[list[Costs]] = []
        disturbed: list[list[Costs]] = []
        spent = 0.0
        while len(rounds) < constants.MIN_ROUNDS or spent < seconds:
            if len(rounds) + len(disturbed) == constants.MAX_ROUNDS:
                break
            began, put_off = time.perf_counter(), _times_put_off()
            order = range(len(cases))[:: -1 if len(rounds) % 2 else 1]
            found = {place: self._in_sweep(cases[place], rough, each) for place in order}
            spent += largest(time.perf_counter() - began, self.comm)
            is_disturbed = largest(_times_put_off() - put_off, self.comm) > 0
            (disturbed if is_disturbed else rounds).append([found[k] for k in range(len(cases))])
        if len(rounds) < constants.MIN_ROUNDS:
            rounds += disturbed
        return _fastest(cases, rounds)

    def engines(
        self,
        candidates: "Sequence[str | EngineFactory]",
        open_store: "Callable[[StateLayout, int, str | EngineFactory], FileStore]",
        *,
        exhaustive: bool = False,
    ) -> Survey:
        """Return what transfers by each engine cost beside these steps.

        Of large states only the first 16 MiB are transferred, and the costs are scaled.

        Parameters
        ----------
        candidates
            The engines, the likeliest first.
        open_store
            Opens an empty store, given the layout of a state, the number of states and the engine.
        exhaustive
            Measure all of them, and not only until one hides its transfers.

        Raises
        ------
        NonFiniteError
            The initial state is not finite, on any rank.
        """
        step_seconds = self.costs().advance
        with self._started(2, self.grid) as buffers:
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
                exhaustive=exhaustive,
            )
        factor = largest(whole.bytes.size / max(1, layout.moved_bytes), self.comm)
        return survey.scaled(max(1.0, factor))

    # -- single steps and leaves --------------------------------------------------------------

    def _rough_costs(self) -> Costs:
        """Time a few leaves, and a long advance, where the state stays in one place.

        The least times count, because what else the machine does only adds to them. Whether a leaf
        must reach its end for its tape is not measured as a difference: either its last step is
        taken, or it is not.
        """
        leaf, announced = self.grid, Capabilities.of(self.stepper).needs_last_state
        first = self._timed(partial(self.stepper.advance, 0, leaf))
        self._end = self._end_after(leaf)
        limit = max(constants.LONG_SECONDS, constants.PROBED_SHARE * self._run_seconds(first))
        if constants.REVERSAL * first > limit:
            step = first / leaf
            retaken = 1.0 if announced is None else float(announced)
            return Costs(advance=step, unreached=retaken * step, pull_back=2 * step)
        advance = record = pull_back = math.inf
        pairs, spent = 0, 0.0
        while pairs < constants.MIN_LEAF_PAIRS or (
            spent < limit / 4 and pairs < constants.MAX_LEAF_PAIRS
        ):
            self.stepper.start()
            advanced = self._timed(partial(self.stepper.advance, 0, leaf))
            recorded, pulled_back = self._leaf_seconds(leaf)
            advance, record = min(advance, advanced), min(record, recorded)
            pull_back, pairs = min(pull_back, pulled_back), pairs + 1
            spent += advanced + recorded + pulled_back
            if spent > limit:
                break
        taken = leaf - 1 if record < (leaf - 0.5) / leaf * advance else leaf
        if announced is not None:
            taken = leaf if announced else leaf - 1
        step = self._long_advance(advance)
        return Costs(
            advance=step,
            record=max(0.0, (record - taken * advance / leaf) / leaf),
            unreached=step * (taken == leaf),
            pull_back=pull_back / leaf,
        )

    def _long_advance(self, seconds: float) -> float:
        """Return the time of a step in longer and longer advances, from one of `grid` steps on."""
        length, longest = self.grid, min(constants.LONG_SECONDS, self._run_seconds(seconds) / 500)
        while seconds < longest and length < self._end:
            wanted = int(1.5 * longest / max(seconds, MIN_SECONDS))
            length = min(self._end, max(2, min(16, wanted)) * length)
            self.stepper.start()
            seconds = self._timed(partial(self.stepper.advance, 0, length))
            if Capabilities.of(self.stepper).finished:
                self._end = length = self._end_after(length)
        if Capabilities.of(self.stepper).finds_end:
            self._end = length  # no step beyond these is known to be there
        return seconds / length

    def _end_after(self, length: int) -> int:
        """Return the last step that may exist, after an advance over `length` steps."""
        stepper = Capabilities.of(self.stepper)
        if not stepper.finished:
            return self.num_steps
        return length if stepper.position is None else stepper.position

    def _run_seconds(self, leaf_seconds: float) -> float:
        """Return roughly what the run takes if so much is a leaf of `grid` steps."""
        return constants.REVERSAL * leaf_seconds * self.num_steps / self.grid

    def _leaf_seconds(self, leaf: int) -> tuple[float, float]:
        """Return the seconds to record the first leaf and to pull it back."""
        self.stepper.start()
        clear(self.stepper.adjoint)
        recorded = self._timed(partial(self.stepper.record, 0, leaf, reach_stop=False))
        return recorded, self._timed(partial(self.stepper.pull_back, 0, leaf))

    # -- short gradients ----------------------------------------------------------------------

    def _in_sweep(self, case: Case, rough: Costs, seconds: float) -> Costs:
        """Return the costs in one sweep of about `seconds`; each of the rank where it is largest.

        `rough` has those that such a sweep does not show: of transfers, and of a last step that is
        not reached.
        """
        count = _trial_leaves(rough, case.leaf_steps, case.num_slots, seconds)
        count = min(count, max(1, self._end // case.leaf_steps))
        slots = min(case.num_slots, count - 1)
        schedule = Revolve(count * case.leaf_steps, slots, leaf_steps=case.leaf_steps)
        with self._started(slots, case.leaf_steps) as buffers:
            self._leaf_seconds(case.leaf_steps)
            self.stepper.start()
            calibration = Calibration(Statistics)
            Sweep(FirstSteps(self.stepper), schedule.num_steps, buffers, None, self.comm).run(
                schedule, observer=calibration
            )
            found = agreed_costs(calibration.costs(rough), self.comm)
        return _with_restart_overhead(found, rough.advance, schedule)

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
    def _started(self, slots: int, leaf: int) -> Generator[Buffers, None, None]:
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


def _trial_leaves(rough: Costs, leaf_steps: int, num_slots: int, seconds: float) -> int:
    """Return the leaves of a sweep that takes about `seconds`, by its rough costs.

    At least two, and no more than show what advancing beside `num_slots` stored states costs.
    """
    reversing = rough.recording(leaf_steps, reach_stop=False) + leaf_steps * rough.pull_back
    per_leaf = 2 * leaf_steps * rough.advance + reversing
    in_time = int(seconds / max(per_leaf, MIN_SECONDS))
    return max(2, min(in_time, constants.LEAVES_PER_SLOT * num_slots + 1))


def _fastest(cases: Sequence[Case], rounds: Sequence[Sequence[Costs]]) -> tuple[int, Costs]:
    """Return the leaf of the case that was fastest, and the medians of its costs."""

    def ratio(place: int) -> float:
        return statistics.median(
            replace(cases[place], costs=found[place]).seconds
            / replace(cases[0], costs=found[0]).seconds
            for found in rounds
        )

    best = min(range(len(cases)), key=ratio)
    if ratio(best) > 1 - constants.MIN_TRIAL_SAVING:
        best = 0
    medians = {
        cost.name: statistics.median(getattr(found[best], cost.name) for found in rounds)
        for cost in dataclasses.fields(Costs)
    }
    return cases[best].leaf_steps, Costs(**medians)


def _times_put_off() -> int:
    """Return how often something else took this thread's core."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


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


def with_file(costs: Costs, transfers: TransferCosts) -> Costs:
    """Return the costs with those of transfers by an engine."""
    return replace(
        costs,
        write=transfers.write_while_computing,
        read=transfers.read_while_computing,
        post=transfers.post_seconds,
        slowdown=transfers.slowdown,
        read_slowdown=transfers.read_slowdown,
    )


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
