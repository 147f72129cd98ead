"""A nonlinear problem of 7 cells and 9 steps in which every second derivative is there.

    u[k+1] = u + H (a (Lu) - u^3 + a u f[k] + sin(f[k]))     with L the periodic second difference
    u[0]   = sin(b) + b^2 / 4
    J      = sum_k w^2 |u[k]|^4 a / 4 + sum a^2 (u[n] - 1)^2 exp(u[n]) / 2

The field ``a`` is in the step and in both costs, ``b`` is behind a nonlinear initial state, ``f``
has a row per step, ``w`` is a single number. `Cells` has all derivatives by hand, `AnalyticCells`
those of the gradient alone. `seven_cells_in_jax` has the same again, and dense second derivatives.
"""

import numpy as np

from adjoint import FunctionStepper

NUM_CELLS, NUM_STEPS = 7, 9
H = 0.1


def controls(seed=0):
    """Return controls at which nothing vanishes."""
    rng = np.random.default_rng(seed)
    return {
        "a": 0.5 + 0.3 * rng.random(NUM_CELLS),
        "b": rng.standard_normal(NUM_CELLS),
        "f": rng.standard_normal((NUM_STEPS, 1)),
        "w": np.array(0.7),
    }


def directions(count, seed=1):
    """Return random directions of all controls."""
    rng = np.random.default_rng(seed)
    return {k: rng.standard_normal((count, *c.shape)) for k, c in controls().items()}


def unit_directions():
    """Return as many directions as there are numbers in the controls: the dense Hessian's."""
    given = controls()
    total, start = sum(c.size for c in given.values()), 0
    found = {}
    for name, control in given.items():
        found[name] = np.zeros((total, *control.shape))
        rows = found[name].reshape(total, control.size)
        rows[start + np.arange(control.size), np.arange(control.size)] = 1
        start += control.size
    return found


def dense(products):
    """Return products with `unit_directions` as a matrix."""
    return np.concatenate([p.reshape(len(p), -1) for p in products.values()], axis=1)


def second_difference(u):
    return np.roll(u, 1, axis=-1) - 2 * u + np.roll(u, -1, axis=-1)


class AnalyticCells(FunctionStepper):
    """The gradient alone: second derivatives are taken by complex step."""

    per_step = ("f",)

    def __init__(self, given=None):
        super().__init__({"u": np.zeros(NUM_CELLS)}, controls() if given is None else given)

    def initial_state(self, out):
        b = self.controls["b"]
        out["u"][:] = np.sin(b) + b**2 / 4

    def initial_state_vjp(self, adjoint, gradient):
        b = self.controls["b"]
        gradient["b"] += (np.cos(b) + b / 2) * adjoint["u"]

    def step(self, step, state, out):
        u, a, f = state["u"], self.controls["a"], self.controls["f"][step]
        out["u"][:] = u + H * (a * second_difference(u) - u**3 + a * u * f + np.sin(f))

    def step_vjp(self, step, state, adjoint, gradient):
        u, a, f = state["u"], self.controls["a"], self.controls["f"][step]
        w = adjoint["u"]
        gradient["a"] += H * (second_difference(u) + u * f) * w
        gradient["f"][step] += H * ((a * u + np.cos(f)) * w).sum(axis=-1, keepdims=True)
        adjoint["u"][:] = w + H * (second_difference(a * w) - 3 * u**2 * w + a * f * w)

    def step_cost(self, step, state):
        return self.controls["w"] ** 2 * np.sum(state["u"] ** 4 * self.controls["a"]) / 4

    def step_cost_vjp(self, step, state, adjoint, gradient):
        u, a, w = state["u"], self.controls["a"], self.controls["w"]
        adjoint["u"] += w**2 * u**3 * a
        gradient["a"] += w**2 * u**4 / 4
        gradient["w"] += w * np.sum(u**4 * a) / 2

    def terminal_cost(self, state):
        u, a = state["u"], self.controls["a"]
        return np.sum(a**2 * (u - 1) ** 2 * np.exp(u)) / 2

    def terminal_cost_vjp(self, state, adjoint, gradient):
        u, a = state["u"], self.controls["a"]
        adjoint["u"] += a**2 * np.exp(u) * ((u - 1) + (u - 1) ** 2 / 2)
        gradient["a"] += a * (u - 1) ** 2 * np.exp(u)


class Cells(AnalyticCells):
    """All derivatives by hand."""

    def initial_state_jvp(self, control_tangent, out):
        b = self.controls["b"]
        out["u"][:] = (np.cos(b) + b / 2) * control_tangent["b"]

    def initial_state_curvature(self, adjoint, control_tangent, gradient):
        b = self.controls["b"]
        gradient["b"] += (0.5 - np.sin(b)) * control_tangent["b"] * adjoint["u"]

    def step_jvp(self, step, state, tangent, control_tangent, out):
        u, a, f = state["u"], self.controls["a"], self.controls["f"][step]
        du, da, df = tangent["u"], control_tangent["a"], control_tangent["f"][step]
        by_state = a * second_difference(du) - 3 * u**2 * du + a * f * du
        by_controls = da * (second_difference(u) + u * f) + (a * u + np.cos(f)) * df
        out["u"][:] = du + H * (by_state + by_controls)

    def step_curvature(self, step, state, adjoint, tangent, control_tangent, out, gradient):
        u, a, f, w = state["u"], self.controls["a"], self.controls["f"][step], adjoint["u"]
        du, da, df = tangent["u"], control_tangent["a"], control_tangent["f"][step]
        out["u"] += H * (second_difference(da * w) + (-6 * u * du + da * f + a * df) * w)
        gradient["a"] += H * (second_difference(du) + du * f + u * df) * w
        bent = (da * u + a * du - np.sin(f) * df) * w
        gradient["f"][step] += H * bent.sum(axis=-1, keepdims=True)

    def step_cost_curvature(self, step, state, tangent, control_tangent, out, gradient):
        u, a, w = state["u"], self.controls["a"], self.controls["w"]
        du, da, dw = tangent["u"], control_tangent["a"], control_tangent["w"]
        dw = dw[..., np.newaxis]
        out["u"] += 2 * w * dw * u**3 * a + w**2 * (3 * u**2 * du * a + u**3 * da)
        gradient["a"] += w * dw * u**4 / 2 + w**2 * u**3 * du
        terms = dw * u**4 * a / 2 + w * (4 * u**3 * du * a + u**4 * da) / 2
        gradient["w"] += terms.sum(axis=-1)

    def terminal_cost_curvature(self, state, tangent, control_tangent, out, gradient):
        u, a = state["u"], self.controls["a"]
        du, da = tangent["u"], control_tangent["a"]
        first, e = (u - 1) + (u - 1) ** 2 / 2, np.exp(u)
        out["u"] += 2 * a * da * e * first + a**2 * e * (first + 1 + (u - 1)) * du
        gradient["a"] += da * (u - 1) ** 2 * e + 2 * a * e * first * du


class CellsAtOnce(Cells):
    """All derivatives by hand, for all directions in one call."""

    vectorised = True
