"""Pendulums on several ranks, coupled by their mean angle: ranks out of step would deadlock.

Every step sums over all ranks, and so does its transpose. ``v += h (-k sin u + f - c u m^2)`` with
the mean angle m of all pendulums, then ``u += h v``; the cost is ``h |u|^2/2`` a step, and
``|u - 1|^2/2`` at the end. `k` is one number, `f` one a step; both are the same on all ranks, while
each has its own initial angles.
"""

import os
import time

import numpy as np
from shown_tapes import ShowsTapes

from adjoint import FunctionStepper

STEP = 0.05
COUPLING = 0.3


class CoupledPendulums(ShowsTapes, FunctionStepper):
    """The pendulums of this rank; `comm` is an mpi4py communicator, or None."""

    started = None
    """Where the first step leaves the number of the process."""

    ended = None
    """What to make when both sweeps are over."""

    distributed = ("angle",)
    per_step = ("force",)

    def __init__(self, num_pendulums, num_steps, comm=None, *, pause=0.0, seed=0):
        rank, size = (0, 1) if comm is None else (comm.Get_rank(), comm.Get_size())
        shared = np.random.default_rng(seed)
        own = np.random.default_rng((seed, rank))
        controls = {
            "stiffness": np.array(1 + shared.random()),
            "force": shared.standard_normal(num_steps),
            "angle": own.standard_normal(num_pendulums),
        }
        zeros = np.zeros(num_pendulums)
        super().__init__({"u": zeros, "v": zeros}, controls)
        self.comm = comm
        self.total = size * num_pendulums
        self.pause = pause

    def initial_state(self, out):
        out["u"][:] = self.controls["angle"]
        out["v"][:] = 0

    def initial_state_vjp(self, adjoint, gradient):
        gradient["angle"] += adjoint["u"]

    def step(self, step, state, out):
        self.wait()
        u, v = state["u"], state["v"]
        mean = self.summed(u.sum()) / self.total
        force = self.controls["force"][step] - COUPLING * u * mean**2
        out["v"][:] = v + STEP * (force - self.controls["stiffness"] * np.sin(u))
        out["u"][:] = u + STEP * out["v"]

    def step_vjp(self, step, state, adjoint, gradient):
        self.wait()
        u = state["u"]
        mean = self.summed(u.sum()) / self.total
        through = STEP * (adjoint["v"] + STEP * adjoint["u"])
        gradient["stiffness"] -= (np.sin(u) * through).sum()
        gradient["force"][step] += through.sum()
        by_mean = self.summed((-2 * COUPLING * mean * u * through).sum()) / self.total
        slope = self.controls["stiffness"] * np.cos(u) + COUPLING * mean**2
        adjoint["v"] += STEP * adjoint["u"]
        adjoint["u"] += by_mean - slope * through

    def step_cost(self, step, state):
        return 0.5 * STEP * float(state["u"] @ state["u"])

    def step_cost_vjp(self, step, state, adjoint, gradient):
        adjoint["u"] += STEP * state["u"]

    def terminal_cost(self, state):
        return 0.5 * float(((state["u"] - 1) ** 2).sum())

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += state["u"] - 1

    def summed(self, value):
        return value if self.comm is None else self.comm.allreduce(value)

    def finish(self):
        if self.ended is not None:
            self.ended.touch()
        super().finish()

    def wait(self):
        if self.started is not None:
            self.started.write_text(str(os.getpid()))
            self.started = None
        if self.pause:
            time.sleep(self.pause)
