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


def on_petsc(method: str, problem: str, *arguments: str, adaptive: bool = False) -> Case:
    """Return an integrator of `solvers.petsc`, by the names of class, problem and tableau.

    Problems: `plate` has a constant Jacobian and observations; `line` is nonlinear, with a running
    cost and a control per step; `residual` is nonlinear, with inertia that depends on the state.
    An adaptive method takes more steps than a case has.
    """

    def make():
        from plates import SIZE, line, plate
        from reactions import reaction
        from residual_of_rhs import Residual

        from solvers import petsc

        make_problem = {
            "line": line,
            "plate": plate,
            "residual": lambda: Residual(reaction()),
        }[problem]
        tableaux = [getattr(petsc.tableaux, name) for name in arguments]
        if adaptive:
            tolerances = {"relative": 1e-5, "absolute": 1e-5, "first_step": SIZE / 10}
            return getattr(petsc, method)(make_problem(), *tableaux, 1.0, **tolerances)
        size = SIZE if problem == "plate" else SIZE / 4  # explicit steps of a line must be short
        return getattr(petsc, method)(make_problem(), size, *tableaux)

    return Case(make, needs=("petsc4py",))


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

    from solvers.jax import value_and_grad

    case = lstm(jnp.float32)
    found = value_and_grad(
        case.body, case.loss, final_loss=case.final_loss, argnums=(0, 1, 2), leaf_steps=3
    )
    return found.functional(*case.given).stepper


def form(name: str, **options) -> Case:
    """Return a UFL residual of `form_problems`, by the name of its function."""

    def make():
        import form_problems

        return getattr(form_problems, name)(**options)

    return Case(make, needs=("dolfinx",))


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
    "backward Euler": on_petsc("BackwardEuler", "line"),
    "Crank-Nicolson": on_petsc("CrankNicolson", "plate"),
    "Crank-Nicolson, nonlinear": on_petsc("CrankNicolson", "line"),
    "Crank-Nicolson, residual": on_petsc("CrankNicolson", "residual"),
    "BDF2": on_petsc("BDF2", "plate"),
    "BDF2, nonlinear": on_petsc("BDF2", "line"),
    "BDF2, residual": on_petsc("BDF2", "residual"),
    "Runge-Kutta, explicit": on_petsc("RungeKutta", "line", "RUNGE_KUTTA_4"),
    "Runge-Kutta, explicit, residual": on_petsc("RungeKutta", "residual", "RUNGE_KUTTA_4"),
    "Runge-Kutta, implicit": on_petsc("RungeKutta", "plate", "SDIRK_2"),
    "Runge-Kutta, explicit first stage": on_petsc("RungeKutta", "line", "TR_BDF2"),
    "Runge-Kutta, implicit, residual": on_petsc("RungeKutta", "residual", "ESDIRK_3"),
    "Runge-Kutta, adaptive": on_petsc(
        "AdaptiveRungeKutta", "residual", "BOGACKI_SHAMPINE_3", adaptive=True
    ),
    "Runge-Kutta, adaptive, implicit": on_petsc(
        "AdaptiveRungeKutta", "residual", "ESDIRK_3", adaptive=True
    ),
    "PETSc TS": Case(lambda: ts("rk 4"), adopts=False, needs=("petsc4py",)),
    "PETSc TS, adaptive": Case(lambda: ts("rk 3bs", **ADAPTIVE), adopts=False, needs=("petsc4py",)),
    "torch, fused": Case(lambda: torch_sequence("LSTM"), 23, adopts=False, needs=("torch",)),
    "torch, cell": Case(lambda: torch_sequence("own"), 23, adopts=False, needs=("torch",)),
    "jax": Case(jax_scan, 37, needs=("jax",)),
    "UFL, affine": form("rows", num_steps=NUM_STEPS),
    "UFL, affine, two levels": form("two_levels"),
    "UFL, linear": form("semi_implicit"),
    "UFL, nonlinear": form("p_laplacian"),
}


def every_stepper(**wanted) -> list:
    """Return the cases as parameters of a test; with `wanted`, those with these attributes."""
    return [
        pytest.param(case, id=name, marks=[pytest.mark.needs(module) for module in case.needs])
        for name, case in STEPPERS.items()
        if all(getattr(case, key) == value for key, value in wanted.items())
    ]
