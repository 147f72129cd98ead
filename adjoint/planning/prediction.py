"""What an evaluation is predicted to take, worked out within milliseconds however long it is."""

import math
from dataclasses import replace
from functools import singledispatch
from itertools import islice

from adjoint.planning.candidates import Problem
from adjoint.planning.closed_forms import closed_form_seconds
from adjoint.planning.spilling_estimate import SpillingEstimate
from adjoint.planning.spilling_rehearsals import Rehearsals, TooManyActionsError
from adjoint.schedules import Schedule, Spilling
from adjoint.schedules.costs import Costs
from adjoint.schedules.spilling.segments import LeafCosts, SegmentCosts
from adjoint.simulation.replay import price

__all__ = ["Prediction", "predicted_seconds"]

MAX_PLAYED_ACTIONS = 5_000
"""Actions that are played of a schedule of any other kind, at some 4 microseconds each. Nothing is
predicted of longer ones."""

MAX_REHEARSED_ACTIONS = 10_000
"""Actions of all rehearsals of a spilling stack, at up to 3 microseconds each."""


class Prediction:
    """What playing a schedule takes on some costs.

    Parameters
    ----------
    schedule, costs
        None for costs that are not known.
    seconds
        What the planner has predicted; None to predict it now.

    Attributes
    ----------
    seconds
        The prediction; nan where costs or the number of steps are not known.
    """

    __slots__ = ("costs", "schedule", "seconds")

    def __init__(
        self, schedule: Schedule, costs: Costs | None, seconds: float | None = None
    ) -> None:
        self.schedule = schedule
        self.costs = costs
        if seconds is None:
            is_known = costs is not None and schedule.num_steps is not None
            seconds = predicted_seconds(schedule, costs) if is_known else math.nan
        self.seconds = seconds


@singledispatch
def predicted_seconds(schedule: Schedule, costs: Costs) -> float:
    """Return what playing a schedule of known length takes, or nan if it is not known.

    In closed form where there is one. A spilling stack is rehearsed on these costs, of a long run
    the end; any other schedule is played on the simulated machine if it is short, else nothing is
    predicted. So the work does not grow with the number of steps.
    """
    seconds = closed_form_seconds(schedule, costs)
    if not math.isnan(seconds):
        return seconds
    actions = list(islice(schedule, MAX_PLAYED_ACTIONS + 1))
    return price(actions, costs).makespan if len(actions) <= MAX_PLAYED_ACTIONS else math.nan


@predicted_seconds.register
def _(schedule: Spilling, costs: Costs) -> float:
    assert schedule.num_steps is not None
    on_costs = schedule if schedule.costs == costs else replace(schedule, costs=costs)
    tapes, timing = schedule.tapes, schedule.timing
    segments = SegmentCosts(LeafCosts.of(costs, schedule.leaf_steps), schedule.split, tapes)
    try:
        rehearsals = Rehearsals(segments, MAX_REHEARSED_ACTIONS)
        return rehearsals.estimate(on_costs, tapes, timing).seconds
    except TooManyActionsError:
        return costs.slowdown * _estimated(schedule, costs)


def _estimated(schedule: Spilling, costs: Costs) -> float:
    assert schedule.num_steps is not None
    problem = Problem(
        schedule.num_steps,
        schedule.leaf_steps,
        schedule.num_slots,
        schedule.file_states,
        schedule.tape_slots,
        costs,
    )
    plan = schedule.forward_plan(problem.num_leaves, schedule.pitch)
    return SpillingEstimate(problem).seconds(plan)
