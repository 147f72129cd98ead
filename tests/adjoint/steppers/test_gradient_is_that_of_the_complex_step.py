"""`gradient` agrees with the complex step, for every kind of control, to round-off."""

import numpy as np
import pytest
from pendulums import CopiedPendulums, Pendulums, complex_step_gradient, cost

import adjoint
from adjoint.schedules import Asynchronous, Revolve, StoreAll

SCHEDULES = [
    StoreAll(20),
    StoreAll(20, leaf_steps=6),
    Revolve(20, 1),
    Revolve(20, 3),
    Revolve(20, 2, leaf_steps=3),
    Asynchronous(20, 2, 4),
    Asynchronous(20, 5, 6, leaf_steps=2),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("kind", [Pendulums, CopiedPendulums])
def test_every_control_under_every_schedule(kind, schedule, tmp_path):
    stepper = kind(3, 20, seed=4)
    result = adjoint.gradient(stepper, 20, schedule=schedule, file=tmp_path / "run.h5")
    assert result.cost == pytest.approx(cost(stepper.controls).real, rel=1e-14)
    for name, expected in complex_step_gradient(stepper.controls).items():
        np.testing.assert_allclose(result.gradient[name], expected, rtol=1e-12, atol=1e-14)


def test_one_step_needs_no_slot():
    stepper = Pendulums(2, 1)
    result = adjoint.gradient(stepper, 1, memory=4096 * 2)
    expected = complex_step_gradient(stepper.controls)
    np.testing.assert_allclose(result.gradient["stiffness"], expected["stiffness"], rtol=1e-12)


def test_a_control_with_a_row_per_step_has_a_gradient_with_a_row_per_step():
    stepper = Pendulums(2, 15)
    result = adjoint.gradient(stepper, 15, schedule=Revolve(15, 2))
    assert result.gradient["force"].shape == (15,)
    assert np.all(result.gradient["force"] != 0)
