"""What one evaluation teaches the next: the plan that follows from a plan and measured costs."""

from dataclasses import replace

from adjoint.driver import constants
from adjoint.driver.leaf_search import LeafSearch
from adjoint.driver.run import RunPlan
from adjoint.planning.case import Candidate, Case
from adjoint.planning.prediction import Prediction
from adjoint.schedules import AdaptiveSchedule, Schedule
from adjoint.schedules.costs import Costs

__all__ = ["next_plan"]


def next_plan(
    plan: RunPlan,
    revised: Schedule | None,
    costs: Costs | None,
    seconds: float,
    *,
    rows: int,
    needs_file: bool,
) -> RunPlan:
    """Return the plan for the next evaluation. The same on all ranks if the arguments are.

    Parameters
    ----------
    plan
        The plan that was played.
    revised
        The schedule that its stream adapted to in the end; None if it did not adapt.
    costs
        What was measured meanwhile, the largest of all ranks; None to keep those of the plan.
    seconds
        What the evaluation took, on the slowest rank, but for the first touch of memory.
    rows
        States that the file has room for; 0 if there is none.
    needs_file
        Whether a run must stay resumable, and so its states must stay in the file.
    """
    schedule = plan.schedule if revised is None else revised
    later = replace(plan, schedule=schedule, resumes=False, evaluation=plan.evaluation + 1)
    if costs is None:
        return later
    reason, leaves, is_first = plan.reason, plan.leaves, plan.evaluation == 1
    faster = None
    if not (needs_file or is_first):
        faster = _faster_without_file(plan.schedule, costs, seconds)
    if faster is not None:
        schedule = faster.schedule
        reason = f"the file is not used any more: with it, {seconds:.3g} s; {faster.reason}"
    elif leaves is not None and not is_first:
        leaves = leaves.after(schedule, seconds)
        other = leaves.next(schedule, costs)
        if other is not None:
            schedule, reason = other.schedule, other.reason
        reason = _with_trials(reason, leaves)
    elif rows:
        schedule = _recalibrated(schedule, costs, rows, keep_ratios=revised is not None)
    predicted = Prediction(schedule, costs).seconds
    return replace(
        later,
        schedule=schedule,
        reason=reason,
        costs=costs,
        predicted_seconds=predicted,
        leaves=leaves,
    )


def _with_trials(reason: str, leaves: LeafSearch) -> str:
    """Return why a schedule is played, and what leaf sizes were tried."""
    chosen = reason.partition("; leaves of")[0]
    return f"{chosen}; {leaves.in_words}" if leaves.in_words else chosen


def _recalibrated(schedule: Schedule, costs: Costs, rows: int, *, keep_ratios: bool) -> Schedule:
    """Return the schedule for these costs, if it depends on any.

    One that has adapted knows better than the measured means what transfers cost relative to
    steps in the end: with `keep_ratios` it keeps that.
    """
    if not isinstance(schedule, AdaptiveSchedule):
        return schedule
    return schedule.recalibrated(costs, rows, keep_ratios=keep_ratios)


def _faster_without_file(schedule: Schedule, costs: Costs, seconds: float) -> Candidate | None:
    """Return an in-memory schedule with the same leaves and slots that saves enough, or None."""
    if schedule.file_states == 0 or schedule.num_steps is None:
        return None
    tape = schedule.tape_slots
    case = Case(schedule.num_steps, schedule.leaf_steps, schedule.num_slots, 0, tape, costs)
    saves = case.seconds <= (1 - constants.MIN_SAVING_WITHOUT_FILE) * seconds
    return case.in_memory() if saves else None
