"""Which schedule to play: measured costs and budgets in, a small `Plan` out.

Every candidate is priced in closed form. With ``N`` leaves of ``L`` steps, ``s`` slots and ``A``
advanced steps, a step costing ``u_f`` forward, ``u_t`` more with a tape and ``u_a`` to pull back:

- Revolve (and store-all, which is Revolve with a slot for every leaf): ``A = L t(N, s)``.
- Asynchronous, interval ``I``: forward each interval costs ``max(w, I u_f + w (1 - 1/c))``, where
  ``c`` is how much slower the computation runs while a transfer is under way; reverse it costs
  ``max(r, (A_I + I - I/L) u_f + I (u_t + u_a) + r (1 - 1/c))`` with ``A_I = L t(I/L, s-1)``
  (Kukreja, Hückelheim and Gorman 2018, arXiv:1806.01117, with the slowdown added).

A file is only worth its while where it wins clearly: otherwise the plan is Revolve.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from adjoint.budgets import Budget
from adjoint.costs import Costs
from adjoint.schedules import Asynchronous, Revolve, Schedule, StoreAll, num_leaves
from adjoint.schedules.revolve import minimal_advances

__all__ = ["Plan", "choose", "compare", "without_measuring"]

FILE_MUST_SAVE = 0.05
"""A plan with a file is taken only if it is predicted to save this share: predictions err."""

CHANNEL_SHARE = 0.1
"""How much of the file's probed speed a plan counts on: a few states go to the page cache, many
go to the disk, which is some times slower."""

NEARLY_AS_GOOD = 1.03
"""Of plans that differ by no more than this, the one that moves fewest states is taken."""

ACTION_SECONDS = 2e-6
"""What the driver itself takes for one action."""

ACTIONS_PER_LEAF = 5
"""Store, Restore, Discard, Record and PullBack; the advances are counted with the steps."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule to play, and why."""

    schedule: Schedule
    predicted_seconds: float
    reason: str

    @property
    def family(self) -> str:
        """The name of the schedule's kind."""
        return type(self.schedule).__name__


def without_measuring(num_steps: int, budget: Budget) -> Plan | None:
    """Return the plan to keep every leaf's start in memory if the budget holds them, else None.

    No cost can speak against it: every step is taken once and recorded once. Of the leaves that
    fit, the one that uses least memory is taken.
    """
    fitting = [
        (leaf + num_leaves(num_steps, leaf), leaf)
        for leaf, slots in budget.slots.items()
        if slots >= num_leaves(num_steps, leaf) - 1
    ]
    if not fitting:
        return None
    leaf = min(fitting)[1]
    slots = num_leaves(num_steps, leaf) - 1
    return Plan(_in_memory(num_steps, slots, leaf), math.nan, "every leaf's start fits in memory")


def choose(num_steps: int, costs: Mapping[int, Costs], budget: Budget) -> Plan:
    """Return the cheapest plan within a budget that holds at least one leaf size.

    `costs` are by leaf size: those of the largest that is not larger than a leaf count for it.
    """
    in_memory = min(_revolve_plans(num_steps, costs, budget), key=_seconds)
    candidates = list(_asynchronous_plans(num_steps, costs, budget))
    if not candidates:
        return in_memory
    enough = NEARLY_AS_GOOD * min(map(_seconds, candidates))
    good = [plan for plan in candidates if plan.predicted_seconds <= enough]
    with_file = min(good, key=lambda plan: (plan.schedule.file_states, plan.predicted_seconds))
    if with_file.predicted_seconds < (1 - FILE_MUST_SAVE) * in_memory.predicted_seconds:
        return with_file
    return in_memory


def compare(num_steps: int, costs: Mapping[int, Costs], budget: Budget) -> list[Plan]:
    """Return the best plan of every family that the budget has room for, the quickest first."""
    every = [
        *_revolve_plans(num_steps, costs, budget),
        *_asynchronous_plans(num_steps, costs, budget),
    ]
    best: dict[str, Plan] = {}
    for plan in sorted(every, key=_seconds):
        best.setdefault(plan.family, plan)
    return list(best.values())


def _revolve_plans(num_steps: int, costs: Mapping[int, Costs], budget: Budget) -> Iterator[Plan]:
    for leaf, available in budget.slots.items():
        paid = _with_leaves_of(leaf, costs)
        count = num_leaves(num_steps, leaf)
        slots = min(available, count - 1)
        advances = leaf * minimal_advances(count, slots) if count > 1 else 0
        seconds = advances * paid.advance + _leaf_seconds(leaf, paid) * num_steps
        reason = (
            f"{advances / num_steps:.2f} advances a step with {slots} slots and leaves of {leaf}"
        )
        yield Plan(_in_memory(num_steps, slots, leaf), seconds, reason)


def _asynchronous_plans(
    num_steps: int, costs: Mapping[int, Costs], budget: Budget
) -> Iterator[Plan]:
    for leaf, slots in budget.slots.items():
        if slots < 2 or budget.file_states == 0:
            continue
        paid = _with_leaves_of(leaf, costs)
        for interval in _intervals(num_steps, leaf, paid, budget):
            forward, reverse = _interval_seconds(interval, leaf, slots, paid)
            seconds = (forward + reverse) * num_steps / interval
            reason = f"a state to the file every {interval} steps, leaves of {leaf}"
            schedule = Asynchronous(num_steps, slots, interval, leaf_steps=leaf)
            yield Plan(schedule, seconds, reason)


def _in_memory(num_steps: int, slots: int, leaf: int) -> Schedule:
    if slots >= num_leaves(num_steps, leaf) - 1:
        return StoreAll(num_steps, leaf_steps=leaf)
    return Revolve(num_steps, slots, leaf_steps=leaf)


def _with_leaves_of(leaf: int, costs: Mapping[int, Costs]) -> Costs:
    """Return the costs that were measured with the largest leaf that is not larger."""
    return costs[max((size for size in costs if size <= leaf), default=min(costs))]


def _interval_seconds(interval: int, leaf: int, slots: int, costs: Costs) -> tuple[float, float]:
    """Seconds that one interval takes forward and reverse, transfers hidden where they can be."""
    lost = 1 - 1 / costs.slowdown
    forward = interval * costs.advance + costs.store + costs.post + costs.write * lost
    advances = leaf * minimal_advances(interval // leaf, slots - 1) if interval > leaf else 0
    reverse = advances * costs.advance + interval * _leaf_seconds(leaf, costs)
    reverse += costs.post + costs.read * lost
    return max(costs.write, forward), max(costs.read, reverse)


def _leaf_seconds(leaf: int, costs: Costs) -> float:
    """Seconds a step that reversing leaves takes, beside the advances between them."""
    step = costs.advance * (leaf - 1) / leaf + costs.record + costs.pull_back
    return step + (costs.store + costs.restore + ACTIONS_PER_LEAF * ACTION_SECONDS) / leaf


def _intervals(num_steps: int, leaf: int, costs: Costs, budget: Budget) -> set[int]:
    """Spacings worth pricing: the channel's own pace and coarser, that the file has room for."""
    channel = costs.write / CHANNEL_SHARE / costs.advance
    least = max(channel, num_steps / budget.file_states, leaf)
    paces = [least * factor for factor in (1, 1.5, 2, 3, 4, 8)]
    on_grid = {leaf * math.ceil(pace / leaf) for pace in paces}
    return {interval for interval in on_grid if interval < num_steps}


def _seconds(plan: Plan) -> float:
    return plan.predicted_seconds
