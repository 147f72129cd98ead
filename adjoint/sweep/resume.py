"""Continuing a run that has lost states, or that was killed.

Both are the same problem: some states are in the file or in slots, the live state or the adjoint is
somewhere, and a schedule is wanted that reverses what is left (`adjoint.schedules.ResumePoint`).
Nothing but time is lost: a missing state is recomputed from the nearest one before it, in the worst
case from the initial state, which the stepper can always make again.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import TransferError
from adjoint.parallel import Communicator
from adjoint.schedules import AdaptiveStream, ResumePoint, Schedule, fallback_schedule
from adjoint.schedules.costs import Costs
from adjoint.schedules.tapes_in_file.parameters import tape_pieces
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.protocol import Arrays, Stepper, copy_arrays
from adjoint.storage.blocks import Block
from adjoint.storage.checksums import hash_of
from adjoint.storage.journal_file import FORWARD, REVERSE
from adjoint.storage.row_keys import first_step
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.journal import Journal, SavedRecord
from adjoint.sweep.state import UNDEFINED, SweepState

__all__ = ["Recovery"]

LOG = logging.getLogger("adjoint")


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
        tapes = self._tapes(live if state.adjoint_at is None else state.adjoint_at)
        return self._resumed_at(
            ResumePoint(
                list(self.store), live, state.adjoint_at, in_memory=sorted(slots), tapes=tapes
            )
        )

    def take_up(self, journal: Journal, found: Sequence[SavedRecord]) -> AdaptiveStream | None:
        """Return the actions that are left of a run that was killed; None if it begins afresh.

        The stepper has just been started, and no slot is in use. `found` are the run's records, the
        latest first: if one cannot be read, the next one is taken.
        """
        for step in list(self.store):
            if step % self.schedule.leaf_steps:
                self.store.discard(step)
        if self._repeats(journal, found[0]):
            for record in found:
                self.stepper.start()
                journal.resume(record)
                if record.header.phase == REVERSE:
                    point = self._take_up_reverse(journal, record)
                else:
                    point = self._take_up_forward(journal, record)
                if point is not None:
                    return self._resumed_at(point)
        self._discard_from(0)
        self._tapes(0)
        self.stepper.start()
        Capabilities.of(self.stepper).accept_steps(np.empty((0, 2)))
        journal.begin()
        self.store.begin_evaluation(journal.evaluation)
        return None

    # -- a run that was killed ------------------------------------------------------------------

    def _repeats(self, journal: Journal, found: SavedRecord) -> bool:
        """Return whether the run's states are those that the stepper computes now, on all ranks.

        Compares the initial state, and takes the shortest stretch between two states in the file
        once more. What a step reads beside its arguments may have changed since.
        """
        if not Capabilities.of(self.stepper).reproducible:
            return True
        initial = hash_of(self.stepper.state)
        same = 0 not in self.store or not self._read_live(0) or self._is_live(initial)
        same = same and self._repeats_a_stretch(journal, found)
        if not same and self.comm.rank == 0:
            LOG.warning(
                "the run begins afresh: its steps no longer give the states that are in the file"
            )
        return same

    def _repeats_a_stretch(self, journal: Journal, found: SavedRecord) -> bool:
        steps = sorted({0, *self.store})
        for start, stop in sorted(pairwise(steps), key=lambda pair: pair[1] - pair[0]):
            if stop not in self.store:  # it could not be read as the start of a shorter stretch
                continue
            if self._make_live(start) and self._give_accepted(journal, found, stop):
                self.buffers.advance(start, stop, None)
                repeated = hash_of(self.stepper.state)
                if self._read_live(stop):
                    return self._is_live(repeated)
        return True

    def _make_live(self, step: int) -> bool:
        """Make a state live: the initial one by starting, others from the file, if they are there.

        Returns whether it is live, on all ranks.
        """
        if step == 0:
            self.stepper.start()
        return step == 0 or (step in self.store and self._read_live(step))

    def _is_live(self, expected: str) -> bool:
        """Return whether the live state has this hash, on all ranks."""
        return all(self.comm.gather(hash_of(self.stepper.state) == expected))

    def _take_up_reverse(self, journal: Journal, found: SavedRecord) -> ResumePoint | None:
        header, state = found.header, self.state
        sound = journal.load_reverse(found)
        if not (self._give_accepted(journal, found, header.accepted) and sound):
            return None
        self._discard_from(header.step)
        self._put_first_in_file()
        state.num_steps = state.frontier = header.num_steps or header.step
        state.adjoint_at, state.cost = header.step, header.cost
        state.position = UNDEFINED if len(self.store) else 0
        state.turned_at = time.perf_counter()
        tapes = self._tapes(header.step if len(self.store) else 0)
        return ResumePoint(list(self.store), None, header.step, tapes=tapes)

    def _take_up_forward(self, journal: Journal, found: SavedRecord) -> ResumePoint | None:
        """Go on from the last state in the file whose cost is known, or from that of the record."""
        header, state, costs = found.header, self.state, self.store.costs
        if not self._put_first_in_file():
            return None
        end = math.inf if state.num_steps is None else state.num_steps
        later = [s for s in self.store if header.step < s < end and s in costs]
        at, cost = None, 0.0
        for step in reversed(later):
            if self._read_live(step) and self._give_accepted(journal, found, step):
                at, cost = step, costs[step]
                break
        if at is None:
            at, cost = header.step, header.cost
            if not (self._load_live(journal, found) and self._give_accepted(journal, found, at)):
                return None
        self._discard_from(at + 1)
        state.position = state.frontier = at
        state.cost = cost
        return ResumePoint(list(self.store), at, tapes=self._tapes(at))

    def _load_live(self, journal: Journal, found: SavedRecord) -> bool:
        """Make the state of a record live; return whether it is as it was written, on all ranks."""
        sound: list[bool] = []

        def load(block: Block) -> None:
            sound.append(journal.load_state(found, block.arrays))

        if found.header.phase != FORWARD:
            return self._make_live(0)
        self.buffers.receive(found.header.step, load)
        return sound[0]

    def _give_accepted(self, journal: Journal, found: SavedRecord, count: int) -> bool:
        """Give back accepted steps; return whether they are all there."""
        if not journal.keeps_accepted:
            return True
        steps = journal.accepted_steps(found, count)
        Capabilities.of(self.stepper).accept_steps(steps)
        return len(steps) == count

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
        self.buffers.abandon_tapes()
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
        has = Capabilities.of(self.stepper)
        accepted = has.accepted_steps
        if not in_reverse:
            self._discard_from(0)
        elif len(slots) >= max(1, self.schedule.num_slots):
            self.buffers.discard(min(slots))
        self.buffers.receive(0, _leave_as_it_is)
        self.stepper.start()
        if accepted is not None:
            has.accept_steps(accepted)
        copy_arrays(adjoint, self.stepper.adjoint)
        for name, gradient in gradients.items():
            self.stepper.accumulators[name][...] = gradient
        self.state.position = 0
        if in_reverse:
            self.buffers.store(0)

    def _tapes(self, stop: int | None) -> list[int]:
        """Return the tapes in the file of leaves before `stop`, ascending; discard all others.

        Those that are not complete, and all where the schedule uses none.
        """
        leaf, end = self.schedule.leaf_steps, math.inf if stop is None else stop
        complete = self.store.tapes(tape_pieces(self.schedule))
        useful = [start for start in complete if start < end and start % leaf == 0]
        kept = set(useful)
        for key in self.store.keys_from(0):
            if key < 0 and first_step(key) not in kept:
                self.store.discard(key)
        return useful

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
