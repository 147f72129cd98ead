"""Planning a run: with the schedule that is given, as a run to be resumed, or as well as possible.

The best schedule is chosen by `adjoint.planning` from costs that are measured here and now.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from adjoint.driver import constants
from adjoint.driver.budgets import find_budget, find_leaf, max_file_states
from adjoint.driver.given_schedule import check_given_schedule
from adjoint.driver.leaf_search import LeafSearch
from adjoint.driver.measured import Measured, measure
from adjoint.driver.run import Run, RunPlan
from adjoint.driver.run_file import RunFile
from adjoint.errors import ArgumentError
from adjoint.planning.budget import Budget
from adjoint.planning.planner import Plan, choose
from adjoint.schedules import Online, Schedule, Spilling
from adjoint.schedules.costs import Costs
from adjoint.schedules.tapes_in_file.parameters import tape_pieces
from adjoint.storage.engines.registry import candidate_names
from adjoint.sweep.journal import SavedRecord

__all__ = ["plan_run", "settle_leaf"]


def plan_run(run: Run, *, evaluations: int) -> RunPlan:
    """Return the plan for the first evaluation of a run. Collective on its communicator.

    Runs a few of the stepper's steps if it must measure. The run's file is not created. The first
    touch of memory counts as spread over a number of `evaluations`.

    Raises
    ------
    ArgumentError
        Memory or disk is too small for any schedule, or the given schedule does not fit the run.
    NonFiniteError
        A state became infinite or not a number while steps were measured.
    SnapshotFileError
        The file cannot be created, is not ours, or is another problem's.
    """
    began = time.perf_counter()
    rows = None if run.file is None else run.file.rows_found()
    plan = None
    if run.options.resume and run.file is not None and rows is not None:
        plan = _resumed(run, run.file, rows, evaluations)
    if plan is None:
        given = run.options.schedule
        plan = _best(run, evaluations) if given is None else _given(run, given)
        plan = replace(plan, rows=_rows_to_open(run, plan.schedule))
    return replace(plan, probe_seconds=time.perf_counter() - began)


def settle_leaf(run: Run) -> None:
    """Let a stepper whose rounding depends on the leaf take that of this run. Collective.

    It is chosen once, before anything is computed: that of the schedule that is given, or of the
    run that the file has, to be resumed, or by `find_leaf`. Other steppers are left alone.

    Raises
    ------
    ArgumentError, SnapshotFileError
        As `plan_run` does.
    """
    has, options = run.capabilities, run.options
    if not has.leaf_sensitive:
        return
    if run.grid.leaf_steps is None:
        found, rows = None, None
        if options.resume and run.file is not None:
            rows = run.file.rows_found()
            found = None if rows is None else _find_record(run, run.file, rows)
        if options.schedule is not None:
            run.grid.leaf_steps = options.schedule.leaf_steps
        elif found is not None:
            run.grid.leaf_steps = int(found.record.header.plan["leaf_steps"])
        else:
            run.grid.leaf_steps = find_leaf(run)
        has.set_leaf_steps(run.grid.leaf_steps)
        run.memory.find_tapes()
    has.set_leaf_steps(run.grid.leaf_steps)


def _rows_to_open(run: Run, schedule: Schedule) -> int | None:
    """Return the rows of the file, at least 1: one that is kept has a journal in any case.

    None for no file.
    """
    states = schedule.file_states
    if run.file is None or (states == 0 and run.file.is_temporary()):
        return None
    if run.options.schedule is not None or states == 0 or tape_pieces(schedule):
        return max(1, states)
    return max(states, min(max_file_states(run), 2 * states + constants.SPARE_ROWS))


def _given(run: Run, schedule: Schedule) -> RunPlan:
    """Return the plan to play the schedule that the caller gave."""
    check_given_schedule(run, schedule)
    return RunPlan(schedule, "", None, math.nan, engine=run.options.engine)


# -- the best schedule --------------------------------------------------------------------------


def _best(
    run: Run, evaluations: int, *, leaf_steps: int | None = None, has_tapes: bool = True
) -> RunPlan:
    """Return the best plan; with `leaf_steps`, of those with leaves of that size.

    One with tapes in the file only if that may have some.
    """
    budget = find_budget(run, leaf_steps=leaf_steps)
    if not has_tapes:
        budget = replace(budget, file_pieces=0)
    measured = _measured(run, replace(budget, evaluations=evaluations))
    plan = _choose(run, measured.costs, measured.budget)
    leaves = _leaf_search(run, measured.budget, plan.schedule)
    plan = replace(
        plan, engine=measured.engine, engine_reason=measured.engine_reason, leaves=leaves
    )
    if measured.file_failure:
        failure = f"the file is not used, since it failed in the probe: {measured.file_failure}"
        plan = replace(plan, reason=f"{plan.reason}; {failure}")
    return plan


def _leaf_search(run: Run, budget: Budget, schedule: Schedule) -> LeafSearch | None:
    """Return the search of later evaluations for a leaf; None where it must stay what it is."""
    has = run.capabilities
    is_free = has.reproducible and has.leaf_steps is None and run.num_steps is not None
    in_memory = schedule.file_states == 0 and (run.file is None or run.file.is_temporary())
    return LeafSearch(budget) if is_free and in_memory else None


def _measured(run: Run, budget: Budget) -> Measured:
    """Measure steps and transfers; for a file that is kept, watch which arrays steps change."""
    if run.file is None or run.file.is_temporary():
        return measure(run, budget)
    run.stepper.start()
    with run.fingerprints.watching():
        return measure(run, budget)


def _choose(run: Run, costs: Costs, budget: Budget) -> RunPlan:
    """Return the best plan by costs."""
    if run.num_steps is None:
        plan = _open_ended(costs, budget)
    else:
        plan = choose(run.num_steps, costs, budget)
    seconds, engine = plan.predicted_seconds, run.options.engine
    return RunPlan(plan.schedule, plan.reason, costs, seconds, engine=engine)


def _open_ended(costs: Costs, budget: Budget) -> Plan:
    """Return the plan for a run whose end is not known, with the leaf of a long run's plan."""
    reason = "the end of the run is not known"
    leaf = choose(constants.ASSUMED_STEPS, costs, budget).schedule.leaf_steps
    slots = max(1, budget.slots[leaf])
    if budget.file_states < 2:
        online = Online(slots, leaf_steps=leaf)
        return Plan(online, math.nan, f"{reason}, and there is no file")
    leaf_seconds = leaf * costs.advance
    # As many leaves between two states as it takes to write one: then no write delays a step.
    interval = leaf * max(1.0, costs.write / leaf_seconds if leaf_seconds else 1.0)
    spilling = Spilling(
        None, slots, interval, costs=costs, leaf_steps=leaf, max_file_states=budget.file_states
    )
    return Plan(spilling, math.nan, reason)


# -- a run to be resumed ------------------------------------------------------------------------


def _resumed(run: Run, file: RunFile, rows: int, evaluations: int) -> RunPlan | None:
    """Return the plan to continue the run that the file has; None if it has no record of one."""
    found = _find_record(run, file, rows)
    if found is None:
        return None
    noted = found.record.header.plan
    plan = _planned_again(run, noted, rows, evaluations, has_tapes=found.has_tapes)
    engine = noted.get("engine")
    if plan.engine is None and engine in candidate_names(run.comm):
        plan = replace(plan, engine=engine, engine_reason="as in the run that is resumed")
    return replace(plan, rows=rows, resumes=True)


@dataclass(frozen=True, slots=True)
class _Found:
    """A run to be resumed."""

    record: SavedRecord
    """The latest that all ranks have."""
    has_tapes: bool
    """Whether its file was made for tapes such as this stepper's, too."""


def _find_record(run: Run, file: RunFile, rows: int) -> _Found | None:
    """Return the latest record that all ranks have, leaving the file as it is."""
    with file.open(rows, run.options.engine, resume=True) as store:
        journal = file.open_journal(store)
        if journal is None:
            return None
        try:
            record = next(iter(journal.find()), None)
        finally:
            journal.close()
        own = store.file.placement.piece
        has_tapes = run.comm.gather(own is not None and own == run.memory.piece_layout)
        return None if record is None else _Found(record, all(has_tapes))


def _planned_again(
    run: Run, noted: Mapping[str, Any], rows: int, evaluations: int, *, has_tapes: bool
) -> RunPlan:
    """Return the plan for leaves of the same size, by the same costs, as in an earlier run.

    One without tapes in the file, unless it was made for some.
    """
    leaf = int(noted["leaf_steps"])
    schedule = run.options.schedule
    if schedule is not None:
        plan = _given(run, schedule)
        if schedule.leaf_steps != leaf:
            raise ArgumentError(
                f"the run to be resumed has leaves of {leaf} steps, the schedule has "
                f"{schedule.leaf_steps}: give it leaf_steps={leaf}"
            )
        if tape_pieces(schedule) and not has_tapes:
            raise ArgumentError(f"the file of the run to be resumed has no tapes: {schedule!r} has")
        return plan
    if noted["costs"] is None:
        return _best(run, evaluations, leaf_steps=leaf, has_tapes=has_tapes)
    costs = Costs.of_numbers(noted["costs"])
    budget = find_budget(run, leaf_steps=leaf)
    room = {"file_states": min(budget.file_states, rows), "file_pieces": rows * has_tapes}
    budget = replace(budget, **room)
    return _choose(run, costs, budget)
