"""The planner's leaf: many plannings of one run, played beside leaves that are given by hand."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import adjoint
from adjoint.schedules import Revolve, Schedule
from plan_campaign.later import Opened
from plan_campaign.models import MODELS
from plan_campaign.rounds import MIN_ROUNDS, play

STATES, NEAR = 32, 0.03
PLANNINGS = 40
LADDER = (1, 2, 3, 4, 6, 8, 12, 16)
RUNS = {"16 kB": (16_000, 4000), "250 kB": (250_000, 1000), "2 MB": (2_000_000, 400)}
"""State and steps of each run, of the wave whose tapes are states."""


def leaves(run: str, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Return how often the plan of a run is within 3 % of the best leaf of Revolve."""
    state_bytes, n = RUNS[run]
    make = partial(MODELS["wave"].make, state_bytes, n, None, None)
    memory = STATES * state_bytes
    plans: Counter[Schedule] = Counter()
    for _ in range(PLANNINGS // 8 if quick else PLANNINGS):
        with adjoint.Functional(make(), n, memory=memory) as functional:
            plans[functional.plan().schedule] += 1
    hand = {f"leaf {leaf}": Revolve(n, STATES - leaf, leaf_steps=leaf) for leaf in LADDER}
    schedules = {f"plan {k}": plan for k, plan in enumerate(plans)} | hand
    with ExitStack() as opened:
        ways = {
            name: Opened(
                opened.enter_context(adjoint.Functional(make(), n, schedule=schedule)), None
            ).seconds
            for name, schedule in schedules.items()
        }
        for each in ways.values():
            each()
        times = play(ways, "leaf 1", lambda _: True, max_rounds=3 * MIN_ROUNDS)
    return _shares(times.by_way if times.count >= MIN_ROUNDS else times.all_rounds, plans)


def _shares(times: Mapping[str, list[float]], plans: Counter[Schedule]) -> dict[str, Any]:
    ratios = {
        name: float(np.median(np.asarray(taken) / np.asarray(times["leaf 1"])))
        for name, taken in times.items()
    }
    best = min(ratio for name, ratio in ratios.items() if name.startswith("leaf"))
    losses = [ratios[f"plan {k}"] / best - 1 for k in range(len(plans))]
    counts = list(plans.values())
    near = sum(c for c, loss in zip(counts, losses, strict=True) if loss <= NEAR)
    return {
        "best": min((n for n in ratios if n.startswith("leaf")), key=lambda n: ratios[n]),
        "near": near / sum(counts),
        "mean loss": float(np.average(losses, weights=counts)),
        "worst loss": max(losses),
        "plans": {str(plan): count for plan, count in plans.items()},
        "ratios": ratios,
    }
