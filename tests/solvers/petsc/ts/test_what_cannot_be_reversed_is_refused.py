"""A TS that PETSc would reverse wrongly or crash on is refused with advice what to do instead."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc4py import PETSc
from petsc_oscillator import Oscillator, set_options

import adjoint
from adjoint.errors import ArgumentError, StepperError
from adjoint.schedules import StoreAll
from solvers.petsc import TSStepper


@pytest.mark.parametrize("kind", ["euler", "ssp", "rosw", "bdf", "arkimex", "alpha"])
def test_types_without_an_adjoint(kind):
    with pytest.raises(StepperError, match=rf"{kind}.*integrators of solvers\.petsc"):
        Oscillator(kind).stepper()


def test_python_types():
    problem = Oscillator("rk 4")
    problem.ts.setType("python")
    with pytest.raises(StepperError, match="'python' has no adjoint"):
        problem.stepper()


def test_events():
    problem = Oscillator("rk 4")
    problem.ts.setEventHandler([0], [False], lambda ts, t, u, values: None)
    with pytest.raises(StepperError, match="has events"):
        problem.stepper()


def test_time_spans():
    problem = Oscillator("rk 4")
    problem.ts.setTimeSpan([0.0, 0.5, 1.0])
    with pytest.raises(StepperError, match="time span"):
        problem.stepper()


@pytest.mark.parametrize("option", ["ts_adjoint_solve", "ts_theta_initial_guess_extrapolate"])
def test_options_that_do_not_apply_to_single_steps(option):
    with pytest.raises(StepperError, match=f"-oscillator_{option}"):
        Oscillator("cn", options={option: True}).stepper()


def test_a_missing_jacobian():
    with pytest.raises(StepperError, match=r"ts\.setRHSJacobian.*-snes_fd_color"):
        TSStepper(*without_jacobian())


def test_a_jacobian_by_coloured_differences():
    database = PETSc.Options()
    database["snes_fd_color"] = True
    try:
        stepper = TSStepper(
            *without_jacobian(),
            terminal_cost=lambda u: float(u.sum()),
            terminal_cost_vjp=lambda u, adjoint, gradient: adjoint.shift(1.0),
        )
        gradient = adjoint.gradient(stepper, 5, schedule=StoreAll(5)).gradient["initial"]
    finally:
        database.delValue("snes_fd_color")
    # u' = -u^2 is known: u(t) = u / (1 + u t).
    np.testing.assert_allclose(gradient, (1 + 0.05 * np.linspace(1, 2, 8)) ** -2, rtol=1e-6)


@pytest.mark.parametrize("kind", ["cn", "beuler", "theta"])
def test_a_missing_jacobian_of_an_implicit_type(kind):
    problem = Oscillator(kind, implicit=True)
    problem.ts.setRHSFunction(lambda ts, t, u, f: u.copy(f), problem.u.duplicate())
    with pytest.raises(StepperError, match=r"ts\.setRHSJacobian.*-oscillator_snes_fd"):
        problem.stepper()


def test_an_implicit_type_with_a_jacobian_by_differences():
    problem = Oscillator("cn", options={"snes_fd": True}, implicit=True)
    problem.ts.setRHSFunction(lambda ts, t, u, f: u.copy(f), problem.u.duplicate())
    problem.stepper()


def without_jacobian():
    """Return a TS on a DMDA, and its vector."""
    da = PETSc.DMDA().create([8], dof=1, stencil_width=1, comm=PETSc.COMM_SELF)
    ts, u = PETSc.TS().create(PETSc.COMM_SELF), da.createGlobalVec()
    ts.setType("rk")
    ts.setRKType("4")
    ts.setDM(da)
    u.setArray(np.linspace(1, 2, 8))
    ts.setRHSFunction(lambda ts, t, u, f: f.setArray(-(u.array_r**2)), u.duplicate())
    ts.setTimeStep(0.01)
    ts.setMaxSteps(100)
    return ts, u


@pytest.mark.parametrize("missing", ["integrand_u", "integrand_p"])
def test_a_quadrature_without_its_derivatives(missing):
    problem = Oscillator("rk 4")
    quadrature = problem.ts.createQuadratureTS()
    problem.integrand_u = problem.integrand_p = problem.jacobian
    quadrature.setRHSFunction(problem.integrand, PETSc.Vec().createSeq(1))
    if missing == "integrand_p":
        quadrature.setRHSJacobian(problem.integrand_jacobian, problem.integrand_u)
    with pytest.raises(StepperError, match="quadrature TS has no derivative"):
        problem.stepper()


def test_parameters_without_a_jacobian():
    problem = Oscillator("rk 4")
    problem.ts.setRHSJacobianP(None, None)
    bare = PETSc.TS().create(PETSc.COMM_SELF)
    bare.setType("rk")
    bare.setRHSFunction(problem.rhs, problem.u.duplicate())
    bare.setRHSJacobian(problem.rhs_jacobian, problem.jacobian, problem.jacobian)
    with pytest.raises(StepperError, match="SetRHSJacobianP"):
        TSStepper(bare, problem.u, parameters=problem.parameters)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ([1.0, 2.0], "a petsc4py Vec or a NumPy array"),
        (np.zeros((2, 2)), "one-dimensional"),
        (np.zeros(2, np.float32), "float32"),
        (np.zeros(4)[::2], "contiguous"),
    ],
)
def test_parameters_of_the_wrong_kind(parameters, message):
    problem = Oscillator("rk 4")
    with pytest.raises(ArgumentError, match=message):
        TSStepper(problem.ts, problem.u, parameters=parameters)


def test_the_number_of_parameters_is_that_of_the_jacobians_columns():
    problem = Oscillator("rk 4")
    stepper = TSStepper(problem.ts, problem.u, parameters=np.zeros(3))
    with pytest.raises(StepperError, match=r"PETSc failed in step 2.*[Nn]onconforming"):
        adjoint.gradient(stepper, 3, schedule=StoreAll(3))


def test_a_solution_of_another_size():
    problem = Oscillator("cn")
    with pytest.raises(ArgumentError, match=r"size 3.*size 2"):
        TSStepper(problem.ts, PETSc.Vec().createSeq(3))


def test_vectors_that_are_not_one_array():
    problem = Oscillator("rk 4")
    parts = [PETSc.Vec().createSeq(1) for _ in range(2)]
    with pytest.raises(ArgumentError, match="'nest'"):
        TSStepper(problem.ts, PETSc.Vec().createNest(parts, comm=PETSc.COMM_SELF))


@pytest.mark.parametrize("not_a_ts", [None, 3, PETSc.TS()], ids=["none", "number", "empty"])
def test_an_object_that_is_no_ts(not_a_ts):
    with pytest.raises(ArgumentError, match="petsc4py TS"):
        TSStepper(not_a_ts, PETSc.Vec().createSeq(1))


def test_a_cost_without_its_derivative():
    problem = Oscillator("rk 4")
    with pytest.raises(ArgumentError, match="terminal_cost_vjp"):
        TSStepper(problem.ts, problem.u, terminal_cost=problem.terminal_cost)


def test_more_steps_than_the_ts_takes():
    problem = Oscillator("rk 4")
    problem.ts.setMaxSteps(7)
    with pytest.raises(StepperError, match="at step 7, not"):
        adjoint.gradient(problem.stepper(), 10, schedule=StoreAll(10))


def test_wrong_accepted_steps():
    stepper = Oscillator("rk 4").stepper()
    with pytest.raises(ArgumentError, match="time and size"):
        stepper.accept_steps([[0.0, np.nan]])


def teardown_module():
    set_options({})
