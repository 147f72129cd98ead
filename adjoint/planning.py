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
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from adjoint.costs import Costs
from adjoint.errors import ArgumentError
from adjoint.schedules import Asynchronous, Revolve, Schedule, StoreAll, num_leaves
from adjoint.schedules.revolve import minimal_advances

__all__ = ["Budget", "Plan", "choose", "leaf_sizes", "parse_bytes", "without_measuring"]

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

UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


@dataclass(frozen=True, slots=True)
class Budget:
    """What a sweep may use: the same on every rank."""

    slots: Mapping[int, int]
    """Leaf size -> slots that fit in memory beside the tape of such a leaf, on the tightest rank.

    Only leaf sizes that can be played: those with a slot, or so large that none is needed."""
    file_states: int = 0
    """Snapshots that the file may hold at once; 0 without a file."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule to play, and why."""

    num_steps: int
    num_slots: int
    leaf_steps: int
    interval: int | None
    """Steps between two states in the file; None without a file."""
    predicted_seconds: float
    reason: str

    def schedule(self) -> Schedule:
        """Return the schedule itself."""
        n, slots, leaf = self.num_steps, self.num_slots, self.leaf_steps
        if self.interval is not None:
            return Asynchronous(n, slots, self.interval, leaf_steps=leaf)
        if slots >= -(-n // leaf) - 1:
            return StoreAll(n, leaf_steps=leaf)
        return Revolve(n, slots, leaf_steps=leaf)


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
    return Plan(num_steps, slots, leaf, None, math.nan, "every leaf's start fits in memory")


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
    with_file = max(good, key=lambda plan: (plan.interval, -plan.predicted_seconds))
    if with_file.predicted_seconds < (1 - FILE_MUST_SAVE) * in_memory.predicted_seconds:
        return with_file
    return in_memory


def parse_bytes(size: int | str) -> int:
    """Return a number of bytes from an integer or text such as "512 MiB", "200 GB", "1.5g".

    Raises
    ------
    ArgumentError
        The text is not a size, or the size is not positive.
    """
    if isinstance(size, str):
        match = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([kmgtp]?)(i?)b?\s*", size.lower())
        if match is None or match[1].count(".") > 1:
            raise ArgumentError(
                f'{size!r} is not a size: write it as "512 MiB", "200 GB" or in bytes'
            )
        size = int(float(match[1]) * (1024 if match[3] else 1000) ** UNITS[match[2]])
    if size <= 0:
        raise ArgumentError(f"a size must be positive, not {size}")
    return int(size)


def leaf_sizes(num_steps: int, insisted: int | None) -> list[int]:
    """Return the leaf sizes worth pricing: the one insisted on, or else a geometric few."""
    if insisted is not None:
        return [insisted]
    powers = [1 << k for k in range(num_steps.bit_length())]
    sizes = {*powers, *(3 * p // 2 for p in powers[1:]), num_steps, math.isqrt(num_steps)}
    return sorted(size for size in sizes if size <= num_steps)


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
        yield Plan(num_steps, slots, leaf, None, seconds, reason)


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
            yield Plan(num_steps, slots, leaf, interval, seconds, reason)


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
