"""Gradients of every kind of cost and control agree with the complex step, without PETSc."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc_oscillator import EVERY, PARAMETERS, START, Oscillator, rhs

import adjoint
from adjoint.schedules import Revolve

NUM_STEPS, SIZE = 14, 0.05

TABLEAUS = {
    "rk 4": ([[], [1 / 2], [0, 1 / 2], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6]),
    "rk 3bs": ([[], [1 / 2], [0, 3 / 4]], [2 / 9, 1 / 3, 4 / 9]),
}


def cost(method: str, controls: np.ndarray) -> complex:
    """Return the cost of a run, for real or complex controls."""
    rows, weights = TABLEAUS[method]
    nodes = [sum(row) for row in rows]
    u, parameters = controls[:2], controls[2:]
    a = parameters[0]
    total = 0j
    for k in range(NUM_STEPS):
        if k % EVERY == 0:
            total += u[0] * u[1]
        slopes: list[np.ndarray] = []
        after = u
        for row, node, weight in zip(rows, nodes, weights, strict=True):
            stage = u + SIZE * sum(w * slope for w, slope in zip(row, slopes, strict=True))
            slopes.append(rhs((k + node) * SIZE, stage, parameters))
            after = after + SIZE * weight * slopes[-1]
            total += SIZE * weight * (stage[0] ** 2 + a * stage[1] ** 2)
        u = after
    return total + u[0] ** 2 + u[1] + parameters[1] ** 2 / 2


@pytest.mark.parametrize("method", TABLEAUS)
def test_terminal_and_step_costs_quadrature_start_and_parameters(method):
    centre = np.array(START + PARAMETERS)
    expected = [cost(method, centre + 1e-30j * unit).imag / 1e-30 for unit in np.eye(4)]
    stepper = Oscillator(method, size=SIZE, quadrature=True).stepper(step_cost=True)
    result = adjoint.gradient(stepper, NUM_STEPS, schedule=Revolve(NUM_STEPS, 2))
    assert result.cost == pytest.approx(cost(method, centre).real, rel=1e-13)
    gradient = np.concatenate(list(result.gradient.values()))
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-13)
