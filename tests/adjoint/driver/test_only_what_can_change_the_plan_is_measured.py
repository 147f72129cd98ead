"""Which stages of planning run for which run, and that they take a small share of it.

On a clock that only steps move. Transfers are not measured but counted.
"""

import time

import numpy as np
import pytest
from pendulums import Pendulums

import adjoint
from adjoint.driver import measured
from adjoint.measurement import remembered
from adjoint.measurement.engines import Survey
from adjoint.measurement.probe import Probe
from adjoint.measurement.transfers import TransferCosts
from adjoint.schedules import Revolve

PENDULUMS = 1000
STATE = 2 * 8 * PENDULUMS + 64


class Clock:
    """Time, in seconds."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Timed(Pendulums):
    """Pendulums whose steps take a time of their own, and twice that backwards."""

    def __init__(self, num_steps, step_seconds, clock):
        super().__init__(PENDULUMS, num_steps)
        self._clock, self._step_seconds = clock, step_seconds

    def fingerprint(self):
        return {}

    def step(self, step, state, out):
        self._clock.now += self._step_seconds
        super().step(step, state, out)

    def step_vjp(self, step, state, adjoint, gradient):
        self._clock.now += 2 * self._step_seconds
        super().step_vjp(step, state, adjoint, gradient)


class Retaken(Timed):
    """Steps must be taken for their tape."""

    needs_last_state = True


SECONDS = 1e-3
TRANSFERS = TransferCosts("counted", *(SECONDS,) * 4, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, cached=False)


@pytest.fixture
def stages(monkeypatch):
    """Return the stages that have run, in order."""
    found = []

    def noted(name, function):
        def noting(*arguments, **options):
            if name not in found:
                found.append(name)
            return function(*arguments, **options)

        return noting

    monkeypatch.setattr(remembered, "_found", {})
    monkeypatch.setattr(Probe, "costs", noted("steps", Probe.costs))
    monkeypatch.setattr(Probe, "costs_in_sweeps", noted("sweeps", Probe.costs_in_sweeps))
    survey = Survey({"thread": TRANSFERS}, {})
    monkeypatch.setattr(Probe, "engines", noted("file", lambda *_: survey))
    monkeypatch.setattr(measured, "touch_speed", noted("touch", lambda _: 1e9))
    return found


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


def planned(clock, step_seconds, num_steps, states, kind=Timed, **options):
    """Return the plan, and what planning has taken."""
    stepper = kind(num_steps, step_seconds, clock)
    with adjoint.Functional(stepper, num_steps, memory=states * STATE, **options) as functional:
        began = clock.now
        plan = functional.plan()
        return plan, clock.now - began


@pytest.mark.parametrize("kind", [Timed, Retaken])
@pytest.mark.parametrize("step_seconds", [1e-5, 1e-3])
def test_of_a_run_of_seconds_single_steps_are_timed(kind, step_seconds, stages, clock):
    plan, spent = planned(clock, step_seconds, 2000, 30, kind)
    assert plan.predicted_seconds < 10
    assert stages == ["steps"]
    assert spent <= max(0.05, 0.02 * plan.predicted_seconds)


@pytest.mark.parametrize("kind", [Timed, Retaken])
def test_of_a_longer_run_sweeps_are_timed_for_a_small_part_of_it(kind, stages, clock):
    plan, spent = planned(clock, 1e-3, 20_000, 30, kind)
    assert plan.predicted_seconds > 60
    assert stages[:2] == ["steps", "sweeps"]
    assert spent <= 0.04 * plan.predicted_seconds


def test_a_run_of_a_quarter_of_a_second_leaves_the_file_alone(stages, clock, tmp_path):
    plan, spent = planned(clock, 1e-4, 500, 32, file=tmp_path)
    assert plan.predicted_seconds < 0.3
    assert stages == ["steps"]
    assert spent <= 0.05
    assert plan.schedule.file_states == 0


def test_the_file_is_measured_where_it_can_save_several_times_what_that_takes(
    stages, clock, tmp_path
):
    plan, _ = planned(clock, 1e-3, 1200, 12, file=tmp_path)
    assert stages == ["steps", "file"]
    assert plan.schedule.file_states > 0
    stages.clear()
    planned(clock, 1e-3, 1200, 12, file=tmp_path)
    assert "file" not in stages, "what was measured lately is believed"


def test_the_file_is_not_measured_where_all_fits_in_memory(stages, clock, tmp_path):
    planned(clock, 1e-3, 2000, 2100, file=tmp_path)
    assert "file" not in stages


def test_the_speed_of_new_memory_is_measured_where_it_can_matter(stages, clock):
    planned(clock, 1e-7, 2000, 2000)
    assert "touch" in stages
    stages.clear()
    planned(clock, 1e-3, 2000, 2000)
    assert "touch" not in stages


def test_a_schedule_that_is_given_is_not_measured(stages, clock):
    stepper = Timed(500, 1e-3, clock)
    with adjoint.Functional(stepper, 500, schedule=Revolve(500, 9)) as functional:
        functional.plan()
        functional.value_and_gradient()
        assert np.isnan(functional.report.predicted_seconds)
    assert stages == []
