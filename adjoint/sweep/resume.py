"""Continuing a run that has lost states, or that was killed.

Both are the same problem: some states are in the file or in slots, the live state or the adjoint is
somewhere, and a schedule is wanted that reverses what is left (`adjoint.schedules.ResumePoint`).
Nothing but time is lost: a missing state is recomputed from the nearest one before it, in the worst
case from the initial state, which the stepper can always make again.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import TransferError
from adjoint.parallel import Communicator
from adjoint.schedules import AdaptiveStream, ResumePoint, Schedule, fallback_schedule
from adjoint.schedules.costs import Costs
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.protocol import Arrays, Stepper, copy_arrays
from adjoint.storage.blocks import Block
from adjoint.storage.file_format import Entry
from adjoint.storage.journal_file import FORWARD, REVERSE
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.journal import Journal, SavedRecord
from adjoint.sweep.state import UNDEFINED, SweepState

__all__ = ["Recovery"]


@dataclass(frozen=True, slots=True)
class Recovery:
    """Continues one run from what is left of it. Every method is collective."""

    stepper: Stepper
    buffers: Buffers
    store: FileStore
    comm: Communicator
    state: SweepState
    """Where the sweep is; changed to where it continues."""
    schedule: Schedule
    """What was played. If it cannot be resumed itself, `fallback_schedule` takes over."""
    costs: Costs | None
    """What the schedule was planned on; None if it does not depend on costs."""

    def start_over(self) -> AdaptiveStream:
        """Return the actions that are left of a sweep that has lost states.

        No transfer is under way, and lost states are gone from the file and from the slots.
        """
        state, slots = self.state, self.buffers.slots
        live = None
        if state.adjoint_at is not None:
            self._discard_from(state.adjoint_at)
        elif state.position != UNDEFINED:
            live = state.position
            self._discard_from(live + 1)
        if 0 not in self.store and 0 not in slots:
            self._begin_again()
            live = 0 if state.adjoint_at is None else None
        return self._resumed_at(
            ResumePoint(list(self.store), live, state.adjoint_at, in_memory=sorted(slots))
        )

    def take_up(self, journal: Journal, found: SavedRecord) -> AdaptiveStream | None:
        """Return the actions that are left of a run that was killed; None if it must start afresh.

        The stepper has just been started, and no slot is in use.
        """
        header = found.header
        states, posted = self.store.file.recall(self.comm, header.first_sequence)
        self.store.recall(states, posted)
        for step in list(self.store):
            if step % self.schedule.leaf_steps:
                self.store.discard(step)
        if header.phase == REVERSE:
            return self._take_up_reverse(journal, found)
        return self._take_up_forward(journal, found, states)

    # -- a run that was killed ------------------------------------------------------------------

    def _take_up_reverse(self, journal: Journal, found: SavedRecord) -> AdaptiveStream | None:
        header, state = found.header, self.state
        self._discard_from(header.step)
        self._put_first_in_file()
        if not journal.load_reverse(found):
            self._discard_from(0)
            self.stepper.start()
            return None
        self._give_accepted(journal, header.accepted)
        state.num_steps = state.frontier = header.num_steps or header.step
        state.adjoint_at, state.cost = header.step, header.cost
        state.position = UNDEFINED if len(self.store) else 0
        state.turned_at = time.perf_counter()
        return self._resumed_at(ResumePoint(list(self.store), None, header.step))

    def _take_up_forward(
        self, journal: Journal, found: SavedRecord, states: dict[int, tuple[int, Entry]]
    ) -> AdaptiveStream | None:
        """Go on from the last state in the file whose cost is known, or from that of the record."""
        if not self._put_first_in_file():
            self._discard_from(0)
            self.stepper.start()
            return None
        header, state = found.header, self.state
        end = math.inf if state.num_steps is None else state.num_steps
        known = {s for s, (_, entry) in states.items() if s < end and math.isfinite(entry.cost)}
        # Only where the cost is known on all ranks: they must go on from the same state.
        known = set[int].intersection(*self.comm.gather(known))
        later = sorted((s for s in known if s in self.store and s > header.step), reverse=True)
        at = next((s for s in later if self._read_live(s)), None)
        if at is not None:
            cost = states[at][1].cost
        elif header.phase == FORWARD:
            at, cost = header.step, header.cost
            self.buffers.receive(at, lambda block: journal.load_state(found, block.arrays))
        else:
            at, cost = 0, 0.0
            self.stepper.start()
        self._discard_from(at + 1)
        self._give_accepted(journal, at)
        state.position = state.frontier = at
        state.cost = cost
        return self._resumed_at(ResumePoint(list(self.store), at))

    def _give_accepted(self, journal: Journal, count: int) -> None:
        Capabilities.of(self.stepper).accept_steps(journal.accepted_steps(count))

    def _put_first_in_file(self) -> bool:
        """Put the initial state, which is live, in the file; return whether it is there.

        If not, no state is left in the file: later states would be of no use without it.
        """
        store = self.store
        if 0 in store:
            return True
        if len(store) and not store.file.has_room:
            store.discard(max(store))
        self.buffers.store(0)
        failed = False
        try:
            store.offload(0, self.buffers.slots[0], 0.0)
            store.wait(0)
        except TransferError:
            failed = True
        failed = any(self.comm.gather(failed or not store.has_row(0)))
        self.buffers.discard(0)
        if failed:
            store.forget(0)
            self._discard_from(0)
        return not failed

    # -- what both need -------------------------------------------------------------------------

    def _resumed_at(self, point: ResumePoint) -> AdaptiveStream:
        costs = Costs() if self.costs is None else self.costs
        schedule = fallback_schedule(self.schedule, self.state.num_steps, costs)
        return schedule.resume_from(point)

    def _read_live(self, step: int) -> bool:
        """Make a state in the file live; if any rank cannot read it, forget it and return False."""
        failed: list[TransferError] = []

        def read(block: Block) -> None:
            try:
                self.store.prefetch(step, block)
                self.store.wait(step)
            except TransferError as error:
                failed.append(error)

        self.buffers.receive(step, read)
        if any(self.comm.gather(bool(failed))):
            self.store.forget(step)
            return False
        return True

    def _begin_again(self) -> None:
        """Make the initial state live again; adjoint and gradients stay.

        Rare: the file has lost the one state that everything can be recomputed from. In the forward
        sweep no other state is kept then; in the reverse sweep the initial state takes a slot
        beside the others, that of the earliest if all are in use.
        """
        slots, in_reverse = self.buffers.slots, self.state.adjoint_at is not None
        adjoint = _copied(self.stepper.adjoint)
        gradients = _copied(self.stepper.accumulators)
        if not in_reverse:
            self._discard_from(0)
        elif len(slots) >= max(1, self.schedule.num_slots):
            self.buffers.discard(min(slots))
        self.buffers.receive(0, _leave_as_it_is)
        self.stepper.start()
        copy_arrays(adjoint, self.stepper.adjoint)
        for name, gradient in gradients.items():
            self.stepper.accumulators[name][...] = gradient
        self.state.position = 0
        if in_reverse:
            self.buffers.store(0)

    def _discard_from(self, start: int) -> None:
        """Discard the states from step `start` on, in the file and in slots."""
        for step in [step for step in self.store if step >= start]:
            self.store.discard(step)
        for step in [step for step in self.buffers.slots if step >= start]:
            self.buffers.discard(step)


def _copied(arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {name: np.array(array[...]) for name, array in arrays.items()}


def _leave_as_it_is(block: Block) -> None:
    del block
