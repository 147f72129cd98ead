"""What must be known of a run before it is planned, measured as far as it can change the plan.

First a few steps, which say roughly what the run takes; then, of a long run, short sweeps with
leaves of a few sizes; then the file, if it could save more than measuring it costs.
"""

import os
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from adjoint.driver import constants
from adjoint.driver.run import Run
from adjoint.errors import TransferError
from adjoint.measurement.engines import Choice, Survey, choose_engine, likeliest_first
from adjoint.measurement.probe import Probe, with_file
from adjoint.measurement.remembered import remember, remembered
from adjoint.measurement.touch import touch_speed
from adjoint.measurement.transfers import TransferCosts
from adjoint.planning.budget import Budget
from adjoint.planning.case import Case
from adjoint.planning.draft import PLANNING_SHARE, Draft
from adjoint.planning.tapes import with_pieces
from adjoint.schedules.costs import Costs
from adjoint.storage.engines.registry import candidate_names
from adjoint.sweep.buffers import Buffers

if TYPE_CHECKING:
    from adjoint.storage.engines.registry import EngineFactory

__all__ = ["Measured", "measure"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured: the same on every rank."""

    costs: Costs
    budget: Budget
    """What may be used: the file only if that can pay, and was found to work."""
    engine: "str | EngineFactory | None"
    """What moves states to the file: what the caller gave, or the best one."""
    engine_reason: str = ""
    """Why it is the best one; empty if no transfer was measured."""
    file_failure: str = ""
    """The error of the file, if no state can be stored in it; empty otherwise."""


def measure(run: Run, budget: Budget) -> Measured:
    """Run a few of the stepper's steps, and transfers if they can pay. Collective.

    The stepper is started afresh. Temporary files are removed.

    Raises
    ------
    NonFiniteError
        On every rank: a state is not finite.
    SnapshotFileError
        On every rank: there can be no file, or no engine can be used on it.
    """
    n, comm, memory = run.planned_steps, run.comm, partial(_touched_buffers, run)
    probe = Probe(run.stepper, n, min(budget.slots), memory, comm)
    draft = Draft.of(n, probe.costs(), budget, touch_speed=partial(touch_speed, comm))
    # A sweep might go past an end that nobody knows.
    is_long = draft.plan.predicted_seconds > constants.MIN_TRIAL_RUN_SECONDS
    if is_long and run.num_steps is not None:
        seconds = PLANNING_SHARE * draft.plan.predicted_seconds
        leaf, costs = probe.costs_in_sweeps(_trial_cases(draft), seconds)
        draft = Draft.by(n, costs, replace(draft.budget, retaking_leaf=leaf))
    if run.file is None or not budget.file_states:
        return Measured(draft.costs, draft.budget, run.options.engine)
    return _with_file(run, probe, draft)


def _trial_cases(draft: Draft) -> list[Case]:
    """Return the run in leaves of the planned size, of half and of twice as many steps."""
    leaf, n, budget = draft.plan.schedule.leaf_steps, draft.plan.schedule.num_steps, draft.budget
    assert n is not None
    near = {leaf: None}
    for ideal in (2 * leaf, leaf // 2):
        near[min(budget.slots, key=lambda size: abs(size - ideal))] = None
    return [
        Case(n, size, budget.slots[size], 0, budget.tape_slots.get(size, 0), draft.costs)
        for size in near
        if budget.slots[size]
    ]


# -- the file -----------------------------------------------------------------------------------


def _with_file(run: Run, probe: Probe, draft: Draft) -> Measured:
    """Measure transfers, unless the file could not save what that takes."""
    assert run.file is not None
    comm, engine = run.comm, run.options.engine
    row = max(comm.gather(run.layout.memory_bytes))
    candidates = [engine] if engine is not None else likeliest_first(candidate_names(comm), row)
    folder = max(comm.gather(os.stat(run.file.folder).st_dev))
    key = (folder, tuple(candidates), comm.size, row.bit_length())
    known: tuple[int, Survey] | None = remembered(key, comm)
    without = replace(draft.budget, file_states=0)
    can_pay = draft.file_can_pay(row, is_known=known is not None)
    if run.num_steps is not None and not can_pay:
        return Measured(draft.costs, without, engine)
    if known is None:
        known = row, probe.engines(candidates, run.file.open_for_probe)
        if not known[1].refused:
            remember(key, known)
    measured_for, survey = known
    try:
        choice = choose_engine(survey.scaled(row / max(1, measured_for)))
    except TransferError as failed:
        return Measured(draft.costs, without, engine, file_failure=str(failed))
    costs = with_file(draft.costs, choice.costs)
    if draft.budget.tape_pieces:
        costs = _measured_pieces(run, probe, costs, choice, row)
    return Measured(costs, draft.budget, choice.engine, choice.reason)


def _measured_pieces(run: Run, probe: Probe, costs: Costs, choice: Choice, row: int) -> Costs:
    """Return the costs with those of pieces of tapes, measured if their size is another one."""
    assert run.file is not None
    assert run.memory.piece_layout is not None
    comm = run.comm
    piece = max(comm.gather(run.memory.piece_layout.memory_bytes))
    ratio = piece / max(1, row)
    if 1 / constants.SIMILAR_SIZES <= ratio <= constants.SIMILAR_SIZES:
        return with_pieces(costs, ratio)
    key = (max(comm.gather(os.stat(run.file.folder).st_dev)), choice.engine, comm.size, piece)
    transfers: TransferCosts | None = remembered(key, comm)
    if transfers is None:
        survey = probe.engines([choice.engine], run.file.open_for_probe, of_pieces=True)
        transfers = survey.found.get(choice.engine)
        if transfers is None:  # it failed: then no tape goes to the file
            return costs
        remember(key, transfers)
    return replace(
        costs,
        piece_write=transfers.write_while_computing,
        piece_read=transfers.read_while_computing,
    )


def _touched_buffers(run: Run, num_slots: int, leaf_steps: int) -> Buffers:
    """Return buffers whose memory has been touched, as after the beginning of a run."""
    buffers = run.memory.buffers(num_slots, leaf_steps)
    run.memory.touch(num_slots)
    return buffers
