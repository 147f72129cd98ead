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
from adjoint.measurement.touch import cache_bytes, touch_speed
from adjoint.measurement.transfers import TransferCosts
from adjoint.planning.budget import SLOW_TOUCH, Budget
from adjoint.planning.case import Case
from adjoint.planning.planner import Plan, choose
from adjoint.schedules import num_leaves
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
    num_steps = constants.ASSUMED_STEPS if run.num_steps is None else run.num_steps
    memory = partial(_touched_buffers, run)
    probe = Probe(run.stepper, num_steps, min(budget.slots), memory, run.comm)
    costs = replace(probe.costs(), driver_overhead=constants.LEAF_SECONDS)
    if not costs.unreached:
        budget = replace(budget, retaking_leaf=budget.cached_leaf(cache_bytes(run.comm)))
    plan = _without_file(num_steps, costs, budget)
    touching = replace(budget, touch_speed=SLOW_TOUCH).touching_of(plan.schedule)
    if touching > constants.PLANNING_SHARE * plan.predicted_seconds:
        budget = replace(budget, touch_speed=touch_speed(run.comm))
        plan = _without_file(num_steps, costs, budget)
    if plan.predicted_seconds > constants.MIN_TRIAL_RUN_SECONDS:
        leaf, costs = probe.costs_in_sweeps(
            _trial_cases(plan, costs, budget), constants.PLANNING_SHARE * plan.predicted_seconds
        )
        budget = replace(budget, retaking_leaf=leaf)
        plan = _without_file(num_steps, costs, budget)
    if run.file is None or not budget.file_states:
        return Measured(costs, budget, run.options.engine)
    return _with_file(run, probe, plan, Measured(costs, budget, run.options.engine))


def _trial_cases(plan: Plan, costs: Costs, budget: Budget) -> list[Case]:
    """Return the run in leaves of the planned size, of half and of twice as many steps."""
    leaf, n = plan.schedule.leaf_steps, plan.schedule.num_steps
    assert n is not None
    near = {leaf: None}
    for ideal in (2 * leaf, leaf // 2):
        near[min(budget.slots, key=lambda size: abs(size - ideal))] = None
    return [
        Case(n, size, budget.slots[size], 0, budget.tape_slots.get(size, 0), costs)
        for size in near
        if budget.slots[size]
    ]


def _without_file(num_steps: int, costs: Costs, budget: Budget) -> Plan:
    return choose(num_steps, costs, replace(budget, file_states=0))


# -- the file -----------------------------------------------------------------------------------


def _with_file(run: Run, probe: Probe, plan: Plan, found: Measured) -> Measured:
    """Measure transfers, unless the file could not save what that takes."""
    assert run.file is not None
    n, costs, comm = plan.schedule.num_steps, found.costs, run.comm
    assert n is not None
    row = max(comm.gather(run.layout.memory_bytes))
    engine = run.options.engine
    candidates = [engine] if engine is not None else likeliest_first(candidate_names(comm), row)
    folder = max(comm.gather(os.stat(run.file.folder).st_dev))
    key = (folder, tuple(candidates), comm.size, row.bit_length())
    leaves = num_leaves(n, plan.schedule.leaf_steps)
    free = n * (costs.advance + costs.record + costs.pull_back) + leaves * costs.driver_overhead
    saved, needed = plan.predicted_seconds - free, constants.MIN_FILE_GAIN * plan.predicted_seconds
    known: tuple[int, Survey] | None = remembered(key, comm)
    if known is None:
        probing = constants.PROBE_SECONDS + constants.PROBED_WRITES * row / constants.WRITE_SPEED
        needed = max(needed, constants.MIN_GAIN_PER_PROBE * probing)
    if run.num_steps is not None and saved < needed:
        return replace(found, budget=replace(found.budget, file_states=0))
    if known is None:
        known = row, probe.engines(candidates, run.file.open_for_probe)
        if not known[1].refused:
            remember(key, known)
    measured_for, survey = known
    try:
        choice = choose_engine(survey.scaled(row / max(1, measured_for)))
    except TransferError as failed:
        budget = replace(found.budget, file_states=0)
        return replace(found, budget=budget, file_failure=str(failed))
    costs = with_file(costs, choice.costs)
    if found.budget.tape_pieces:
        costs = _with_pieces(run, probe, costs, choice, row)
    return replace(found, costs=costs, engine=choice.engine, engine_reason=choice.reason)


def _with_pieces(run: Run, probe: Probe, costs: Costs, choice: Choice, row: int) -> Costs:
    """Return the costs with those of pieces of tapes, measured if their size is another one."""
    assert run.file is not None
    assert run.memory.piece_layout is not None
    comm, transfers = run.comm, choice.costs
    piece = max(comm.gather(run.memory.piece_layout.memory_bytes))
    ratio = piece / max(1, row)
    if 1 / constants.SIMILAR_SIZES <= ratio <= constants.SIMILAR_SIZES:
        transfers = transfers.scaled(ratio)
    else:
        key = (max(comm.gather(os.stat(run.file.folder).st_dev)), choice.engine, comm.size, piece)
        known: TransferCosts | None = remembered(key, comm)
        if known is None:
            survey = probe.engines([choice.engine], run.file.open_for_probe, of_pieces=True)
            known = survey.found.get(choice.engine)
            if known is None:  # it failed: then no tape goes to the file
                return costs
            remember(key, known)
        transfers = known
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
