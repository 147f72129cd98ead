"""A row of driven pendulums: the small model that most tests differentiate, and its oracle.

Symplectic Euler, one force per step, coupled by nothing but the cost. `complex_step_gradient`
shares no code with the stepper: it differentiates a plain function by the complex step (Squire
and Trapp 1998, doi:10.1137/S003614459631241X), exact to round-off.
"""

from collections.abc import Mapping

import numpy as np

from adjoint import FunctionStepper

STEP = 0.05
COUPLING = 0.3


def controls(num_pendulums: int, num_steps: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return stiffness and initial angle of each pendulum, and a force per step."""
    rng = np.random.default_rng(seed)
    return {
        "stiffness": 1 + rng.random(num_pendulums),
        "angle": rng.standard_normal(num_pendulums),
        "force": rng.standard_normal(num_steps),
    }


class Pendulums(FunctionStepper):
    """``v += h (-k sin u + f - c u mean(u)^2); u += h v``.

    The cost is ``h |u|^2/2`` a step, and ``|u - 1|^2/2`` at the end.
    The state carries a step counter as replay data; every other step has the force reversed by it.
    """

    def __init__(self, num_pendulums: int, num_steps: int, seed: int = 0) -> None:
        zeros = np.zeros(num_pendulums)
        state = {"u": zeros, "v": zeros, "count": np.zeros(1, np.int64)}
        super().__init__(state, controls(num_pendulums, num_steps, seed), replay_data=["count"])

    def initial_state(self, out):
        out["u"][:] = self.controls["angle"]
        out["v"][:] = 0
        out["count"][:] = 0

    def initial_state_vjp(self, adjoint, gradient):
        gradient["angle"] += adjoint["u"]

    def step(self, step, state, out):
        u, v, sign = state["u"], state["v"], 1 - 2 * (state["count"][0] % 2)
        force = sign * self.controls["force"][step] - COUPLING * u * self.mean(u) ** 2
        out["v"][:] = v + STEP * (force - self.controls["stiffness"] * np.sin(u))
        out["u"][:] = u + STEP * out["v"]
        out["count"][:] = state["count"] + 1

    def step_vjp(self, step, state, adjoint, gradient):
        u, sign = state["u"], 1 - 2 * (state["count"][0] % 2)
        through_v = adjoint["v"] + STEP * adjoint["u"]
        gradient["stiffness"] -= STEP * np.sin(u) * through_v
        gradient["force"][step] += STEP * sign * through_v.sum()
        mean, back = self.mean(u), 2 * self.mean(u * through_v)
        adjoint["u"] -= STEP * self.controls["stiffness"] * np.cos(u) * through_v
        adjoint["u"] -= STEP * COUPLING * mean * (mean * through_v + back)
        adjoint["v"][:] = through_v

    def mean(self, values):
        """Return the mean over all pendulums."""
        return values.mean()

    def step_cost(self, step, state):
        return STEP * float(state["u"] @ state["u"]) / 2

    def step_cost_vjp(self, step, state, adjoint, gradient):
        adjoint["u"] += STEP * state["u"]

    def terminal_cost(self, state):
        return float((state["u"] - 1) @ (state["u"] - 1)) / 2

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += state["u"] - 1


class SharedPendulums(Pendulums):
    """The same row spread over ranks, coupled by the mean over all of them at every step.

    Each rank has as many pendulums, with angles of its own; stiffness and force are the same on
    all ranks, so their gradient is the sum over ranks. On one rank it is `Pendulums`.
    """

    distributed = ("angle",)

    def __init__(self, num_pendulums: int, num_steps: int, comm, seed: int = 0) -> None:
        super().__init__(num_pendulums, num_steps, seed)
        self._comm = comm
        self.controls["angle"][:] = self.all_angles(num_pendulums, comm.size, seed)[comm.rank]

    @staticmethod
    def all_angles(num_pendulums: int, size: int, seed: int) -> np.ndarray:
        """Return the angles of every rank, one row each."""
        return np.random.default_rng([seed, 7]).standard_normal((size, num_pendulums))

    def mean(self, values):
        total = self._comm.allreduce(values.sum())
        return total / (values.size * self._comm.size)


class CopiedPendulums:
    """The same, with its state in memory of its own: what a solver that cannot adopt looks like."""

    def __init__(self, num_pendulums: int, num_steps: int, seed: int = 0) -> None:
        self._inner = Pendulums(num_pendulums, num_steps, seed)
        self.restored_steps: list[int] = []
        names = ("start", "record", "turn", "pull_back", "finish", "tape_bytes")
        for name in names:
            setattr(self, name, getattr(self._inner, name))

    state = property(lambda self: self._inner.state)
    adjoint = property(lambda self: self._inner.adjoint)
    controls = property(lambda self: self._inner.controls)
    accumulators = property(lambda self: self._inner.accumulators)

    def advance(self, start, stop, *, cost=None):
        return self._inner.advance(start, stop, cost=cost)

    def restored(self, step):
        self.restored_steps.append(step)


def cost(given: Mapping[str, np.ndarray]) -> complex:
    """Return the cost of a whole run, for real or complex controls."""
    u = given["angle"] + 0j
    v = 0 * u
    total = 0j
    for k, force in enumerate(given["force"]):
        total += STEP * (u @ u) / 2
        push = (-1) ** k * force - COUPLING * u * u.mean() ** 2
        v = v + STEP * (push - given["stiffness"] * np.sin(u))
        u = u + STEP * v
    return total + (u - 1) @ (u - 1) / 2


def complex_step_gradient(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the gradient of `cost`, one component at a time."""
    gradient = {name: np.zeros(array.shape) for name, array in given.items()}
    for name, array in given.items():
        for i in range(array.size):
            moved = {key: value.astype(complex) for key, value in given.items()}
            moved[name][i] += 1e-30j
            gradient[name][i] = cost(moved).imag / 1e-30
    return gradient
