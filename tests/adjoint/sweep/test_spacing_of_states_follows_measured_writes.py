"""The spacing of states in the file follows the measured time of a write; no bit changes.

The engine is throttled: a write takes a given time, without using a core.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from coupled_pendulums import CoupledPendulums
from throttled_engine import Throttle

import adjoint
from adjoint.parallel import status_exchange
from adjoint.schedules import Spilling, StoreAll
from adjoint.schedules.costs import Costs

NUM_STEPS = 1200

PAUSE = 0.0005
"""Least time of a step, in seconds."""


@dataclass(frozen=True)
class Run:
    """One gradient, and the steps whose states it wrote."""

    result: adjoint.Result
    tuned: Spilling
    written: list[int]


def run(monkeypatch, file, *, planned, throttle) -> Run:
    """Return a run that was planned for writes as long as `planned` steps."""
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.01)
    costs = Costs(advance=PAUSE, pull_back=PAUSE, write=planned * PAUSE, read=PAUSE)
    schedule = Spilling(NUM_STEPS, 8, max(1.0, planned), costs=costs)
    stepper = CoupledPendulums(20, NUM_STEPS, pause=PAUSE)
    with adjoint.Functional(
        stepper, NUM_STEPS, schedule=schedule, file=file, engine=throttle, trace=file / "trace.json"
    ) as functional:
        cost, gradient = functional.value_and_gradient()
        assert functional.report is not None
        assert functional.timeline is not None
        written = sorted(e.start_step for e in functional.timeline if e.name == "Write")
        result = adjoint.Result(cost, gradient, functional.report)
        return Run(result, functional.schedule, written)


@pytest.fixture(scope="module")
def expected():
    return adjoint.gradient(
        CoupledPendulums(20, NUM_STEPS), NUM_STEPS, schedule=StoreAll(NUM_STEPS)
    )


def assert_same(result, expected):
    assert result.cost == expected.cost
    for name, array in expected.gradient.items():
        np.testing.assert_array_equal(result.gradient[name], array)


def test_slow_writes_are_spaced_out(monkeypatch, tmp_path, expected):
    slow = run(monkeypatch, tmp_path, planned=2, throttle=Throttle(0.03, 0.001))
    assert_same(slow.result, expected)
    assert slow.result.report.cost_changes > 0
    assert slow.tuned.interval > 8
    assert np.median(np.diff(slow.written)[-8:]) > 8
    assert len(slow.written) < NUM_STEPS // 8


def test_spacing_follows_a_bandwidth_that_drops(monkeypatch, tmp_path, expected):
    throttle = Throttle(0.004, 0.001, after_writes=20, factor=8)
    dropped = run(monkeypatch, tmp_path, planned=6, throttle=throttle)
    assert_same(dropped.result, expected)
    gaps = np.diff(dropped.written)
    assert np.median(gaps[-4:]) > 2 * np.median(gaps[:10])


def test_a_second_evaluation_starts_with_the_revised_spacing(monkeypatch, tmp_path):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.01)
    costs = Costs(advance=PAUSE, pull_back=PAUSE, write=2 * PAUSE, read=PAUSE)
    schedule = Spilling(NUM_STEPS, 8, 2.0, costs=costs)
    stepper = CoupledPendulums(20, NUM_STEPS, pause=PAUSE)
    with adjoint.Functional(
        stepper, NUM_STEPS, schedule=schedule, file=tmp_path, engine=Throttle(0.02, 0.001)
    ) as functional:
        first = functional.value_and_gradient()
        revised = functional.schedule
        assert revised != schedule
        assert functional.value_and_gradient()[0] == first[0]
        assert revised.interval > 3 * schedule.interval
