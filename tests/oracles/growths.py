"""Logistic growth of three coupled populations, with exact state and integral.

``M u' = M g``, with ``g_i = a_i u_i (1 - u_i) cos t``, has the solution
``u_i = 1 / (1 + (1/u_i(0) - 1) exp(-a_i sin t))``; the running cost ``sum g_i`` is the derivative
of ``sum u_i``, so its integral is exact as well.
"""

import triads  # isort: skip (it loads MPI before petsc4py)
import numpy as np

from solvers.petsc import RhsProblem

RATES = np.array([1.0, 0.7, -1.2])
START = np.array([0.3, 0.6, 0.8])


class Growth(RhsProblem):
    """The growth, with a mass matrix."""

    def __init__(self) -> None:
        options = {"matrix": triads.dense(), "mass": triads.dense(triads.MASS)}
        super().__init__(triads.vector(), {"initial": START.copy()}, **options)

    def initial_state(self, m, u):
        u.setArray(m["initial"])

    def initial_state_vjp(self, m, adjoint, gradient):
        gradient["initial"][...] += triads.read(adjoint)

    def rhs(self, t, u, m, f):
        f.setArray(triads.MASS @ growth(t, triads.read(u)))

    def rhs_jacobian(self, t, u, m, jacobian, other):
        slopes = RATES * (1 - 2 * triads.read(u)) * np.cos(t)
        triads.fill(jacobian, triads.MASS @ np.diag(slopes))

    def running_cost(self, t, u, m):
        return float(growth(t, triads.read(u)).sum())

    def running_cost_vjp(self, t, u, m, weight, adjoint, gradient):
        adjoint.getArray()[...] += weight * RATES * (1 - 2 * triads.read(u)) * np.cos(t)


def growth(t, u):
    return RATES * u * (1 - u) * np.cos(t)


def exact(t: float) -> np.ndarray:
    return 1 / (1 + (1 / START - 1) * np.exp(-RATES * np.sin(t)))


def errors(make, num_steps: int, end: float = 1.0) -> tuple[float, float, float]:
    """Return the errors of state, integral and gradient of the sum of the state, at the end."""
    problem = Growth()
    stepper = make(problem, end / num_steps)
    stepper.start()
    cost = stepper.record(0, num_steps, cost=0.0, reach_stop=True)
    state = np.abs(stepper.state["u"] - exact(end)).max()
    integral = abs(cost - (exact(end) - START).sum())
    stepper.turn(0.0)
    stepper.pull_back(0, num_steps)
    stepper.finish()
    # The integral is the sum of the state at the end, less that at the start.
    slope = np.exp(-RATES * np.sin(end)) * (exact(end) / START) ** 2
    gradient = np.abs(stepper.accumulators["initial"] - (slope - 1)).max()
    return state, integral, gradient
