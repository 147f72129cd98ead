"""Smooth problems in double and single precision, whose gradients can be made wrong.

An error ``e`` planted in a part, a control or the initial state, multiplies the derivative with
respect to it by ``1 + e``: it is relative to the directional derivative in every direction.
"""

import numpy as np

from adjoint import FunctionStepper


class Planted(FunctionStepper):
    """A stepper with a right derivative, and an error planted in what it returns."""

    planted: tuple[str, float] = ("", 0.0)
    """The name of a control, or "initial state", and the relative error."""

    @classmethod
    def parts(cls, dtype) -> list[str]:
        """Return the names of what can be made wrong."""
        return [*cls.make(dtype).controls, "initial state"]

    def finish(self):
        super().finish()
        part, error = self.planted
        group = self.adjoint if part == "initial state" else self.accumulators
        for name in self.adjoint if part == "initial state" else {part} & set(group):
            group[name][...] *= 1 + error


class Diffusion(Planted):
    """``u' = u + m lap(u)`` on a ring; the cost is ``|u - 1|^2 / 2`` at the end."""

    num_steps = 30

    @classmethod
    def make(cls, dtype, cells: int = 200):
        return cls({"u": np.sin(np.arange(cells)).astype(dtype)}, {"m": np.full(cells, 0.1, dtype)})

    def step(self, step, state, out):
        out["u"][:] = state["u"] + self.controls["m"] * laplacian(state["u"])

    def step_vjp(self, step, state, adjoint, gradient):
        gradient["m"] += laplacian(state["u"]) * adjoint["u"]
        adjoint["u"] += laplacian(self.controls["m"] * adjoint["u"])

    def terminal_cost(self, state):
        return 0.5 * float(np.sum((state["u"].astype(float) - 1) ** 2))

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += state["u"] - 1


class Growth(Planted):
    """Logistic growth that spreads on a ring; the cost is ``sum h |u|^2 / 2``, of every step."""

    num_steps = 30
    h = 0.1

    @classmethod
    def make(cls, dtype, cells: int = 50):
        start = 0.3 + 0.2 * np.cos(np.arange(cells) / 5)
        controls = {"start": start.astype(dtype), "rate": np.array([0.8], dtype)}
        return cls({"u": np.zeros(cells, dtype)}, controls)

    def initial_state(self, out):
        out["u"][:] = self.controls["start"]

    def initial_state_vjp(self, adjoint, gradient):
        gradient["start"] += adjoint["u"]

    def step(self, step, state, out):
        u, rate = state["u"], self.controls["rate"]
        out["u"][:] = u + self.h * (laplacian(u) + rate * u * (1 - u))

    def step_vjp(self, step, state, adjoint, gradient):
        u, back = state["u"], self.h * adjoint["u"]
        gradient["rate"] += (u * (1 - u)) @ back
        adjoint["u"] += laplacian(back) + self.controls["rate"] * (1 - 2 * u) * back

    def step_cost(self, step, state):
        return self.h * float(np.sum(state["u"].astype(float) ** 2)) / 2

    def step_cost_vjp(self, step, state, adjoint, gradient):
        adjoint["u"] += self.h * state["u"]


class Cell(Planted):
    """``h' = 0.95 h + 0.2 tanh(W h + x[k])``; the cost is ``|h|^2 / 2 + |W|^2 / 20`` at the end."""

    num_steps = 20

    @classmethod
    def make(cls, dtype, size: int = 12):
        rng = np.random.default_rng(5)
        W, x = rng.standard_normal((size, size)) / 3, rng.standard_normal((cls.num_steps, size))
        state = {"h": rng.standard_normal(size).astype(dtype)}
        return cls(state, {"W": W.astype(dtype), "x": x.astype(dtype)})

    def inner(self, step, state):
        return np.tanh(self.controls["W"] @ state["h"] + self.controls["x"][step])

    def step(self, step, state, out):
        out["h"][:] = 0.95 * state["h"] + 0.2 * self.inner(step, state)

    def step_vjp(self, step, state, adjoint, gradient):
        back = 0.2 * adjoint["h"] * (1 - self.inner(step, state) ** 2)
        gradient["W"] += np.outer(back, state["h"])
        gradient["x"][step] += back
        adjoint["h"][:] = 0.95 * adjoint["h"] + self.controls["W"].T @ back

    def terminal_cost(self, state):
        h, W = state["h"].astype(float), self.controls["W"].astype(float)
        return 0.5 * float(h @ h) + float(np.sum(W**2)) / 20

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["h"] += state["h"]
        gradient["W"] += self.controls["W"] / 10


PROBLEMS = (Diffusion, Growth, Cell)


def laplacian(u):
    """Return the second differences on a ring."""
    return np.roll(u, 1) - 2 * u + np.roll(u, -1)
