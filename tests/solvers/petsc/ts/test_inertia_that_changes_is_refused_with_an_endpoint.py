"""A mass matrix that changes is refused where PETSc's adjoint step leaves that out; only there."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc4py import PETSc
from petsc_options import option_setter

import adjoint
from adjoint.errors import StepperError
from adjoint.schedules import StoreAll
from solvers.petsc import TSStepper
from solvers.petsc.ts import inertia

NUM_STEPS, SIZE = 40, 0.05
PREFIX = "massive_"
METHODS = {
    "cn": {"ts_type": "cn"},
    "theta, endpoint": {"ts_type": "theta", "ts_theta_theta": 0.6, "ts_theta_endpoint": True},
    "theta": {"ts_type": "theta", "ts_theta_theta": 0.6},
    "beuler": {"ts_type": "beuler"},
}
ENDPOINT, WITHOUT = list(METHODS)[:2], list(METHODS)[2:]
STIFFNESS = np.array([[2.0, -1.0], [-1.0, 1.0]])
START = np.array([1.0, 0.5])


def constant(t, u):
    return np.array([[2.0, 0.3], [0.3, 1.0]])


def of_the_solution(t, u):
    return np.diag([1.0, 1 + u[0] ** 2])


def in_small_units(t, u):
    return np.diag([1.0, 1e-9 * (1 + u[0] ** 2)])


def of_time(t, u):
    return np.diag([1 + 0.5 * np.sin(t), 1.0])


def in_a_pulse(t, u):
    """Return a mass matrix that is at the end what it was at the beginning."""
    return np.diag([1 + 10 * max(0.0, (t - 0.5) * (1.5 - t)), 1.0])


def stepper(method, mass) -> TSStepper:
    """Return the TS of ``M u' + K u + u^3 = 0``, whose cost is the sum of the final solution."""
    u = PETSc.Vec().createWithArray(START.copy(), comm=PETSc.COMM_SELF)
    matrix = PETSc.Mat().createDense([2, 2], comm=PETSc.COMM_SELF)
    matrix.setUp()
    rows = np.arange(2, dtype=PETSc.IntType)

    def residual(ts, t, u, rate, f):
        x = u.getArray(readonly=True)
        f.setArray(mass(t, x) @ rate.getArray(readonly=True) + STIFFNESS @ x + x**3)

    def jacobian(ts, t, u, rate, shift, a, b):
        x, r, small = u.getArray(readonly=True), rate.getArray(readonly=True), 1e-6
        of_mass = [(mass(t, x + d) - mass(t, x - d)) @ r / (2 * small) for d in small * np.eye(2)]
        of_u = np.stack(of_mass, axis=1) + STIFFNESS + np.diag(3 * x**2)
        b.setValues(rows, rows, shift * mass(t, x) + of_u)
        b.assemble()

    ts = PETSc.TS().create(PETSc.COMM_SELF)
    ts.setOptionsPrefix(PREFIX)
    ts.setIFunction(residual, u.duplicate())
    ts.setIJacobian(jacobian, matrix, matrix)
    ts.setTimeStep(SIZE)
    ts.setMaxSteps(10**6)
    solving = {"ksp_type": "preonly", "pc_type": "lu", "snes_rtol": 1e-13, "snes_atol": 1e-14}
    set_options({"ts_adapt_type": "none", **solving, **METHODS[method]})
    ts.setFromOptions()
    return TSStepper(
        ts,
        u,
        terminal_cost=lambda u: float(u.sum()),
        terminal_cost_vjp=lambda u, adjoint, gradient: adjoint.shift(1.0),
    )


def gradient(method, mass):
    made = stepper(method, mass)
    return adjoint.gradient(made, NUM_STEPS, schedule=StoreAll(NUM_STEPS)).gradient["initial"]


def by_differences(method, mass):
    """Return the gradient by central differences, with errors of about 1e-9."""
    columns = []
    for direction in np.eye(2):
        costs = []
        for sign in (1, -1):
            made = stepper(method, mass)
            made.controls["initial"] += sign * 1e-5 * direction
            made.start()
            made.advance(0, NUM_STEPS)
            costs.append(made.state["u"].sum())
        columns.append((costs[0] - costs[1]) / 2e-5)
    return np.array(columns)


@pytest.mark.parametrize("mass", [of_the_solution, in_small_units, of_time, in_a_pulse])
@pytest.mark.parametrize("method", ENDPOINT)
def test_a_mass_matrix_that_changes(method, mass):
    with pytest.raises(StepperError, match="mass matrix before step"):
        gradient(method, mass)


@pytest.mark.parametrize("mass", [of_the_solution, of_time, in_a_pulse])
@pytest.mark.parametrize("method", ENDPOINT)
def test_unrefused_it_gives_a_wrong_gradient(method, mass, monkeypatch):
    monkeypatch.setattr(inertia, "TOLERANCE", np.inf)
    expected = by_differences(method, mass)
    assert np.abs(gradient(method, mass) - expected).max() > 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("method", "mass"),
    [
        *((method, constant) for method in METHODS),
        *((method, mass) for method in WITHOUT for mass in (of_the_solution, of_time, in_a_pulse)),
    ],
)
def test_others_have_the_gradient_of_differences(method, mass):
    expected = by_differences(method, mass)
    np.testing.assert_allclose(gradient(method, mass), expected, rtol=1e-7, atol=1e-9)


set_options = option_setter(PREFIX)


def teardown_module():
    set_options({})
