"""A ring of cells driven by a source, whose gradient is worked out by hand.

``u' = 0.9 u + 0.1 m sin(left neighbour) + s``, and ``J = |u[n]|^2 / 2``.
"""

import numpy as np

import adjoint


class CrashError(Exception):
    """Stands for a kill, in one process."""


class DrivenRing(adjoint.FunctionStepper):
    """Holds its source as an attribute; crashes when it has taken and pulled back `at` steps."""

    def __init__(self, start, m, source, *, at=None):
        self.source = source
        self.at = at
        self.taken = 0
        super().__init__({"u": start}, {"m": np.array(m)})

    def count(self):
        self.taken += 1
        if self.taken == self.at:
            raise CrashError

    def driven_by(self):
        return self.source

    def step(self, step, state, out):
        self.count()
        left = np.roll(state["u"], 1)
        out["u"][:] = 0.9 * state["u"] + 0.1 * self.controls["m"] * np.sin(left) + self.driven_by()

    def step_vjp(self, step, state, adjoint, gradient):
        self.count()
        left, a = np.roll(state["u"], 1), adjoint["u"]
        gradient["m"] += 0.1 * np.sin(left) * a
        a[:] = 0.9 * a + np.roll(0.1 * self.controls["m"] * np.cos(left) * a, -1)

    def terminal_cost(self, state):
        return 0.5 * float(state["u"] @ state["u"])

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += state["u"]


def by_hand(start, m, source, num_steps):
    """Return cost and gradient, with every state in a list."""
    states = [np.array(start)]
    for _ in range(num_steps):
        u = states[-1]
        states.append(0.9 * u + 0.1 * m * np.sin(np.roll(u, 1)) + source)
    a = states[-1].copy()
    gradient = np.zeros_like(a)
    for u in reversed(states[:-1]):
        left = np.roll(u, 1)
        gradient += 0.1 * np.sin(left) * a
        a = 0.9 * a + np.roll(0.1 * m * np.cos(left) * a, -1)
    return 0.5 * states[-1] @ states[-1], gradient
