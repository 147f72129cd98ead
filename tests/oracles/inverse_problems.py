"""Small inverse problems: a reaction of 30 cells, a barrier, heat on a graded mesh."""

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from adjoint import FunctionStepper

CELLS = 30
NUM_STEPS = 50
WEIGHT = 25.0
"""Of the readings of `GradedHeat`."""
FIRST_READING = 2
"""Its first step with readings: of the initial state they would not be bounded in the L2 norm."""


class Reaction(FunctionStepper):
    """``u' = u_xx - k u^2`` on a ring, from ``u = m``; the final state is observed."""

    def __init__(self, data=None):
        self.data = np.zeros(CELLS) if data is None else data
        super().__init__({"u": np.zeros(CELLS)}, {"m": np.ones(CELLS), "k": np.full(CELLS, 2.0)})

    def initial_state(self, out):
        out["u"][:] = self.controls["m"]

    def initial_state_vjp(self, adjoint, gradient):
        gradient["m"] += adjoint["u"]

    def step(self, step, state, out):
        u = state["u"]
        with np.errstate(over="ignore", invalid="ignore"):  # a search may try any start
            out["u"][:] = u - 0.01 * self.controls["k"] * u**2 + 0.1 * laplacian(u)

    def step_vjp(self, step, state, adjoint, gradient):
        u, lam = state["u"], adjoint["u"].copy()
        gradient["k"] -= 0.01 * u**2 * lam
        adjoint["u"][:] = lam - 0.02 * self.controls["k"] * u * lam + 0.1 * laplacian(lam)

    def terminal_cost(self, state):
        return 50 * float(np.sum((state["u"] - self.data) ** 2))

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += 100 * (state["u"] - self.data)


def laplacian(u):
    """Return the second difference on a ring."""
    return np.roll(u, 1) - 2 * u + np.roll(u, -1)


def observed_reaction():
    """Return a reaction with the final state of another start as its data."""
    twin = Reaction()
    twin.controls["m"][:] = 1 + np.sin(2 * np.pi * np.arange(CELLS) / CELLS)
    twin.start()
    twin.advance(0, NUM_STEPS)
    return Reaction(twin.state["u"].copy())


def ring_stiffness():
    """Return the stiffness matrix of the ring."""
    matrix = scipy.sparse.diags([-1.0, 2.0, -1.0], [-1, 0, 1], (CELLS, CELLS)).tolil()
    matrix[0, -1] = matrix[-1, 0] = -1.0
    return matrix.tocsr()


class Logarithms(FunctionStepper):
    """One step that does nothing, and the cost ``sum_i i (x_i - log x_i)``: nan for x <= 0."""

    def __init__(self, size=4):
        self.weights = np.arange(1.0, size + 1)
        super().__init__({"u": np.ones(size)}, {"x": np.full(size, 8.0)})

    def initial_state(self, out):
        out["u"][:] = self.controls["x"]

    def initial_state_vjp(self, adjoint, gradient):
        gradient["x"] += adjoint["u"]

    def step(self, step, state, out):
        out["u"][:] = state["u"]

    def step_vjp(self, step, state, adjoint, gradient):
        pass

    def terminal_cost(self, state):
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(np.sum(self.weights * (state["u"] - np.log(state["u"]))))

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += self.weights * (1 - 1 / state["u"])


class GradedHeat(FunctionStepper):
    """Heat in a rod: P1 elements on a graded mesh, backward Euler, readings at points.

    The unknown is the initial temperature. Between the coarsest and the finest element there is a
    factor of 2 to the `levels`.
    """

    def __init__(self, base, levels, data=None):
        lengths = np.concatenate(
            [np.full(base, 2.0**-level) for level in [*range(levels + 1), *range(levels)[::-1]]]
        )
        self.points = np.concatenate([[0.0], np.cumsum(lengths)]) / lengths.sum()
        h = np.diff(self.points)
        size = len(self.points)
        rows = np.arange(size - 1)
        self.mass, self.stiffness = (
            scipy.sparse.csc_matrix(
                (
                    np.concatenate([own, own, off, off]),
                    (
                        np.concatenate([rows, rows + 1, rows, rows + 1]),
                        np.concatenate([rows, rows + 1, rows + 1, rows]),
                    ),
                ),
                (size, size),
            )
            for own, off in ((h / 3, h / 6), (1 / h, -1 / h))
        )
        self._solve = scipy.sparse.linalg.splu((self.mass + 4e-3 * self.stiffness).tocsc()).solve
        where = np.linspace(0.05, 0.95, 19)
        self.readings = scipy.sparse.csr_matrix(
            np.array([np.interp(where, self.points, unit) for unit in np.eye(size)]).T
        )
        self.data = np.zeros(len(where)) if data is None else data
        super().__init__({"u": np.zeros(size)}, {"m": np.zeros(size)})

    def initial_state(self, out):
        out["u"][:] = self.controls["m"]

    def initial_state_vjp(self, adjoint, gradient):
        gradient["m"] += adjoint["u"]

    def step(self, step, state, out):
        out["u"][:] = self._solve(self.mass @ state["u"])

    def step_vjp(self, step, state, adjoint, gradient):
        adjoint["u"][:] = self.mass @ self._solve(adjoint["u"])

    def step_cost(self, step, state):
        away = self.readings @ state["u"] - self.data[step]
        return 0.5 * WEIGHT * float(away @ away) if step >= FIRST_READING else 0.0

    def step_cost_vjp(self, step, state, adjoint, gradient):
        if step >= FIRST_READING:
            adjoint["u"] += WEIGHT * (
                self.readings.T @ (self.readings @ state["u"] - self.data[step])
            )

    def initial_state_jvp(self, control_tangent, out):
        out["u"][:] = control_tangent["m"]

    def step_jvp(self, step, state, tangent, control_tangent, out):
        out["u"][:] = self._solve(self.mass @ tangent["u"])

    def step_cost_curvature(self, step, state, tangent, control_tangent, out, gradient):
        if step >= FIRST_READING:
            out["u"] += WEIGHT * (self.readings.T @ (self.readings @ tangent["u"]))

    def dense(self, num_steps):
        """Return matrix and right-hand side whose least squares are the misfit."""
        scale, seen, state = np.sqrt(WEIGHT), [], np.eye(len(self.points))
        for step in range(num_steps):
            if step >= FIRST_READING:
                seen.append(scale * (self.readings @ state))
            state = np.array([self._solve(self.mass @ column) for column in state.T]).T
        return np.concatenate(seen), scale * self.data[FIRST_READING:num_steps].ravel()


def graded_heat(base, levels, num_steps):
    """Return a rod with noisy readings of its own cooling from a known temperature."""
    twin = GradedHeat(base, levels)
    x = twin.points
    twin.controls["m"][:] = np.exp(-(((x - 0.3) / 0.1) ** 2)) + 0.5 * (abs(x - 0.7) < 0.1)
    twin.start()
    data = []
    for step in range(num_steps):
        data.append(twin.readings @ twin.state["u"])
        twin.advance(step, step + 1)
    noise = 0.2 * np.random.default_rng(0).standard_normal((num_steps, len(data[0])))
    return GradedHeat(base, levels, np.array(data) + noise)
