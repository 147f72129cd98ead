"""Which schedule to play: measured costs and budgets in, the best of all schedules out.

Every family is priced: in closed form (`adjoint.planning.candidates`), or by rehearsing a few
variants on a virtual clock (`adjoint.planning.spilling_search`). The cheapest is taken: so a plan
is never slower than Revolve, than keeping everything, than the schedules that wait for the file, or
than the asynchronous scheme of Kukreja, Hückelheim and Gorman. What planning takes does not grow
with the number of steps.

Leaves of every size that fits are compared, because a leaf's tape takes memory that slots would
have. Files are only worth their while where they win: otherwise the plan is one without.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from adjoint.errors import ArgumentError
from adjoint.planning.budget import Budget
from adjoint.planning.candidates import (
    Candidate,
    Problem,
    asynchronous,
    in_memory,
    synchronous,
    with_leaves_of,
    with_tapes,
)
from adjoint.planning.spilling_reckoning import reckoned
from adjoint.planning.spilling_search import best_spilling
from adjoint.schedules import Schedule, Spilling, StoreAll, num_leaves
from adjoint.schedules.costs import Costs
from adjoint.schedules.spilling.rehearsal import Rehearsal
from adjoint.simulation.replay import price

__all__ = ["Plan", "Prediction", "choose", "compare", "without_measuring"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule to play, and why."""

    schedule: Schedule
    predicted_seconds: float
    """What playing it takes, by the costs it was planned on; nan where nothing was measured."""
    reason: str

    @property
    def family(self) -> str:
        """The name of the schedule's kind."""
        return type(self.schedule).__name__


@dataclass(slots=True)
class Prediction:
    """What playing a whole schedule takes on some costs: worked out when it is asked for first."""

    schedule: Schedule
    costs: Costs | None
    known: float | None = None
    """The answer, if it is known already."""

    @property
    def seconds(self) -> float:
        """The answer; nan where costs, or the number of steps, are not known."""
        if self.known is None:
            self.known = self._replayed()
        return self.known

    def _replayed(self) -> float:
        schedule, costs = self.schedule, self.costs
        if costs is None or schedule.num_steps is None:
            return math.nan
        if isinstance(schedule, Spilling) and schedule.costs == costs:
            rehearsal = Rehearsal(schedule)
            rehearsal.run()
            return rehearsal.seconds
        return price(schedule, costs).makespan


def without_measuring(num_steps: int, budget: Budget, *, cheap_slots: int = 0) -> Plan | None:
    """Return the plan to keep every leaf's start in memory if the budget holds them, else None.

    No cost can speak against it. Of the leaves that fit, the one that uses least memory is taken;
    but the smallest that does with `cheap_slots`: a longer one is advanced over again where its
    tape is its states.
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
    steered_within: float = 0.0,
) -> Plan:
    """Return the cheapest plan within a budget.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    costs
        By leaf size: what other leaves cost is taken to lie in between (`with_leaves_of`).
    budget
        What may be used. It must hold at least one leaf size.
    file_must_save
        A plan with a file is taken only if it is predicted to save this share of the time of the
        best one without: predictions err.
    steered_within
        Of the plans with a file, one whose schedule can be told what transfers cost in the end is
        taken if it is predicted to take no more than this share longer than the best.

    Raises
    ------
    ArgumentError
        The budget holds no leaf size.
    ScheduleError
        There is no step.
    """
    plans = compare(num_steps, costs, budget)
    without = [plan for plan in plans if plan.schedule.file_states == 0]
    best = plans[0]
    if without and best.predicted_seconds > (1 - file_must_save) * without[0].predicted_seconds:
        return without[0]
    if best.schedule.file_states:
        longest = (1 + steered_within) * best.predicted_seconds
        in_time = [plan for plan in plans if plan.predicted_seconds <= longest]
        return next((plan for plan in in_time if isinstance(plan.schedule, Spilling)), best)
    return best


def compare(num_steps: int, costs: Mapping[int, Costs], budget: Budget) -> list[Plan]:
    """Return the best plan of every family that the budget has room for, the cheapest first.

    Raises
    ------
    ArgumentError, ScheduleError
        As `choose` does.
    """
    best: dict[str, Candidate] = {}
    for offer in _offers(num_steps, costs, budget):
        family = type(offer.schedule).__name__
        if family not in best or _pessimistic_seconds(offer) < _pessimistic_seconds(best[family]):
            best[family] = offer
    ranked = sorted(best.values(), key=_pessimistic_seconds)
    return [Plan(offer.schedule, offer.seconds, offer.reason) for offer in ranked]


def _pessimistic_seconds(offer: Candidate) -> float:
    """Return what an offer is compared by: an extrapolation is not taken at its word."""
    return (1 + offer.relative_error) * offer.seconds


def _offers(num_steps: int, costs: Mapping[int, Costs], budget: Budget) -> Iterator[Candidate]:
    cases = [_case(num_steps, leaf, costs, budget) for leaf in budget.slots]
    if not cases:
        raise ArgumentError("the budget has no room for a single leaf: allow more memory")
    in_slots = [(case, offer) for case in cases for offer in in_memory(case)]
    for case, offer in in_slots:
        yield offer
        yield from with_tapes(case)
    if not budget.file_states:
        return
    quickest, _ = min(in_slots, key=lambda found: found[1].seconds)
    yield from synchronous(quickest)
    with_room = [case for case in cases if case.num_slots >= 1 and case.num_leaves > 1]
    if not with_room:
        return
    plain = min((case.without_tapes() for case in with_room), key=reckoned)
    yield from asynchronous(plain)
    keeping = [case for case in with_room if case.keeps_tapes]
    offer = best_spilling(min([plain, *keeping], key=reckoned))
    if offer is not None:
        yield offer


def _case(num_steps: int, leaf: int, costs: Mapping[int, Costs], budget: Budget) -> Problem:
    return Problem(
        num_steps,
        leaf,
        budget.slots[leaf],
        budget.file_states,
        budget.tape_slots.get(leaf, 0),
        with_leaves_of(leaf, costs),
    )
