"""Adjoint steps of a residual whose inertia depends on the state are given the rate of the step."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")

import ts_of_problem
from petsc4py import PETSc
from reactions import reaction
from residual_of_rhs import Residual

import adjoint
from adjoint.schedules import Revolve, StoreAll
from solvers.petsc import BackwardEuler, RungeKutta, TSStepper, tableaux

SIZE, NUM_STEPS = 0.5, 6
SOLVING = {**ts_of_problem.DIRECT, "snes_rtol": 1e-13, "snes_atol": 1e-14, "ts_adapt_type": "none"}
METHODS = {
    "beuler": ({}, BackwardEuler, ()),
    "theta": ({"ts_theta_theta": 0.7}, RungeKutta, (tableaux.one_leg(0.7),)),
}


def through_ts(kind: str, options: dict) -> TSStepper:
    """Return PETSc's TS of the residual, without its running cost."""
    problem, m = Residual(reaction()), reaction().controls
    problem.prepare(m)
    u = problem.template.duplicate()
    problem.initial_state(m, u)
    ts = PETSc.TS().create(PETSc.COMM_SELF)
    ts.setOptionsPrefix("inertia_")
    ts.setType(kind)
    ts.setIFunction(lambda ts, t, u, rate, f: problem.residual(t, u, rate, m, f), u.duplicate())
    ts.setIJacobian(
        lambda ts, t, u, rate, shift, a, b: problem.jacobian(t, u, rate, m, shift, a, b),
        problem.matrix,
        problem.matrix,
    )
    ts.setTimeStep(SIZE)
    ts.setMaxSteps(10**6)
    database = PETSc.Options("inertia_")
    for name, value in {**SOLVING, **options}.items():
        database[name] = value
    ts.setFromOptions()
    ignored = {name: np.zeros_like(control) for name, control in m.items()}
    return TSStepper(
        ts,
        u,
        terminal_cost=lambda u: problem.terminal_cost(u, m),
        terminal_cost_vjp=lambda u, adjoint, _: problem.terminal_cost_vjp(u, m, adjoint, ignored),
    )


class WithoutRunningCost(Residual):
    def running_cost(self, t, u, m):
        return 0.0

    def running_cost_vjp(self, t, u, m, weight, adjoint, gradient):
        pass


@pytest.mark.parametrize("kind", METHODS)
def test_gradient_is_that_of_the_integrator_of_this_package(kind):
    options, method, arguments = METHODS[kind]
    database = PETSc.Options("own_")
    for name, value in SOLVING.items():
        database[name] = value
    own = method(WithoutRunningCost(reaction()), SIZE, *arguments, options_prefix="own_")
    expected = adjoint.gradient(own, NUM_STEPS).gradient["initial"].ravel()
    for schedule in (Revolve(NUM_STEPS, 2), StoreAll(NUM_STEPS, leaf_steps=NUM_STEPS)):
        stepper = through_ts(kind, options)
        found = adjoint.gradient(stepper, NUM_STEPS, schedule=schedule).gradient["initial"]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
