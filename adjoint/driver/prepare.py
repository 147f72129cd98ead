"""Getting ready for a sweep: measure, plan, then set aside memory and open the file, once.

What comes out, `Equipment`, serves every later evaluation of the same functional.
"""

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from adjoint.driver.evaluate import Equipment
from adjoint.driver.file_access import FileAccess
from adjoint.driver.options import Wishes
from adjoint.errors import ArgumentError, TransferError
from adjoint.measurement.probe import Probe, with_file
from adjoint.measurement.transfers import best
from adjoint.parallel import Communicator, smallest
from adjoint.planning.budget import Budget, leaf_sizes
from adjoint.planning.candidates import interpolate_costs
from adjoint.planning.planner import Plan, choose, without_measuring
from adjoint.planning.prediction import Prediction
from adjoint.schedules import Online, Schedule, Spilling, num_leaves
from adjoint.schedules.costs import Costs
from adjoint.steppers.protocol import Adopting, Stepper
from adjoint.storage.blocks import BlockPool
from adjoint.storage.state_layout import StateLayout
from adjoint.sweep.buffers import AdoptingBuffers, Buffers, CopyingBuffers
from adjoint.sweep.journal import Journal, SavedRecord
from adjoint.units import parse_bytes

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory
    from adjoint.storage.store import FileStore

__all__ = ["prepare"]

PROBED_LEAVES = (1, 4, 16)
"""Leaves that are measured, where memory and the number of steps allow it."""

PROBED_SHARE = 32
"""A run has at least so many times the steps of a probed leaf: the probe must cost little."""

FILE_MUST_SAVE = 0.05
"""A plan with a file is taken only if it is predicted to save this share: predictions err."""

STEERED_WITHIN = 0.02
"""A schedule that follows what transfers really take is worth so much more time, as predicted."""

CHEAP_BYTES = 64 << 20
"""So much memory is touched in a moment: where it holds every state, nothing is computed again."""

NOTED_ENGINES = ("mpi", "thread", "direct")
"""What a journal may say of the engine."""

SPARE_ROWS = 64

MOST_ROWS = 1 << 16
"""Of a file for a run whose end is not known."""

LIKELY_STEPS = 10**6
"""What a run whose end is not known is planned for."""

MOST_STEPS = 1 << 62
"""No run has more."""

DEFAULT_MEMORY_SHARE = 4
"""Without `memory`, all ranks together use this part of the machine's memory: one in four."""


def prepare(stepper: Stepper, wishes: Wishes, comm: Communicator) -> Equipment:
    """Return what a sweep needs. Collective; runs a few of the stepper's steps if it must measure.

    Raises
    ------
    ArgumentError
        The budgets have no room for what the sweep needs at the least.
    SnapshotFileError
        The file cannot be made, is not ours, or is another problem's.
    """
    return _Preparation(stepper, wishes, comm).equipment()


@dataclass(slots=True)
class _Preparation:
    stepper: Stepper
    wishes: Wishes
    comm: Communicator
    layout: StateLayout = field(init=False)
    adopts: bool = field(init=False)
    """Whether the stepper is to compute in our blocks, which takes one more of them."""
    access: FileAccess | None = None
    """To the file, if there is to be one."""
    costs: Costs | None = None
    """Of the leaf that was chosen, once they are measured."""
    engine: "str | EngineFactory | None" = None
    """What moves states, once that is chosen."""
    engine_reason: str = ""
    file_failure: str = ""
    """What made the file unfit for states, when it was tried."""

    def __post_init__(self) -> None:
        self.layout = StateLayout.of(self.stepper.state)
        self.adopts = isinstance(self.stepper, Adopting)
        self.engine = self.wishes.engine
        if self.wishes.file is not None:
            self.access = FileAccess(self.stepper, self.wishes, self.comm, self.layout)

    def equipment(self) -> Equipment:
        wishes = self.wishes
        began = time.perf_counter()
        access = self.access
        rows = None if access is None else access.rows_found()
        if access is not None and wishes.resume and rows is not None:
            resumed = self._resumed(access, rows, began)
            if resumed is not None:
                return resumed
        if wishes.schedule is not None:
            schedule = self._admitted(wishes.schedule)
            plan = Plan(schedule, math.nan, "")
        else:
            plan = self._plan()
        store = self._store(plan.schedule.file_states)
        if access is None or store is None:
            return self._equipped(plan, store, None, None, began)
        journal = None
        try:
            journal = access.journal(store)
            return self._equipped(plan, store, journal, None, began)
        except BaseException:
            _close(store, journal)
            raise

    def _equipped(
        self,
        plan: Plan,
        store: "FileStore | None",
        journal: Journal | None,
        found: SavedRecord | None,
        began: float,
    ) -> Equipment:
        schedule = plan.schedule
        seconds = time.perf_counter() - began
        pool, buffers = self._memory(schedule.num_slots, sparing=schedule.num_tapes > 1)
        return Equipment(
            schedule,
            self.costs,
            plan.reason,
            Prediction(schedule, self.costs, plan.predicted_seconds),
            seconds,
            self.layout,
            pool,
            buffers,
            store,
            _tape_bytes(self.stepper, self.layout, schedule.leaf_steps),
            journal,
            found,
            self.access,
            self.engine if isinstance(self.engine, str) else "",
            self.engine_reason,
        )

    # -- a run that was killed ----------------------------------------------------------------

    def _resumed(self, access: FileAccess, rows: int, began: float) -> Equipment | None:
        """Return the equipment to go on with what the file has; None if it has nothing."""
        store = access.opened(rows, self.engine, resume=True)
        journal = None
        try:
            journal = access.journal(store)
            found = None if journal is None else journal.find()
            if found is not None:
                plan = self._planned_again(found.note.plan, rows)
                noted = found.note.plan.get("engine")
                if self.engine is None and noted in NOTED_ENGINES:
                    store.close()
                    self.engine, self.engine_reason = noted, "as the run before"
                    store = access.opened(rows, self.engine, resume=True)
                return self._equipped(plan, store, journal, found, began)
        except BaseException:
            _close(store, journal)
            raise
        _close(store, journal)
        return None

    def _planned_again(self, noted: Mapping[str, Any], rows: int) -> Plan:
        """Return the plan for the leaves, and on the costs, of the run that was killed."""
        leaf = int(noted["leaf_steps"])
        if self.wishes.schedule is not None:
            schedule = self._admitted(self.wishes.schedule)
            if schedule.leaf_steps != leaf:
                raise ArgumentError(
                    f"the run to be resumed has leaves of {leaf} steps, the schedule has "
                    f"{schedule.leaf_steps}: give it leaf_steps={leaf}"
                )
            return Plan(schedule, math.nan, "")
        if noted["costs"] is None:
            return self._plan(only=leaf)
        self.costs = Costs.of_numbers(noted["costs"])
        budget = self._budget(only=leaf)
        budget = replace(budget, file_states=min(budget.file_states, rows))
        if self.wishes.num_steps is None:
            return self._open_ended_plan({leaf: self.costs}, budget)
        return self._chosen(self.wishes.num_steps, {leaf: self.costs}, budget)

    # -- planning -----------------------------------------------------------------------------

    def _plan(self, *, only: int | None = None) -> Plan:
        """Return the best plan; with `only`, of those with leaves of that size."""
        n = self.wishes.num_steps
        budget = self._budget(only=only)
        cheap = CHEAP_BYTES // max(1, *self.comm.gather(self.layout.memory_bytes))
        plan = None if n is None else without_measuring(n, budget, cheap_slots=cheap)
        if plan is not None:
            return plan
        costs = self._measured(budget)
        if self.file_failure:
            budget = replace(budget, file_states=0)
        if n is None:
            plan = self._open_ended_plan(costs, budget)
        else:
            plan = self._chosen(n, costs, budget)
            self.costs = interpolate_costs(plan.schedule.leaf_steps, costs)
        if self.file_failure:
            failure = f"no state goes to the file, which failed in the probe: {self.file_failure}"
            return replace(plan, reason=f"{plan.reason}; {failure}")
        return plan

    def _chosen(self, num_steps: int, costs: Mapping[int, Costs], budget: Budget) -> Plan:
        return choose(
            num_steps,
            costs,
            budget,
            file_must_save=FILE_MUST_SAVE,
            adaptive_tolerance=STEERED_WITHIN,
        )

    def _open_ended_plan(self, costs: Mapping[int, Costs], budget: Budget) -> Plan:
        """Return the plan for a run whose end is not known: the leaf of a long run's plan."""
        likely = choose(LIKELY_STEPS, costs, budget)
        leaf = likely.schedule.leaf_steps
        self.costs = paid = interpolate_costs(leaf, costs)
        slots = max(1, budget.slots[leaf])
        if budget.file_states < 2:
            online = Online(slots, leaf_steps=leaf)
            return Plan(online, math.nan, "the end of the run is not known, and there is no file")
        per_leaf = leaf * paid.advance
        interval = leaf * max(1.0, paid.write / per_leaf if per_leaf else 1.0)
        spilling = Spilling(
            None, slots, interval, costs=paid, leaf_steps=leaf, max_file_states=budget.file_states
        )
        return Plan(spilling, math.nan, "the end of the run is not known")

    def _measured(self, budget: Budget) -> dict[int, Costs]:
        """Return what steps and transfers take, by leaf size."""
        n = MOST_STEPS if self.wishes.num_steps is None else self.wishes.num_steps
        fitting = [leaf for leaf in PROBED_LEAVES if leaf in budget.slots]
        sizes = [leaf for leaf in fitting if leaf * PROBED_SHARE <= n] or [min(budget.slots)]
        slots = {min(leaf, n): budget.slots[leaf] for leaf in sizes}
        probe = Probe(self.stepper, n, slots, self._probed_memory, self.comm)
        costs = probe.stepper_costs()
        if budget.file_states and self.access is not None:
            survey = probe.engines(self._candidates(), self.access.opened_for_probe)
            try:
                choice = best(survey)
            except TransferError as failed:
                self.file_failure = str(failed)
                return costs
            self.engine, self.engine_reason = choice.engine, choice.reason
            costs = with_file(costs, choice.overlap)
        return costs

    def _probed_memory(self, num_slots: int) -> Buffers:
        """Return buffers that are touched already, as they will be but for a moment."""
        pool, buffers = self._memory(num_slots)
        pool.touch(num_slots + self.adopts)
        return buffers

    def _candidates(self) -> "list[str | EngineFactory]":
        """Return the engines that may be used."""
        if self.engine is not None:
            return [self.engine]
        return ["direct", "thread"] if self.comm.mpi is None else ["mpi", "direct", "thread"]

    def _budget(self, *, only: int | None = None) -> Budget:
        """Return what may be used; with `only`, for leaves of that size alone."""
        memory = (
            parse_bytes(self.wishes.memory)
            if self.wishes.memory is not None
            else self._default_memory()
        )
        insisted = getattr(self.stepper, "leaf_steps", None) if only is None else only
        sizes = leaf_sizes(self._most_steps(), insisted)
        slots = self._slots(memory, sizes)
        if not slots and self.adopts:
            self.adopts = False
            slots = self._slots(memory, sizes)
        if not slots:
            raise self._too_small(memory, sizes[0])
        blocks = {leaf: self._tape_slots(leaf) for leaf in slots}
        return Budget(slots, self._file_states(), blocks)

    def _slots(self, memory: int, sizes: list[int]) -> dict[int, int]:
        """Return the slots beside its tape, on the tightest rank, for each leaf that fits."""
        tapes = [_tape_bytes(self.stepper, self.layout, leaf) for leaf in sizes]
        block = max(1, self.layout.memory_bytes)
        ranks = self.comm.gather([(memory - tape) // block - self.adopts for tape in tapes])
        tightest = [min(slots) for slots in zip(*ranks, strict=True)]
        fitting = zip(sizes, tightest, strict=True)
        return {leaf: slots for leaf, slots in fitting if slots >= self._least_slots(leaf)}

    def _least_slots(self, leaf: int) -> int:
        if num_leaves(self._most_steps(), leaf) == 1:
            return 0
        return 1 if self.wishes.file is None else 2

    def _file_states(self) -> int:
        if self.wishes.file is None:
            return 0
        most = MOST_ROWS if self.wishes.num_steps is None else self.wishes.num_steps
        if self.wishes.disk is None:
            return most
        disk = parse_bytes(self.wishes.disk)
        row = sum(self.comm.gather(self.layout.block_bytes))
        journal = 0 if self.access is None else self.access.journal_bytes()
        if disk < row + journal:
            besides = f" besides {journal} for the journal" if journal else ""
            raise ArgumentError(
                f"disk={disk} bytes has no room for one state of {row} bytes{besides}"
            )
        return min(most, (disk - journal) // row)

    def _most_steps(self) -> int:
        """Return how many steps there are, as far as that is known."""
        return LIKELY_STEPS if self.wishes.num_steps is None else self.wishes.num_steps

    def _default_memory(self) -> int:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return smallest(machine // DEFAULT_MEMORY_SHARE // self.comm.size, self.comm)

    def _too_small(self, memory: int, leaf: int) -> ArgumentError:
        blocks = self._least_slots(leaf)
        needed = _tape_bytes(self.stepper, self.layout, leaf) + blocks * self.layout.memory_bytes
        return ArgumentError(
            f"memory={memory} bytes is too little: the tape of {leaf} steps and the fewest slots "
            f"take {max(self.comm.gather(needed))} bytes on the rank with the largest state"
        )

    def _admitted(self, schedule: Schedule) -> Schedule:
        insisted = getattr(self.stepper, "leaf_steps", None)
        if schedule.num_steps not in {None, self.wishes.num_steps}:
            raise ArgumentError(
                f"the schedule has {schedule.num_steps} steps, num_steps is {self.wishes.num_steps}"
            )
        if insisted is not None and schedule.leaf_steps != insisted:
            raise ArgumentError(
                f"the stepper insists on leaves of {insisted} steps, "
                f"the schedule has {schedule.leaf_steps}"
            )
        self._require_tapes_fit(schedule)
        if schedule.file_states and self.wishes.file is None:
            raise ArgumentError(f"{schedule!r} keeps states in a file: give file=")
        if self.wishes.memory is not None:
            self._require_fits(schedule)
        if self.wishes.disk is not None and schedule.file_states > self._file_states():
            raise ArgumentError(
                f"the schedule keeps {schedule.file_states} states in the file, "
                f"disk={self.wishes.disk!r} has room for {self._file_states()}"
            )
        return schedule

    def _require_tapes_fit(self, schedule: Schedule) -> None:
        if schedule.num_tapes == 1:
            return
        needed = self._tape_slots(schedule.leaf_steps)
        if schedule.tape_slots < needed:
            raise ArgumentError(
                f"{schedule!r} counts {schedule.tape_slots} slots for a tape that takes {needed}: "
                f"make it with tape_slots={needed}"
            )

    def _tape_slots(self, leaf: int) -> int:
        """Return the slots that a kept tape takes, on the rank where it takes most."""
        tape = _tape_bytes(self.stepper, self.layout, leaf)
        return max(1, *self.comm.gather(-(-tape // max(1, self.layout.memory_bytes))))

    def _require_fits(self, schedule: Schedule) -> None:
        assert self.wishes.memory is not None
        memory = parse_bytes(self.wishes.memory)
        tape = _tape_bytes(self.stepper, self.layout, schedule.leaf_steps)
        blocks = schedule.num_slots + self.adopts
        needed = max(self.comm.gather(tape + blocks * self.layout.memory_bytes))
        if needed > memory:
            raise ArgumentError(
                f"{schedule!r} takes {needed} bytes a rank, memory={memory} allows less"
            )

    # -- equipping ----------------------------------------------------------------------------

    def _memory(self, num_slots: int, *, sparing: bool = False) -> tuple[BlockPool, Buffers]:
        pool = BlockPool(self.layout, num_slots + 1, sparing=sparing)
        return pool, (AdoptingBuffers if self.adopts else CopyingBuffers)(self.stepper, pool)

    def _store(self, file_states: int) -> "FileStore | None":
        """Open the file, if there is one: what is kept has a journal, whatever the schedule."""
        access = self.access
        if access is None or (file_states == 0 and access.is_folder()):
            return None
        # Rows cost nothing until they are used; with more of them, the spacing may become finer.
        rows = min(self._file_states(), 2 * file_states + SPARE_ROWS)
        if self.wishes.schedule is not None or file_states == 0:
            rows = max(1, file_states)
        return access.opened(max(rows, file_states), self.engine)


def _close(store: "FileStore", journal: Journal | None) -> None:
    if journal is not None:
        journal.close()
    store.close()


def _tape_bytes(stepper: Stepper, layout: StateLayout, leaf_steps: int) -> int:
    announced = getattr(stepper, "tape_bytes", None)
    return leaf_steps * layout.nbytes if announced is None else announced(leaf_steps)
