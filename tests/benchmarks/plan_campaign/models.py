"""The computations of the campaign, by name: what is stepped, on one process or on ranks.

Each stands for a kind: tapes that are states, tapes smaller than states, steps that take as long as
the interpreter, matrix products, autograd, linear solves. Sizes are in bytes of a state on a rank.
"""

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import adjoint
from plan_campaign.waves import HalfTapeWave, Wave

Make = Callable[[int, int, Any, int | None], Any]


@dataclass(frozen=True, slots=True)
class Model:
    """How a stepper is made, and what a schedule given by hand must know of it."""

    make: Make
    """Makes a stepper from the bytes of a state, steps, communicator and steps of a leaf."""
    retakes: int
    """1 if the last step of a leaf must be taken for its tape, else 0."""
    leaf_sensitive: bool = False
    """Whether leaves of other sizes are other steppers, whose rounding differs."""
    needs: str = "numpy"
    """The module without which it cannot be made."""


class Growth(adjoint.FunctionStepper):
    """u' = u + h m sin u, in each entry of u."""

    distributed = ("m",)

    def step(self, k, state, out):
        u = state["u"]
        out["u"][:] = u + 1e-3 * self.controls["m"] * np.sin(u)

    def step_vjp(self, k, state, adjoint, gradient):
        u, a = state["u"], adjoint["u"]
        gradient["m"] += 1e-3 * np.sin(u) * a
        a += 1e-3 * self.controls["m"] * np.cos(u) * a

    def terminal_cost(self, state):
        return 0.5 * float(state["u"] @ state["u"])

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += state["u"]


class Decay(adjoint.FunctionStepper):
    """u' = m u with a number m: a step of 8 kB takes a microsecond."""

    def step(self, k, state, out):
        np.multiply(state["u"], self.controls["m"], out=out["u"])

    def step_vjp(self, k, state, adjoint, gradient):
        a = adjoint["u"]
        gradient["m"] += state["u"] @ a
        np.multiply(a, self.controls["m"], out=a)

    def terminal_cost(self, state):
        return float(state["u"].sum())

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += 1.0


def _wave(state_bytes: int, num_steps: int, comm: Any, leaf: int | None) -> Any:
    return Wave(state_bytes // 16, comm)


def _half_tape_wave(state_bytes: int, num_steps: int, comm: Any, leaf: int | None) -> Any:
    return HalfTapeWave(state_bytes // 16, num_steps, comm)


def _growth(state_bytes: int, num_steps: int, comm: Any, leaf: int | None) -> Any:
    size = state_bytes // 8
    return Growth({"u": np.linspace(1, 2, size)}, {"m": np.linspace(0.3, 0.5, size)})


def _decay(state_bytes: int, num_steps: int, comm: Any, leaf: int | None) -> Any:
    return Decay({"u": np.linspace(1, 2, state_bytes // 8)}, {"m": np.array(1 - 1e-7)})


def _shallow_water(state_bytes: int, num_steps: int, comm: Any, leaf: int | None) -> Any:
    return importlib.import_module("closed_basin").closed_basin(state_bytes)


def _gru(state_bytes: int, num_steps: int, comm: Any, leaf: int | None) -> Any:
    recurrent = importlib.import_module("solvers.recurrent")
    hidden, batch = state_bytes // (8 * 16), 16
    data = np.random.default_rng(0 if comm is None else comm.Get_rank())
    rows = data.standard_normal((num_steps, batch, hidden))
    loss = recurrent.SquaredError(hidden, 1)
    targets = data.standard_normal((num_steps, batch, 1))
    leaves = {} if leaf is None else {"leaf_steps": leaf}
    return recurrent.RecurrentNetwork(
        recurrent.GRU,
        hidden,
        hidden,
        batch=batch,
        inputs=rows,
        loss=loss,
        targets=targets,
        **leaves,
    )


def _lstm(state_bytes: int, num_steps: int, comm: Any, leaf: int | None) -> Any:
    return importlib.import_module("plan_campaign.torch_lstm").lstm(state_bytes, num_steps, leaf)


def _crank_nicolson(state_bytes: int, num_steps: int, comm: Any, leaf: int | None) -> Any:
    petsc = importlib.import_module("solvers.petsc")
    side = math.isqrt(state_bytes // 16)
    ranks = 1 if comm is None else comm.Get_size()
    return petsc.CrankNicolson(petsc.problems.GrayScott((ranks * side, side), comm=comm), 0.5)


MODELS = {
    "wave": Model(_wave, 0),
    "half-tape wave": Model(_half_tape_wave, 0),
    "scalar ODE": Model(_growth, 0),
    "GRU": Model(_gru, 1, leaf_sensitive=True),
    "LSTMCell": Model(_lstm, 1, leaf_sensitive=True, needs="torch"),
    "Crank-Nicolson": Model(_crank_nicolson, 1, needs="petsc4py"),
    "decay": Model(_decay, 0),
    "shallow water": Model(_shallow_water, 0, needs="numba"),
}
