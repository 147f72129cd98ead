"""Which leaf size later evaluations try: a whole evaluation is the only faithful trial.

The gradient has the same bits with leaves of any size, so an evaluation may try another one. The
first evaluation does not count, since it touches memory for the first time. The second is what
others are compared with: the leaves that are best by the costs of an evaluation, then of twice as
many steps, of half as many, and on the side that won once more.
"""

from dataclasses import dataclass, replace
from typing import Self

from adjoint.planning.budget import Budget
from adjoint.planning.case import Candidate, Case
from adjoint.planning.planner import SAME_TIME
from adjoint.schedules import Schedule
from adjoint.schedules.costs import Costs

__all__ = ["LeafSearch"]

MIN_SAVING = 0.03
"""Another leaf size is kept if it takes this fraction less time: evaluations differ by as much."""

MAX_LOSS = 0.15
"""One that is predicted to take this fraction more time is not tried."""

MAX_TRIALS = 4
"""Evaluations that may try another leaf size."""


@dataclass(frozen=True, slots=True)
class LeafSearch:
    """The leaf sizes tried so far. Immutable, and the same on all ranks."""

    budget: Budget
    taken: tuple[tuple[int, float], ...] = ()
    """Leaf size and seconds, on the slowest rank, of each evaluation that counts."""

    @property
    def best(self) -> int:
        """The leaf size that is the fastest so far."""
        leaf, least = self.taken[0]
        for other, seconds in self.taken[1:]:
            if seconds < (1 - MIN_SAVING) * least:
                leaf, least = other, seconds
        return leaf

    @property
    def in_words(self) -> str:
        """What was tried, for a report; empty before anything was."""
        tried = sorted({leaf for leaf, _ in self.taken[1:]} - {self.best}) if self.taken else []
        return f"leaves of {self.best}; of {', '.join(map(str, tried))} tried" if tried else ""

    def after(self, schedule: Schedule, seconds: float) -> Self:
        """Return the search after an evaluation, not the first, that took so many seconds."""
        if len(self.taken) > MAX_TRIALS:
            return self
        return replace(self, taken=(*self.taken, (schedule.leaf_steps, seconds)))

    def next(self, schedule: Schedule, costs: Costs) -> Candidate | None:
        """Return what to play instead of a schedule in the next evaluation; None for the same."""
        if not self.taken:
            return None
        leaf = self.best
        if len(self.taken) <= MAX_TRIALS:
            leaf = next(iter(self._wanted(schedule, costs)), leaf)
        if leaf == schedule.leaf_steps:
            return None
        return self._case(schedule, leaf, costs).in_memory()

    def _wanted(self, schedule: Schedule, costs: Costs) -> list[int]:
        """Return the leaf sizes that are still to be tried, the next one first."""
        first, best = self.taken[0][0], self.best
        cases = [self._case(schedule, size, costs) for size in self.budget.slots]
        cases = [case for case in cases if case.num_slots >= min(1, case.num_leaves - 1)]
        present = self._case(schedule, best, costs)
        wanted: list[Case] = []
        cheapest = min(cases, key=lambda case: case.least_seconds)
        is_next = len(self.taken) == 1
        if is_next and cheapest.least_seconds < (1 - SAME_TIME) * present.least_seconds:
            wanted.append(cheapest)
        ideals = [2 * best] * (best >= first) + [best // 2] * (best <= first)
        wanted += [min(cases, key=lambda case: abs(case.leaf_steps - ideal)) for ideal in ideals]
        longest = (1 + MAX_LOSS) * present.seconds
        tried = {leaf for leaf, _ in self.taken}
        untried = dict.fromkeys(case for case in wanted if case.leaf_steps not in tried)
        return [case.leaf_steps for case in untried if case.seconds <= longest]

    def _case(self, schedule: Schedule, leaf: int, costs: Costs) -> Case:
        """Return the run in leaves of another size, in the memory that a schedule takes."""
        assert schedule.num_steps is not None
        tapes = self.budget.tape_slots
        room = schedule.num_slots + tapes.get(schedule.leaf_steps, 0) - tapes.get(leaf, 0)
        slots = max(0, min(self.budget.slots[leaf], room))
        return Case(schedule.num_steps, leaf, slots, 0, tapes.get(leaf, 0), costs)
