"""Every stepper there is, as a small problem: what the stepper contract is tried on.

A new stepper is one line in `STEPPERS`, and a function that makes a fresh one. What is imported
only for it is imported in that function, so that the others can be tried where it is absent.
"""

# ruff: noqa: PLC0415 (modules that may be absent are imported by the steppers that need them)

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from adaptive_pendulum import AdaptivePendulum
from basins import NUM_STEPS, basin
from pendulums import CopiedPendulums, Pendulums
from recurrent_unrolled import Problem

from adjoint.steppers import Stepper


@dataclass(frozen=True)
class Case:
    """One stepper, and what it promises."""

    make: Callable[[], Stepper]
    """Makes a fresh one, not started; the same problem at each call."""
    num_steps: int = NUM_STEPS
    """At least 12 leaves of the stepper's `leaf_steps`, and no more than the run has."""
    adopts: bool = True
    """Whether it computes in memory that it is given."""
    needs: tuple[str, ...] = ()
    """Modules that `make` imports and that may be absent."""


def recurrent(cell: str, **options) -> Case:
    """Return a network whose leaves may have any length."""
    problem = Problem(cell, num_steps=NUM_STEPS, **options)
    return Case(lambda: problem.network(leaf_steps=1))


def theta():
    """Return Crank-Nicolson steps of a heated plate."""
    from plates import SIZE, plate

    from solvers.petsc.integrators.theta import CrankNicolson

    return CrankNicolson(plate(), SIZE)


def ts(method: str, **options):
    """Return a PETSc TS of a driven oscillator."""
    from petsc_oscillator import Oscillator

    problem = Oscillator(method, size=0.3, options=options)
    problem.ts.setMaxTime(5.0)
    return problem.stepper(step_cost=True)


def torch_sequence(kind: str):
    """Return a PyTorch model in leaves of 2 steps, its sequences of unequal length."""
    from torch_unrolled import LENGTHS, Model

    return Model(kind, lengths=LENGTHS).sequence(leaf_steps=2).stepper


def jax_scan():
    """Return an LSTM in JAX, in leaves of 3 steps, everything differentiated."""
    import jax.numpy as jnp
    from jax_full_scan import lstm

    from solvers.jax.scan import value_and_grad

    case = lstm(jnp.float32)
    found = value_and_grad(
        case.body, case.loss, final_loss=case.final_loss, argnums=(0, 1, 2), leaf_steps=3
    )
    return found.functional(*case.given).stepper


ADAPTIVE = {"ts_adapt_type": "basic", "ts_rtol": 1e-4, "ts_atol": 1e-4}

STEPPERS = {
    "pendulums": Case(lambda: Pendulums(3, NUM_STEPS)),
    "pendulums, copied": Case(lambda: CopiedPendulums(3, NUM_STEPS), adopts=False),
    "shallow water, open": Case(basin),
    "shallow water, closed": Case(lambda: basin(open_sides=())),
    "tanh": recurrent("tanh"),
    "gru": recurrent("gru", num_layers=2, lengths=(12, 5, 9)),
    "lstm": recurrent("lstm", num_layers=2),
    "lstm, leaves of 3": Case(
        lambda: Problem("lstm", num_steps=3 * NUM_STEPS - 1).network(leaf_steps=3),
        num_steps=3 * NUM_STEPS - 1,
    ),
    "pendulum that adapts its steps": Case(AdaptivePendulum, adopts=False),
    "Crank-Nicolson": Case(theta, needs=("petsc4py",)),
    "PETSc TS": Case(lambda: ts("rk 4"), adopts=False, needs=("petsc4py",)),
    "PETSc TS, adaptive": Case(lambda: ts("rk 3bs", **ADAPTIVE), adopts=False, needs=("petsc4py",)),
    "torch, fused": Case(lambda: torch_sequence("LSTM"), 23, adopts=False, needs=("torch",)),
    "torch, cell": Case(lambda: torch_sequence("own"), 23, adopts=False, needs=("torch",)),
    "jax": Case(jax_scan, 37, needs=("jax",)),
}


def every_stepper(**wanted) -> list:
    """Return the cases as parameters of a test; with `wanted`, those with these attributes."""
    return [
        pytest.param(case, id=name, marks=[pytest.mark.needs(module) for module in case.needs])
        for name, case in STEPPERS.items()
        if all(getattr(case, key) == value for key, value in wanted.items())
    ]
