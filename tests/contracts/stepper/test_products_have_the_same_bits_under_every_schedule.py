"""Products of any stepper that has second derivatives have the same bits however it is stored.

Cost and gradient beside them have those that they have without. A stepper that has none refuses.
"""

import numpy as np
import pytest
from every_stepper import every_stepper

import adjoint
from adjoint.errors import StepperError
from adjoint.schedules import Revolve, StoreAll
from adjoint.steppers import Capabilities, FunctionStepper


def directions(stepper, count):
    rng = np.random.default_rng(8)
    return {
        name: 0.1 * np.abs(control) * rng.standard_normal((count, *control.shape))
        for name, control in stepper.controls.items()
    }


def bits(found):
    arrays = {**found.products, **{f"by {k}": g for k, g in (found.gradient or {}).items()}}
    return found.cost, {name: array.tobytes() for name, array in arrays.items()}


@pytest.mark.parametrize("gauss_newton", [False, True])
@pytest.mark.parametrize("case", every_stepper())
def test_bits(case, gauss_newton, tmp_path):
    stepper = case.make()
    has = Capabilities.of(stepper)
    given = directions(stepper, 3)
    steps, leaf = case.num_steps, has.leaf_steps or 1
    if not isinstance(stepper, FunctionStepper) and has.second_order is has.twin is None:
        with (
            adjoint.Functional(stepper, steps) as functional,
            pytest.raises(StepperError, match="has no second derivatives"),
        ):
            functional.second_order(given)
        return
    with adjoint.Functional(
        stepper, steps, schedule=StoreAll(steps, leaf_steps=leaf)
    ) as functional:
        plain = functional.value_and_gradient()
        expected = functional.second_order(given, gauss_newton=gauss_newton, block=3)
    assert expected.cost == plain[0]
    if not gauss_newton:
        assert all(np.array_equal(expected.gradient[k], g) for k, g in plain[1].items())
    options = {"schedule": Revolve(steps, 2, leaf_steps=leaf)}, {"file": tmp_path / "run.h5"}
    for each, block in zip(options, (2, None), strict=True):
        with adjoint.Functional(case.make(), steps, **each) as functional:
            found = functional.second_order(given, gauss_newton=gauss_newton, block=block)
        assert bits(found) == bits(expected), each
