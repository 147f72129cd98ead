"""The planner's leaf: many plannings of one run, played beside leaves that are given by hand."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

import adjoint
from adjoint.schedules import Revolve
from plan_campaign.child import Task
from plan_campaign.later import Opened
from plan_campaign.models import MODELS
from plan_campaign.rounds import MIN_ROUNDS, Times, play
from plan_campaign.ways import schedule_of

STATES, NEAR = 32, 0.05
PLANNINGS = 40
LADDER = (1, 2, 3, 4, 6, 8, 12, 16)
RUNS = {"16 kB": (16_000, 4000), "250 kB": (250_000, 1000), "2 MB": (2_000_000, 400)}
"""State and steps of each run, of the wave whose tapes are states."""


def leaves(task: Task) -> dict[str, Any]:
    """Return plans of a run, and times of these and of the leaves of Revolve."""
    state_bytes, n = RUNS[task.name]
    make = partial(MODELS["wave"].make, state_bytes, n, None, None)
    before = task.before or {"plans": _plans(make, n, STATES * state_bytes), "times": {}}
    hand = {f"leaf {leaf}": Revolve(n, STATES + 1 - leaf, leaf_steps=leaf) for leaf in LADDER}
    schedules = {name: schedule_of(name) for name in before["plans"]} | hand
    with ExitStack() as opened:
        ways = {
            name: Opened(
                opened.enter_context(adjoint.Functional(make(), n, schedule=schedule)), None
            ).seconds
            for name, schedule in schedules.items()
        }
        for each in ways.values():
            each()
        played = Times(**before["times"])
        times = play(ways, "leaf 1", lambda _: False, played, seconds=task.seconds)
    return {"plans": before["plans"], "times": asdict(times)}


def shares(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the times say of the plans' leaves."""
    times, plans = Times(**found["times"]), found["plans"]
    counted = times.by_way if times.count >= MIN_ROUNDS else times.all_rounds
    ratios = {
        name: float(np.median(np.asarray(taken) / np.asarray(counted["leaf 1"])))
        for name, taken in counted.items()
    }
    best = min((name for name in ratios if name.startswith("leaf")), key=lambda n: ratios[n])
    losses = {name: ratios[name] / ratios[best] - 1 for name in plans}
    near = sum(count for name, count in plans.items() if losses[name] <= NEAR)
    return {
        "best": best,
        "near": near / sum(plans.values()),
        "mean loss": float(np.average(list(losses.values()), weights=list(plans.values()))),
        "worst loss": max(losses.values()),
        "by leaf": {name: ratios[name] / ratios[best] for name in ratios if name not in plans},
    }


def _plans(make: Callable[[], Any], num_steps: int, memory: int) -> dict[str, int]:
    """Return the schedules of many plannings, and how often each was planned."""
    plans: Counter[str] = Counter()
    for _ in range(PLANNINGS):
        with adjoint.Functional(make(), num_steps, memory=memory) as functional:
            plans[repr(functional.plan().schedule)] += 1
    return dict(plans)
