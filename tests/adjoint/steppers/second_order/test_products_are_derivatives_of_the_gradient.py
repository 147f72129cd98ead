"""Along random directions the gradient's remainder vanishes with the square of the step."""

import numpy as np
import pytest
from pendulums import Pendulums, complex_step_gradient
from seven_cells import NUM_STEPS as NUM_CELL_STEPS
from seven_cells import AnalyticCells, Cells, controls, directions

import adjoint

STEPS = (2e-3, 1e-3)


@pytest.mark.parametrize("kind", [Cells, AnalyticCells])
def test_remainders_have_order_two_and_three(kind):
    towards = {name: given[0] for name, given in directions(1).items()}
    with adjoint.Functional(kind(), NUM_CELL_STEPS, memory=700) as functional:
        product = functional.hessian_product(towards)
        cost, gradient = functional.value_and_gradient()
        of_gradient, of_cost = [], []
        for step in STEPS:
            moved = {k: m + step * towards[k] for k, m in controls().items()}
            there, slope = functional.value_and_gradient(moved)
            rest = {k: slope[k] - gradient[k] - step * product[k] for k in slope}
            of_gradient.append(np.sqrt(sum(np.sum(r**2) for r in rest.values())))
            linear = sum(np.sum(gradient[k] * towards[k]) for k in towards)
            bent = sum(np.sum(product[k] * towards[k]) for k in towards)
            of_cost.append(abs(there - cost - step * linear - step**2 * bent / 2))
    assert np.log2(of_gradient[0] / of_gradient[1]) >= 1.95
    assert np.log2(of_cost[0] / of_cost[1]) >= 2.95


def test_replay_data_and_a_control_with_rows():
    """The oracle shares no code with the stepper: it differentiates a plain function."""
    stepper, rng = Pendulums(3, 25), np.random.default_rng(3)
    at = {name: control.copy() for name, control in stepper.controls.items()}
    towards = {name: rng.standard_normal(control.shape) for name, control in at.items()}
    with adjoint.Functional(stepper, 25, memory="2 kB") as functional:
        product = functional.hessian_product(towards)
    step = 1e-4
    ends = [
        complex_step_gradient({k: m + sign * step * towards[k] for k, m in at.items()})
        for sign in (1, -1)
    ]
    for name, found in product.items():
        expected = (ends[0][name] - ends[1][name]) / (2 * step)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
