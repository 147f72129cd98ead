"""The plan without a file by what single steps take, as the driver and ``adjoint plan`` make it.

What no single step shows is assumed: what the driver takes for a leaf, and the way back of a kept
state from memory to the cache. The first touch of memory counts where it can matter. From there on
the driver measures what could change the plan.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

from adjoint.planning.budget import SLOW_TOUCH, Budget
from adjoint.planning.case import Case
from adjoint.planning.planner import MIN_FILE_SAVING, SAME_TIME, Plan, choose
from adjoint.schedules import num_leaves
from adjoint.schedules.costs import Costs

__all__ = ["PLANNING_SHARE", "Draft", "leaf_by_sizes"]

LEAF_SECONDS = 10e-6
"""The driver's own time for a leaf, until an evaluation has shown it."""

FETCH_SPEED = 8e9
"""Bytes a second at which a kept state comes back from memory, where a leaf sets out from it. By
hand, leaves of other sizes were at most 5 % faster than with this, on states of 8 bytes to 6 MB in
8 to 3,000 slots, and 1 % on average (17 runs, by the clock of the thread)."""

MAX_CACHED_BYTES = 8 << 20
"""A larger state comes from memory in every step, and so costs nothing more there."""

PLANNING_SHARE = 0.02
"""Share of the run that finding a better plan may take, and that it must be able to save."""

MIN_GAIN_PER_PROBE = 3
"""The file is measured only if keeping every state for nothing would save as many times what
measuring it is expected to take:"""

PROBE_SECONDS, PROBED_WRITES, WRITE_SPEED = 0.1, 10, 0.5e9
"""0.1 s and 10 writes, at so many bytes a second as long as nothing is known."""

SENSITIVE_LEAF = 4
"""What a leaf takes besides its steps, in steps, where rounding depends on it: of a network that
PyTorch or JAX runs, the gradient of all weights is added once for each leaf."""

USUAL_LEAF_LOSS = 0.03
"""The usual leaf of such a stepper is kept if it costs no more than this fraction of the time."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The best plan without a file, and what it was found by. The same on every rank."""

    plan: Plan
    costs: Costs
    budget: Budget

    @classmethod
    def of(
        cls,
        num_steps: int,
        costs: Costs,
        budget: Budget,
        *,
        touch_speed: Callable[[], float],
    ) -> "Draft":
        """Return the plan by the costs of single steps.

        Parameters
        ----------
        num_steps
            Steps of the run.
        costs
            Of single steps.
        budget
            What may be used.
        touch_speed
            Returns the bytes of new memory that can be touched in a second: asked for only if the
            first touch can matter.

        Raises
        ------
        ArgumentError, ScheduleError
            As `choose` does.
        """
        fetched = budget.slot_bytes if budget.slot_bytes <= MAX_CACHED_BYTES else 0
        fetching = fetched / FETCH_SPEED
        costs = replace(costs, driver_overhead=LEAF_SECONDS, restart_overhead=fetching)
        draft = cls.by(num_steps, costs, budget)
        slowly = replace(budget, touch_speed=SLOW_TOUCH).touching_of(draft.plan.schedule)
        if slowly > PLANNING_SHARE * draft.plan.predicted_seconds:
            draft = cls.by(num_steps, costs, replace(budget, touch_speed=touch_speed()))
        return draft

    @classmethod
    def by(cls, num_steps: int, costs: Costs, budget: Budget) -> "Draft":
        """Return the best plan without a file by costs that are known."""
        return cls(choose(num_steps, costs, replace(budget, file_states=0)), costs, budget)

    def file_can_pay(self, row_bytes: int, *, is_known: bool) -> bool:
        """Return whether a file could save enough, if every state were kept in it for nothing.

        Parameters
        ----------
        row_bytes
            Size of a state on the rank with the largest.
        is_known
            Whether transfers need not be measured any more.
        """
        schedule, costs = self.plan.schedule, self.costs
        n, seconds = schedule.num_steps, self.plan.predicted_seconds
        assert n is not None
        free = n * (costs.advance + costs.record + costs.pull_back)
        free += num_leaves(n, schedule.leaf_steps) * costs.driver_overhead
        probing = 0.0 if is_known else PROBE_SECONDS + PROBED_WRITES * row_bytes / WRITE_SPEED
        return seconds - free >= max(MIN_FILE_SAVING * seconds, MIN_GAIN_PER_PROBE * probing)


def leaf_by_sizes(num_steps: int, budget: Budget, usual: int, *, retakes: bool) -> int:
    """Return the leaf of a stepper whose rounding depends on it: by sizes alone, by no timing.

    So the same run in the same memory has the same bits. A step back counts as two forward.

    Parameters
    ----------
    num_steps
        Steps of the run.
    budget
        What may be used; the file does not count.
    usual
        The leaf that is taken unless another one is better.
    retakes
        Whether the last step of a leaf must be taken for its tape.
    """
    costs = Costs(unreached=float(retakes), pull_back=2.0, driver_overhead=SENSITIVE_LEAF)
    seconds = {
        leaf: Case(num_steps, leaf, slots, 0, budget.tape_slots.get(leaf, 0), costs).least_seconds
        for leaf, slots in budget.slots.items()
    }
    least = min(seconds.values())
    if seconds.get(usual, inf) <= (1 + USUAL_LEAF_LOSS) * least:
        return usual
    return min(leaf for leaf, each in seconds.items() if each <= (1 + SAME_TIME) * least)
