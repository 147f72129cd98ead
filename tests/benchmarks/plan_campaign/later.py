"""One configuration in one process: every way evaluated again and again, beside the plan."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

import adjoint
from plan_campaign.child import Task
from plan_campaign.configurations import Configuration
from plan_campaign.rounds import Times, play
from plan_campaign.statistics import judge
from plan_campaign.ways import (
    PLANNED,
    Rival,
    Room,
    in_file,
    in_memory,
    measure_costs,
    options,
)

MAX_RATIO = 1.05
"""Of a later evaluation to that of the best rival."""
PREDICTED = 3
"""The evaluation whose prediction is held against what it took."""
MAX_EXPLORING = 8
"""Evaluations after which a plan is played as it is, though it may still be revised."""
TOLERANCE = 1e-4
"""Between gradients of steppers whose rounding differs, in parts of the largest entry."""

Gradient = dict[str, np.ndarray]


class Opened:
    """One way, with a stepper of its own."""

    def __init__(self, run: adjoint.Functional, comm: Any) -> None:
        self.run, self._comm = run, comm
        self.gradient: Gradient = {}

    def seconds(self) -> float:
        """Evaluate once."""
        if self._comm is not None:
            self._comm.Barrier()
        began = time.perf_counter()
        _, self.gradient = self.run.value_and_gradient()
        return time.perf_counter() - began

    @property
    def report(self) -> adjoint.Report:
        assert self.run.report is not None
        return self.run.report


def later(
    configuration: Configuration, folder: Path, task: Task, comm: Any = None
) -> dict[str, Any]:
    """Return what the campaign notes of a configuration, but for first evaluations."""
    before = Times(**task.before["times"]) if task.before else Times()
    model, n = configuration.model, configuration.num_steps
    make = partial(model.make, configuration.state_bytes, n, comm)
    room = Room.of(configuration, make(None))
    rivals = rivals_of(configuration, room, folder, comm)
    with ExitStack() as opened:

        def way(rival: Rival | None) -> Opened:
            leaf = rival.schedule.leaf_steps if rival and model.leaf_sensitive else None
            how = options(configuration, rival, room, folder, comm)
            return Opened(opened.enter_context(adjoint.Functional(make(leaf), n, **how)), comm)

        planned = way(None)
        found = warm(planned)
        still = [rival for rival in rivals if rival.name not in before.dropped]
        ways = {PLANNED: planned} | {rival.name: way(rival) for rival in still}
        for each in list(ways.values())[1:]:
            each.seconds()
        clocks: dict[str, Callable[[], float]] = {name: w.seconds for name, w in ways.items()}
        times = play(
            clocks, PLANNED, is_decided, before, drops=True, comm=comm, seconds=task.seconds
        )
        found |= {
            "schedule": planned.report.schedule,
            "reason": planned.report.reason,
            "memory": None if configuration.share is None else room.memory_bytes,
            "bytes": {name: each.report.memory_bytes for name, each in ways.items()},
            "differing": differing(ways, comm, exact=not model.leaf_sensitive),
            "rivals": {rival.name: repr(rival.schedule) for rival in rivals},
            "leaves": {rival.name: rival.schedule.leaf_steps for rival in rivals},
            "times": asdict(times),
        }
        if not task.before:
            return found
        # what was found first counts, but for the times and for what is wrong
        wrong = {"differing": sorted({*task.before["differing"], *found["differing"]})}
        return found | task.before | wrong | {"times": found["times"]}


def is_decided(times: Times) -> bool:
    """Return whether the rounds so far say whether the plan is as good as the best rival."""
    others = {name: taken for name, taken in times.by_way.items() if name != PLANNED}
    return not others or judge(times.by_way[PLANNED], others).ratio.decides(MAX_RATIO)


def rivals_of(configuration: Configuration, room: Room, folder: Path, comm: Any) -> list[Rival]:
    """Return all rivals that fit, the same on all ranks."""
    rivals = list(in_memory(configuration, room))
    if configuration.file:
        costs = measure_costs(room.stepper, room.block_bytes, folder)
        costs = costs if comm is None else comm.bcast(costs)
        rivals += in_file(configuration, room, costs)
    return rivals


def warm(planned: Opened) -> dict[str, Any]:
    """Evaluate until the plan is no longer revised; return what is to be noted on the way."""
    first = planned.seconds()
    found: dict[str, Any] = {
        "first": first,
        "planning": planned.report.probe_seconds,
        "run": planned.report.seconds,
    }
    evaluations, before = 1, ""
    while evaluations < MAX_EXPLORING:
        planned.seconds()
        evaluations += 1
        report = planned.report
        if evaluations == PREDICTED:
            found |= {"predicted": report.predicted_seconds, "taken": report.seconds}
        if evaluations > PREDICTED and report.schedule == before:
            break
        before = report.schedule
    return found


def differing(ways: Mapping[str, Opened], comm: Any, *, exact: bool) -> list[str]:
    """Return the ways whose gradients are not those of the plan, on any rank."""
    expected = ways[PLANNED].gradient
    found = [
        name
        for name, each in ways.items()
        if not all(_same(each.gradient[key], expected[key], exact=exact) for key in expected)
    ]
    return found if comm is None else sorted(set(chain(*comm.allgather(found))))


def _same(found: np.ndarray, expected: np.ndarray, *, exact: bool) -> bool:
    if exact:
        return found.tobytes() == expected.tobytes()
    return bool(np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max())
