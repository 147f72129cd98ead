"""Going on with a run that has lost states, or that was killed.

Both come to the same: some states are in the file, the live state or the adjoint is somewhere, and
a schedule is wanted that reverses what is left (`adjoint.schedules.ResumePoint`). Nothing is lost
but time: a state that is not there is recomputed from one that is, at the worst from the initial
state, which the stepper can always make again.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import AdjointError, TransferError
from adjoint.parallel import Communicator
from adjoint.schedules import AdaptiveStream, ResumePoint, Schedule, fallback_schedule
from adjoint.schedules.costs import Costs
from adjoint.steppers.protocol import Arrays, Stepper, copy_arrays
from adjoint.storage.blocks import Block
from adjoint.storage.journal_file import FORWARD, REVERSE
from adjoint.storage.placement import Entry
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import Buffers
from adjoint.sweep.journal import Journal, SavedRecord

__all__ = ["Recovery", "SweepState"]

UNDEFINED = -1
"""The position of a live state that no step describes."""


@dataclass(slots=True)
class SweepState:
    """How far a sweep has come."""

    num_steps: int | None
    """Where the run ends; None until that is known."""
    position: int = 0
    """The step that the live state is at, or `UNDEFINED`."""
    frontier: int = 0
    """The steps before it have been taken once, and their costs counted."""
    adjoint_at: int | None = None
    """The step that the adjoint is at; None in the forward sweep."""
    cost: float = 0.0
    """This rank's running total up to the frontier."""


class Recovery:
    """What it takes to go on with a run. Every method is collective on `comm`."""

    def __init__(
        self,
        stepper: Stepper,
        buffers: Buffers,
        store: FileStore,
        comm: Communicator,
        schedule: Schedule,
        costs: Costs | None,
    ) -> None:
        self._stepper = stepper
        self._buffers = buffers
        self._store = store
        self._comm = comm
        self._schedule = schedule
        self._costs = Costs() if costs is None else costs

    def start_over(self, standing: SweepState, revised: Schedule | None = None) -> AdaptiveStream:
        """Return the actions that are left, from the states in the file and in slots.

        `revised` is the schedule as it would be made by the costs measured so far. No read into a
        slot is under way.
        """
        if revised is not None:
            self._schedule = revised
        self._store.settle_all()
        adjoint_at = standing.adjoint_at
        if adjoint_at is not None:
            self._keep_below(adjoint_at)
        if 0 not in self._store and 0 not in self._buffers.slots:
            self._begin_again(standing)
        goes_on = adjoint_at is None and standing.position != UNDEFINED
        live = standing.position if goes_on else None
        in_memory = sorted(self._buffers.slots)
        point = ResumePoint(list(self._store), live, adjoint_at, in_memory)
        return self._going_on(standing, point)

    def take_up(
        self, standing: SweepState, journal: Journal, found: SavedRecord
    ) -> AdaptiveStream | None:
        """Return the actions that are left of a run that was killed; None if it must start afresh.

        The stepper has just been started.
        """
        note = found.note
        states, posted = self._store.file.recall(self._comm, note.first_sequence)
        self._store.recall(states, posted)
        self._only_on_the_grid()
        if note.phase == REVERSE:
            return self._take_up_reverse(standing, journal, found)
        return self._take_up_forward(standing, journal, found, states)

    # -- a run that was killed ------------------------------------------------------------------

    def _take_up_reverse(
        self, standing: SweepState, journal: Journal, found: SavedRecord
    ) -> AdaptiveStream | None:
        note = found.note
        self._keep_below(note.step)
        self._have_first()
        if not journal.load_reverse(found):
            self._drop_all()
            self._stepper.start()
            return None
        self._give_accepted(journal, note.accepted)
        standing.num_steps = standing.frontier = note.num_steps or note.step
        standing.adjoint_at, standing.cost = note.step, note.cost
        standing.position = UNDEFINED if len(self._store) else 0
        return self._going_on(standing, ResumePoint(list(self._store), None, note.step))

    def _take_up_forward(
        self,
        standing: SweepState,
        journal: Journal,
        found: SavedRecord,
        states: dict[int, tuple[int, Entry]],
    ) -> AdaptiveStream | None:
        if not self._have_first():
            self._drop_all()
            self._stepper.start()
            return None
        note = found.note
        end = math.inf if standing.num_steps is None else standing.num_steps
        known = [s for s, (_, entry) in states.items() if s < end and math.isfinite(entry.cost)]
        candidates = sorted((s for s in known if s in self._store and s > note.step), reverse=True)
        at = next((s for s in candidates if self._read_live(s)), None)
        if at is not None:
            cost = states[at][1].cost
        elif note.phase == FORWARD:
            at, cost = note.step, note.cost
            self._buffers.receive(at, lambda block: journal.load_state(found, block.arrays))
        else:
            at, cost = 0, 0.0
            self._stepper.start()
        self._keep_below(at + 1)
        self._give_accepted(journal, at)
        standing.position = standing.frontier = at
        standing.cost = cost
        return self._going_on(standing, ResumePoint(list(self._store), at))

    def _read_live(self, step: int) -> bool:
        """Make a state in the file live; if any rank cannot, give it up and return False."""
        failure: list[AdjointError] = []

        def read(block: Block) -> None:
            try:
                self._store.prefetch(step, block)
                self._store.wait(step)
            except TransferError as error:
                failure.append(error)

        self._buffers.receive(step, read)
        if any(self._comm.gather(bool(failure))):
            self._store.forget(step)
            return False
        return True

    def _give_accepted(self, journal: Journal, count: int) -> None:
        accept: Any = getattr(self._stepper, "accept_steps", None)
        if accept is not None:
            accept(journal.accepted_steps(count))

    # -- what both need -------------------------------------------------------------------------

    def _going_on(self, standing: SweepState, situation: ResumePoint) -> AdaptiveStream:
        schedule = fallback_schedule(self._schedule, standing.num_steps, self._costs)
        return schedule.resume_from(situation)

    def _begin_again(self, standing: SweepState) -> None:
        """Make the initial state live, and leave all else that the stepper holds as it is.

        A rare event: the file has lost the one state that nothing in it can be recomputed from. In
        the reverse sweep the state is kept in a slot, beside all that is kept already.
        """
        adjoint = _copied(self._stepper.adjoint)
        gradients = _copied(self._stepper.accumulators)
        in_reverse = standing.adjoint_at is not None
        if not in_reverse:
            self._drop_all()
        elif len(self._buffers.slots) >= max(1, self._schedule.num_slots):
            self._buffers.discard(min(self._buffers.slots))
        self._buffers.receive(0, _nothing)
        self._stepper.start()
        copy_arrays(adjoint, self._stepper.adjoint)
        for name, grown in gradients.items():
            self._stepper.accumulators[name][...] = grown
        standing.position = 0
        if in_reverse:
            self._buffers.store(0)

    def _have_first(self) -> bool:
        """Have the initial state, which is live, in the file; return whether that was possible.

        If not, no state is left in it: there would be nothing to recompute what lies between from.
        """
        if 0 in self._store:
            return True
        if len(self._store) and not self._store.file.has_room:
            self._store.discard(max(self._store))
        self._buffers.store(0)
        failure = None
        try:
            self._store.offload(0, self._buffers.slots[0], 0.0)
            self._store.wait(0)
        except TransferError as error:
            failure = error
        failed = any(self._comm.gather(failure is not None or not self._store.has_row(0)))
        self._buffers.discard(0)
        if failed:
            self._store.forget(0)
            self._drop_all()
        return not failed

    def _keep_below(self, end: int) -> None:
        for step in list(self._store):
            if step >= end:
                self._store.discard(step)
        for step in [step for step in self._buffers.slots if step >= end]:
            self._buffers.discard(step)

    def _only_on_the_grid(self) -> None:
        for step in list(self._store):
            if step % self._schedule.leaf_steps:
                self._store.discard(step)

    def _drop_all(self) -> None:
        self._keep_below(0)


def _copied(arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {name: np.array(array[...]) for name, array in arrays.items()}


def _nothing(block: Block) -> None:
    del block
