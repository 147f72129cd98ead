"""Gradients of the triads, by hand-written integrators and the complex step."""

import triads  # isort: skip (it loads MPI before petsc4py)
from types import SimpleNamespace

import numpy as np
from integrators_by_hand import complex_step_gradient, total_cost


def equation(problem) -> SimpleNamespace:
    """Return the residual of a triad, its Jacobian and its mass matrix."""
    if isinstance(problem, triads.LinearTriad | triads.LinearResidualTriad):
        rhs, of_state = triads.linear_rhs, lambda u, m: m["parameters"][0] * triads.LINEAR
    else:
        rhs, of_state = triads.rhs, triads.rhs_jacobian
    mass = triads.MASS
    if isinstance(problem, triads.RhsTriad) and problem.mass is None:
        mass = np.eye(3)
    if isinstance(problem, triads.ResidualTriad) and not problem.constant_jacobian:
        return SimpleNamespace(
            residual=triads.residual, jacobian=triads.residual_jacobian, mass=mass
        )
    return SimpleNamespace(
        residual=lambda t, u, rate, m: mass @ rate - rhs(t, u, m),
        jacobian=lambda u, rate, shift, m: shift * mass - of_state(u, m),
        mass=mass,
    )


def gradient_by_hand(problem, step) -> tuple[float, dict[str, np.ndarray]]:
    """Return cost and gradient of a triad with a hand-written step."""
    observed = {0: 0, 2: 1, 4: 2, 6: 3}
    eq = equation(problem)

    def cost(m):
        return total_cost(eq, step, triads.SIZES, m, problem.per_step, triads, observed)

    return complex_step_gradient(cost, problem.controls)
