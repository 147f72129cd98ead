"""Which schedule to play: measured costs and budgets in, the best of all schedules out.

Schedules in memory, and the one that waits for the file, are priced in closed form
(`adjoint.planning.closed_forms`); of those that do not wait, a few are rehearsed on a virtual clock
(`adjoint.planning.spilling_search`). The cheapest is taken, so a plan is never slower than Revolve,
than keeping everything, or than Disk-Revolve. The work does not grow with the number of steps.

Leaves of every size that fits are compared, because a leaf's tape takes memory that slots would
have. The file is used only where a plan with it wins.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from adjoint.errors import ArgumentError
from adjoint.planning.budget import Budget
from adjoint.planning.candidates import (
    Candidate,
    Problem,
    in_memory,
    interpolate_costs,
    synchronous,
    with_tapes,
)
from adjoint.planning.spilling_search import best_spilling, estimated_seconds
from adjoint.schedules import Schedule, StoreAll, num_leaves
from adjoint.schedules.costs import Costs

__all__ = ["Plan", "choose", "compare", "without_measuring"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule to play, and why."""

    schedule: Schedule
    predicted_seconds: float
    """What playing it takes, by the costs it was planned on; nan where nothing was measured."""
    reason: str
    is_adaptive: bool = False
    """Whether it adapts while it is played to what transfers turn out to cost."""

    @property
    def family(self) -> str:
        """The name of the schedule's kind."""
        return type(self.schedule).__name__


def without_measuring(num_steps: int, budget: Budget, *, cheap_slots: int = 0) -> Plan | None:
    """Return the plan to keep every leaf's start in memory if the budget holds them, else None.

    Of the leaves that fit, the one that uses least memory is taken; but the smallest that needs no
    more than `cheap_slots` slots: a longer one is advanced over again where its tape is its states.
    """
    fitting = [
        (leaf + num_leaves(num_steps, leaf), leaf)
        for leaf, slots in budget.slots.items()
        if slots >= num_leaves(num_steps, leaf) - 1
    ]
    if not fitting:
        return None
    cheap = [leaf for _, leaf in fitting if num_leaves(num_steps, leaf) <= cheap_slots]
    leaf = min(cheap) if cheap else min(fitting)[1]
    return Plan(StoreAll(num_steps, leaf_steps=leaf), math.nan, "every leaf's start fits in memory")


def choose(
    num_steps: int,
    costs: Mapping[int, Costs],
    budget: Budget,
    *,
    file_must_save: float = 0.0,
    adaptive_tolerance: float = 0.0,
) -> Plan:
    """Return the cheapest plan within a budget.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    costs
        Costs measured with some sizes of leaves; those of others are interpolated.
    budget
        Slots and file states that may be used. It must hold at least one leaf size.
    file_must_save
        Use the file only if that is predicted to save this fraction of the time of the best plan
        without: predictions err.
    adaptive_tolerance
        Prefer an adaptive schedule with a file if its predicted time is within this fraction of the
        best.

    Raises
    ------
    ArgumentError
        The budget holds no leaf size.
    ScheduleError
        There is no step.
    """
    plans = compare(num_steps, costs, budget)
    best = plans[0]
    without = next((plan for plan in plans if plan.schedule.file_states == 0), None)
    if without and best.predicted_seconds > (1 - file_must_save) * without.predicted_seconds:
        return without
    if best.schedule.file_states:
        longest = (1 + adaptive_tolerance) * best.predicted_seconds
        in_time = [plan for plan in plans if plan.predicted_seconds <= longest]
        return next((plan for plan in in_time if plan.is_adaptive), best)
    return best


def compare(num_steps: int, costs: Mapping[int, Costs], budget: Budget) -> list[Plan]:
    """Return the best plan of every family that the budget has room for, the cheapest first.

    Raises
    ------
    ArgumentError, ScheduleError
        As `choose` does.
    """
    best: dict[str, Candidate] = {}
    for candidate in _candidates(num_steps, costs, budget):
        family = type(candidate.schedule).__name__
        rival = best.get(family)
        if rival is None or candidate.seconds < rival.seconds:
            best[family] = candidate
    ranked = sorted(best.values(), key=lambda candidate: candidate.seconds)
    return [Plan(best.schedule, best.seconds, best.reason, best.is_adaptive) for best in ranked]


def _candidates(num_steps: int, costs: Mapping[int, Costs], budget: Budget) -> Iterator[Candidate]:
    problems = [
        Problem(
            num_steps,
            leaf,
            slots,
            budget.file_states,
            budget.tape_slots.get(leaf, 0),
            interpolate_costs(leaf, costs),
        )
        for leaf, slots in budget.slots.items()
    ]
    if not problems:
        raise ArgumentError("the budget has no room for a single leaf: allow more memory")
    in_slots = [in_memory(problem) for problem in problems]
    yield from in_slots
    for problem in problems:
        yield from with_tapes(problem)
    if not budget.file_states:
        return
    seconds = [candidate.seconds for candidate in in_slots]
    yield from synchronous(problems[seconds.index(min(seconds))])
    with_room = [problem for problem in problems if problem.num_slots and problem.num_leaves > 1]
    if not with_room:
        return
    plain = min((problem.without_tapes() for problem in with_room), key=estimated_seconds)
    keeping = [problem for problem in with_room if problem.keeps_tapes]
    spilling = best_spilling(min([plain, *keeping], key=estimated_seconds))
    if spilling is not None:
        yield spilling
