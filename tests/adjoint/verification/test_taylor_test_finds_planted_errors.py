"""`taylor_test` finds errors of ten times its estimate in any part, and passes right gradients."""

import numpy as np
import pytest
from planted_errors import PROBLEMS, Cell, Diffusion, Growth

import adjoint
from adjoint.schedules import StoreAll
from adjoint.verification import taylor_test

LARGEST_ESTIMATE = {np.float64: 1e-7, np.float32: 1e-3}
DTYPES = pytest.mark.parametrize("dtype", LARGEST_ESTIMATE)
SEEDS = range(2)


def result_of(stepper, **options):
    schedule = StoreAll(stepper.num_steps)
    with adjoint.Functional(stepper, stepper.num_steps, schedule=schedule) as functional:
        return taylor_test(functional, **options)


def part_of(result, name):
    wanted = name if name == "initial state" else f"control {name!r}"
    return next(part for part in result.parts if part.part == wanted)


@DTYPES
@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_right_gradient_passes_with_a_small_estimate(problem, dtype):
    for seed in SEEDS:
        result = result_of(problem.make(dtype), seed=seed)
        assert result.passed, result
        assert result.error_estimate <= LARGEST_ESTIMATE[dtype]
        assert result.steps is None


@DTYPES
@pytest.mark.parametrize("problem", PROBLEMS)
def test_an_error_of_eleven_estimates_is_found_where_it_is(problem, dtype):
    for part in problem.parts(dtype):
        for seed in SEEDS:
            stepper = problem.make(dtype)
            estimate = part_of(result_of(stepper, seed=seed), part).relative_error
            stepper.planted = part, -11 * estimate
            result = result_of(stepper, seed=seed)
            assert result.verdict == "wrong", result
            found = [p.part for p in result.parts if p.verdict == "wrong"]
            assert found == [part_of(result, part).part], result


@pytest.mark.parametrize(("dtype", "error"), [(np.float64, 1e-6), (np.float32, 0.1)])
def test_a_given_direction_is_tested_alone(dtype, error):
    stepper = Growth.make(dtype)
    stepper.planted = "rate", error
    entry = np.zeros(stepper.controls["start"].shape)
    entry[7] = 0.5
    assert result_of(stepper, direction={"start": entry}).passed
    assert not result_of(stepper, direction={"rate": np.ones(1)}).passed


def test_controls_are_left_alone_and_orders_are_two_and_one():
    stepper = Cell.make(np.float64)
    before = {name: control.copy() for name, control in stepper.controls.items()}
    right = result_of(stepper)
    assert right.order == pytest.approx(2, abs=0.05)
    stepper.planted = "W", 0.2
    wrong = part_of(result_of(stepper), "W")
    assert wrong.order == pytest.approx(1, abs=0.05)
    for name, control in stepper.controls.items():
        assert np.array_equal(control, before[name])


def test_a_control_whose_scale_is_zero_is_left_out():
    stepper = Growth.make(np.float64)
    stepper.planted = "rate", 0.5
    result = result_of(stepper, scale={"rate": 0, "u": 0})
    assert result.passed
    assert [part.part for part in result.parts] == ["control 'start'"]
    with pytest.raises(adjoint.ArgumentError, match="nothing to test"):
        result_of(stepper, scale={"rate": 0, "u": 0, "start": 0})


class FirstStepMissing(Diffusion):
    def step_vjp(self, step, state, adjoint, gradient):
        super().step_vjp(step, state, adjoint, gradient if step else {"m": np.zeros(200)})


def test_what_is_printed_names_the_part_and_the_step():
    result = result_of(FirstStepMissing.make(np.float64))
    text = str(result)
    assert "gradient: wrong" in text
    assert "step in control 'm', step 0" in text
    assert result.steps.first_wrong_step == 0
    assert "bitwise_test" not in text


def test_an_error_outside_the_steps_is_said_to_be_there():
    stepper = Growth.make(np.float64)
    stepper.planted = "initial state", 0.01
    assert "No single step, cost or initial state was found wrong" in str(result_of(stepper))
