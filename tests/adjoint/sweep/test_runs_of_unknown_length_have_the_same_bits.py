"""``num_steps=None``: any schedule that allows it, with and without a file, gives the same bits."""

import numpy as np
import pytest
from adaptive_pendulum import AdaptivePendulum, cost_by_hand

import adjoint
from adjoint.errors import ArgumentError, StepperError
from adjoint.schedules import Online, Spilling, StoreAll
from adjoint.schedules.costs import Costs

COSTS = Costs(advance=1.0, pull_back=1.0, write=3.0, read=3.0)


@pytest.fixture(scope="module")
def expected():
    stepper = AdaptivePendulum()
    stepper.start()
    stepper.advance(0, 1000)
    count = stepper.position
    assert 20 < count < 200
    return adjoint.gradient(AdaptivePendulum(), count, schedule=StoreAll(count))


def assert_same(result, expected):
    assert result.cost == expected.cost
    assert result.report.num_steps == expected.report.num_steps
    for name, array in expected.gradient.items():
        np.testing.assert_array_equal(result.gradient[name], array)


def test_it_is_the_derivative_of_the_steps_that_were_taken(expected):
    stepper = AdaptivePendulum()
    adjoint.gradient(stepper, None, memory="64 KiB")
    steps = stepper.accepted_steps[:, 1]
    assert expected.cost == pytest.approx(cost_by_hand(1.3, 0.7, steps).real, rel=1e-13)
    for name, point in {"stiffness": (1.3 + 1e-30j, 0.7), "angle": (1.3, 0.7 + 1e-30j)}.items():
        derivative = cost_by_hand(*point, steps).imag / 1e-30
        assert expected.gradient[name][0] == pytest.approx(derivative, rel=1e-12)


@pytest.mark.parametrize(
    "schedule",
    [
        Online(3),
        Online(5, leaf_steps=4),
        Spilling(None, 3, 4.0, costs=COSTS, max_file_states=6),
        Spilling(None, 4, 8.0, costs=COSTS, max_file_states=4, leaf_steps=4),
    ],
    ids=repr,
)
@pytest.mark.parametrize("place", ["folder", "run.h5"])
def test_every_schedule_that_awaits_the_number_of_steps(schedule, place, tmp_path, expected):
    file = None
    if schedule.file_states:
        file = tmp_path if place == "folder" else tmp_path / place
    assert_same(adjoint.gradient(AdaptivePendulum(), None, schedule=schedule, file=file), expected)


@pytest.mark.parametrize("place", [None, "folder", "run.h5"])
def test_the_planner_finds_a_schedule(place, tmp_path, expected):
    file = {None: None, "folder": tmp_path, "run.h5": tmp_path / "run.h5"}[place]
    result = adjoint.gradient(AdaptivePendulum(), None, memory="64 KiB", file=file)
    assert_same(result, expected)


def test_values_and_later_evaluations_agree(tmp_path):
    with adjoint.Functional(
        AdaptivePendulum(), None, memory="64 KiB", file=tmp_path / "run.h5"
    ) as functional:
        first, _ = functional.value_and_gradient()
        assert functional.value() == first
        changed = {"stiffness": np.array([2.9])}
        second, gradient = functional.value_and_gradient(changed)
        assert second != first
    fresh = AdaptivePendulum()
    fresh.controls["stiffness"][:] = 2.9
    expected = adjoint.gradient(fresh, None, memory="64 KiB")
    assert second == expected.cost
    np.testing.assert_array_equal(gradient["angle"], expected.gradient["angle"])


def test_a_stepper_without_finished_is_refused():
    class Endless:
        """A pendulum without `finished`."""

        def __init__(self):
            self.inner = AdaptivePendulum()

        def __getattr__(self, name):
            if name == "finished":
                raise AttributeError(name)
            return getattr(self.inner, name)

    with pytest.raises(ArgumentError, match="know where the run ends"):
        adjoint.gradient(Endless(), None)


def test_a_stepper_that_stops_before_the_end_is_refused():
    class Stuck(AdaptivePendulum):
        def advance(self, start, stop, *, cost=None):
            return super().advance(start, min(stop, start + 1) if start > 10 else stop, cost=cost)

    with pytest.raises(StepperError, match="stop early only at the end"):
        adjoint.gradient(Stuck(), None, schedule=Online(3, leaf_steps=8))
