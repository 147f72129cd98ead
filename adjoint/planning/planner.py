"""Which schedule to play: measured costs and budgets in, the best of all schedules out.

In memory one formula prices a run in leaves of each size (`adjoint.planning.case`), whatever is
kept: states, tapes, or one leaf of all steps. With a file, the schedule that waits for it has a
closed form, and of those that do not wait a few are rehearsed on a virtual clock
(`adjoint.planning.spilling_search`). The cheapest is taken, so a plan is never slower than Revolve,
than keeping everything, or than Disk-Revolve. The work does not grow with the number of steps.

Leaves of every size that fits are compared, because a leaf's tape takes memory that slots would
have. The file is used only where a plan with it wins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from adjoint.errors import ArgumentError
from adjoint.planning.budget import Budget
from adjoint.planning.case import Candidate, Case
from adjoint.planning.spilling_search import best_spilling, estimated_seconds
from adjoint.planning.tapes import best_with_tapes
from adjoint.schedules import Schedule
from adjoint.schedules.costs import Costs

__all__ = ["MIN_FILE_SAVING", "SAME_TIME", "Plan", "choose", "compare"]

MIN_FILE_SAVING = 0.05
"""Plan with a file only if that is predicted to save this fraction of the time: predictions err by
a few per cent (docs/long_runs.md, "How near to the prediction")."""

ADAPTIVE_TOLERANCE = 0.02
"""Prefer an adaptive schedule if its predicted time is within this fraction of the best: it can
correct what was measured wrongly."""

SAME_TIME = 0.01
"""Of schedules in memory whose times differ by less than this fraction, that in the least memory is
taken."""

LESS_MEMORY = 2
"""Where the first touch of memory counts, schedules are priced in so many times less, again and
again."""


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


def choose(num_steps: int, costs: Costs, budget: Budget) -> Plan:
    """Return the plan to play: the cheapest within a budget, but for what predictions err by.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    costs
        Of steps and transfers, in seconds.
    budget
        Slots and file states that may be used. It must hold at least one leaf size.

    Raises
    ------
    ArgumentError
        The budget holds no leaf size.
    ScheduleError
        There is no step.
    """
    cases = _cases(num_steps, costs, budget)
    without = _best_in_memory(cases, budget)
    with_file = list(_with_file(cases, budget))
    least = min((_seconds(found, budget) for found in with_file), default=inf)
    if least > (1 - MIN_FILE_SAVING) * _seconds(without, budget):
        return _plan(without)
    longest = (1 + ADAPTIVE_TOLERANCE) * least
    in_time = [found for found in with_file if _seconds(found, budget) <= longest]
    return _plan(next((found for found in in_time if found.is_adaptive), in_time[0]))


def compare(num_steps: int, costs: Costs, budget: Budget) -> list[Plan]:
    """Return the best plan of every family that the budget has room for, the cheapest first.

    Raises
    ------
    ArgumentError, ScheduleError
        As `choose` does.
    """
    cases = _cases(num_steps, costs, budget)
    playable = [case for case in cases if _may_be_played(case, budget)]
    families = {case.family for case in playable}
    alike = [[case for case in playable if case.family == family] for family in families]
    found = [_best_in_memory(each, budget) for each in alike]
    plans = [_plan(candidate) for candidate in (*found, *_with_file(cases, budget))]
    return sorted(plans, key=lambda plan: plan.predicted_seconds)


def _cases(num_steps: int, costs: Costs, budget: Budget) -> list[Case]:
    """Return the run in leaves of each size."""
    if not budget.slots:
        raise ArgumentError("the budget has no room for a single leaf: allow more memory")
    cases = [
        Case(num_steps, leaf, slots, budget.file_states, budget.tape_slots.get(leaf, 0), costs)
        for leaf, slots in budget.slots.items()
    ]
    least = num_steps * (costs.advance + costs.record + costs.pull_back)
    if budget.touching(max(case.blocks for case in cases)) > SAME_TIME * least:
        cases = [other for case in cases for other in _in_less_memory(case)]
    return cases


def _in_less_memory(case: Case) -> Iterator[Case]:
    """Give a case, and the same with fewer and fewer slots, whose first touch takes less time."""
    while True:
        yield case
        if case.keeps_tapes:
            yield case.without_tapes()
        if case.num_slots < 2 * LESS_MEMORY:
            return
        case = replace(case, num_slots=case.num_slots // LESS_MEMORY)


def _may_be_played(case: Case, budget: Budget) -> bool:
    return budget.retaking_leaf in {None, case.leaf_steps} or not case.retakes


def _best_in_memory(cases: Sequence[Case], budget: Budget) -> Candidate:
    """Return the best schedule without a file; of those about as fast, that in the least memory.

    The first touch of memory counts. Bounds spare most cases the table that their time takes.
    """
    playable = [case for case in cases if _may_be_played(case, budget)]
    touching = {case: budget.touching(case.blocks) for case in playable}
    exactly: dict[Case, float] = {}
    least = inf
    for case in sorted(playable, key=lambda case: case.least_seconds + touching[case]):
        if case.least_seconds + touching[case] > (1 + SAME_TIME) * least:
            break
        exactly[case] = case.seconds + touching[case]
        least = min(least, exactly[case])
    alike = [case for case, seconds in exactly.items() if seconds <= (1 + SAME_TIME) * least]
    return min(alike, key=_memory_and_leaf).in_memory()


def _memory_and_leaf(case: Case) -> tuple[int, int]:
    """Return what decides between schedules that are about as fast: the smallest is taken.

    Less memory, then a leaf that leaves more room in the cache; or if no step is taken again, then
    fewer leaves.
    """
    return case.blocks, case.leaf_steps if case.retakes else -case.leaf_steps


def _with_file(cases: Sequence[Case], budget: Budget) -> Iterator[Candidate]:
    """Give the best schedules that use the file, if there is room for a state in it."""
    yield from best_with_tapes(cases, budget)
    playable = [case for case in cases if _may_be_played(case, budget)]
    with_room = [case for case in playable if case.has_room_for_file]
    keeping = [case for case in with_room if case.keeps_tapes]
    plain = [case.without_tapes() for case in with_room]
    plain = [case for case in plain if _may_be_played(case, budget)]
    if not plain:
        return
    yield min(plain, key=lambda case: case.seconds).waiting_for_file()
    roughly = {case: estimated_seconds(case) for case in [*plain, *keeping]}
    longest = (1 + SAME_TIME) * min(roughly.values())
    alike = [case for case, seconds in roughly.items() if seconds <= longest]
    # In small leaves the spacing can be as it should, which the estimate leaves out.
    spilling = best_spilling(min(alike, key=lambda case: (case.leaf_steps, roughly[case])))
    if spilling is not None:
        yield spilling


def _seconds(candidate: Candidate, budget: Budget) -> float:
    """Return what playing a schedule takes, with its part of the first touch of memory."""
    return candidate.seconds + budget.touching_of(candidate.schedule)


def _plan(candidate: Candidate) -> Plan:
    return Plan(candidate.schedule, candidate.seconds, candidate.reason, candidate.is_adaptive)
