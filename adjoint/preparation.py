"""Getting ready for a sweep: measure, plan, then set aside memory and open the file, once.

What comes out, `Equipment`, serves every later evaluation of the same functional.
"""

import importlib
import math
import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from adjoint.agreement import smallest
from adjoint.budgets import Budget, leaf_sizes, parse_bytes
from adjoint.buffers import AdoptingBuffers, Buffers, CopyingBuffers
from adjoint.comm import Communicator
from adjoint.costs import Costs
from adjoint.errors import ArgumentError
from adjoint.planning import Plan, choose, without_measuring
from adjoint.probing import PROBED_STATES, Probe
from adjoint.report import Report, in_words
from adjoint.schedules import Schedule, num_leaves
from adjoint.stepping import Adopting, Stepper
from adjoint.storage.layout import StateLayout
from adjoint.storage.slots import BlockPool
from adjoint.storage.transfer import Statistics
from adjoint.sweep import Sweep

if TYPE_CHECKING:
    from adjoint.storage.file_store import FileStore

__all__ = ["Equipment", "Wishes", "prepare"]

PROBED_LEAVES = (1, 4, 16)
"""Leaves that are measured, where memory and the number of steps allow it."""

PROBED_SHARE = 32
"""A run has at least so many times the steps of a probed leaf: the probe must cost little."""

CHANNEL_SHARE = 0.1
"""How much of the file's probed speed of writing a plan counts on: a few states go to the page
cache, many go to the disk, which is some times slower."""

FILE_MUST_SAVE = 0.05
"""A plan with a file is taken only if it is predicted to save this share: predictions err."""

DEFAULT_MEMORY_SHARE = 4
"""Without `memory`, all ranks together use this part of the machine's memory: one in four."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller asked for."""

    num_steps: int
    memory: int | str | None = None
    disk: int | str | None = None
    file: str | os.PathLike[str] | None = None
    schedule: Schedule | None = None
    engine: str | None = None


@dataclass(slots=True)
class Equipment:
    """A schedule, and all that it takes to play it."""

    schedule: Schedule
    reason: str
    predicted_seconds: float
    probe_seconds: float
    layout: StateLayout
    pool: BlockPool
    buffers: Buffers
    store: "FileStore | None"
    tape_bytes: int

    def statistics(self) -> Statistics:
        """Return what the engine has moved so far, and how long it took."""
        return Statistics() if self.store is None else replace(self.store.engine.statistics)

    def report(self, sweep: Sweep, before: Statistics, began: float, ended: float) -> Report:
        """Return the figures of a sweep that ended; `before` is what `statistics` said first."""
        after = self.statistics()
        blocked = after.wait_seconds + after.post_seconds
        return Report(
            schedule=in_words(self.schedule),
            reason=self.reason,
            num_steps=sweep.num_steps,
            state_bytes=self.layout.nbytes,
            memory_bytes=self._most_blocks() * self.layout.memory_bytes + self.tape_bytes,
            actions=sweep.actions,
            advanced_steps=sweep.advanced_steps,
            recorded_steps=sweep.recorded_steps,
            forward_seconds=sweep.turned_at - began,
            reverse_seconds=ended - sweep.turned_at,
            predicted_seconds=self.predicted_seconds,
            probe_seconds=self.probe_seconds,
            bytes_written=after.bytes_written - before.bytes_written,
            bytes_read=after.bytes_read - before.bytes_read,
            transfer_seconds=after.transfer_seconds - before.transfer_seconds,
            wait_seconds=blocked - before.wait_seconds - before.post_seconds,
        )

    def _most_blocks(self) -> int:
        """Return the blocks in use at the most; where tapes are kept, with the room for them."""
        if self.schedule.num_tapes == 1:
            return self.pool.peak
        return max(self.pool.peak, self.schedule.num_slots)

    def close(self) -> None:
        """Close the file, give back the memory. Collective."""
        try:
            if self.store is not None:
                self.store.close()
        finally:
            self.buffers.release()


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

    def __post_init__(self) -> None:
        self.layout = StateLayout.of(self.stepper.state)
        self.adopts = isinstance(self.stepper, Adopting)

    def equipment(self) -> Equipment:
        wishes = self.wishes
        began = time.perf_counter()
        if wishes.file is not None:
            self._opening().check(wishes.file, self.comm, self.layout, self._fingerprint())
        if wishes.schedule is not None:
            schedule, plan = self._admitted(wishes.schedule), None
        else:
            plan = self._plan()
            schedule = plan.schedule
        seconds = time.perf_counter() - began
        leaf = schedule.leaf_steps
        pool, buffers = self._memory(schedule.num_slots, sparing=schedule.num_tapes > 1)
        return Equipment(
            schedule,
            plan.reason if plan else "",
            plan.predicted_seconds if plan else math.nan,
            seconds,
            self.layout,
            pool,
            buffers,
            self._store(schedule.file_states),
            _tape_bytes(self.stepper, self.layout, leaf),
        )

    # -- planning -----------------------------------------------------------------------------

    def _plan(self) -> Plan:
        n = self.wishes.num_steps
        budget = self._budget()
        plan = without_measuring(n, budget)
        if plan is not None:
            return plan
        fitting = [leaf for leaf in PROBED_LEAVES if leaf in budget.slots]
        sizes = [leaf for leaf in fitting if leaf * PROBED_SHARE <= n] or [min(budget.slots)]
        _, buffers = self._memory(min(2, *(budget.slots[leaf] for leaf in sizes)))
        try:
            sizes = [min(leaf, n) for leaf in sizes]
            probe = Probe(self.stepper, n, tuple(sizes), buffers, self.comm)
            costs = probe.stepper_costs()
            if budget.file_states:
                # Failing within: to close the store is collective, and one rank alone must not.
                with self._probed_store() as store, self.comm.failing():
                    costs = _at_the_disks_pace(probe.file_costs(costs, store))
        finally:
            buffers.release()
        return choose(n, costs, budget, file_must_save=FILE_MUST_SAVE)

    def _budget(self) -> Budget:
        memory = (
            parse_bytes(self.wishes.memory)
            if self.wishes.memory is not None
            else self._default_memory()
        )
        n, insisted = self.wishes.num_steps, getattr(self.stepper, "leaf_steps", None)
        sizes = leaf_sizes(n, insisted)
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
        if num_leaves(self.wishes.num_steps, leaf) == 1:
            return 0
        return 1 if self.wishes.file is None else 2

    def _file_states(self) -> int:
        if self.wishes.file is None:
            return 0
        if self.wishes.disk is None:
            return self.wishes.num_steps
        disk = parse_bytes(self.wishes.disk)
        row = sum(self.comm.gather(self.layout.block_bytes))
        if disk < row:
            raise ArgumentError(f"disk={disk} bytes has no room for one state of {row} bytes")
        return min(self.wishes.num_steps, disk // row)

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
        if file_states == 0:
            return None
        assert self.wishes.file is not None
        return self._open(self.wishes.file, file_states)

    @contextmanager
    def _probed_store(self) -> Generator["FileStore", None, None]:
        assert self.wishes.file is not None
        folder = os.path.dirname(os.path.abspath(self.wishes.file))
        if os.path.isdir(self.wishes.file):
            folder = os.fspath(self.wishes.file)
        with self._open(folder, PROBED_STATES) as store:
            yield store

    def _open(self, place: str | os.PathLike[str], states: int) -> "FileStore":
        made_for, engine = self._fingerprint(), self.wishes.engine
        opening = self._opening()
        return opening.open_store(place, self.comm, self.layout, states, made_for, engine=engine)

    def _opening(self) -> Any:
        # Loaded only where there is a file: importing h5py under mpirun may initialise MPI.
        return importlib.import_module("adjoint.storage.opening")

    def _fingerprint(self) -> bytes:
        own = getattr(self.stepper, "fingerprint", bytes)()
        own = own.encode() if isinstance(own, str) else bytes(own)
        return f"{self.wishes.num_steps} steps;".encode() + own


def _at_the_disks_pace(costs: Mapping[int, Costs]) -> dict[int, Costs]:
    """Return costs with writes as slow as a disk may be once the page cache is full."""
    return {leaf: replace(paid, write=paid.write / CHANNEL_SHARE) for leaf, paid in costs.items()}


def _tape_bytes(stepper: Stepper, layout: StateLayout, leaf_steps: int) -> int:
    announced = getattr(stepper, "tape_bytes", None)
    return leaf_steps * layout.nbytes if announced is None else announced(leaf_steps)
