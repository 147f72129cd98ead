"""Operators are assembled and factored again only where something that they depend on changed."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

import form_problems
import ufl
from diffusion_forms import Diffusion
from dolfinx import fem
from form_problems import NUM_STEPS
from petsc4py import PETSc

import adjoint
from adjoint.schedules import Revolve
from solvers.fenicsx import FormStepper, operators


class Counts:
    """How often forms were assembled, by the rank of their tensor; and KSP was set up."""

    def __init__(self, monkeypatch):
        self.assembled = []
        for name in ("assemble_vector", "assemble_scalar", "assemble_matrix"):
            monkeypatch.setattr(operators.fem, name, self.counted(name, getattr(fem, name)))

    def counted(self, name, function):
        def call(*arguments, **options):
            self.assembled.append(name)
            return function(*arguments, **options)

        return call


def factorisations(work):
    """Return how often PETSc has factored a matrix meanwhile."""
    PETSc.Log.begin()
    events = [PETSc.Log.Event(name) for name in ("MatLUFactorNum", "MatCholFctrNum")]
    before = [event.getPerfInfo()["count"] for event in events]
    work()
    return sum(event.getPerfInfo()["count"] for event in events) - sum(before)


def test_a_constant_matrix_is_factored_once_in_a_whole_run():
    stepper = Diffusion("linear", 6, 20).stepper()
    with adjoint.Functional(stepper, 20, schedule=Revolve(20, 3)) as functional:
        assert factorisations(functional.value_and_gradient) == 1
        assert factorisations(functional.value_and_gradient) == 0


def test_no_form_of_the_residual_is_assembled_in_an_affine_step(monkeypatch):
    stepper = Diffusion("linear", 6, 20).stepper()
    stepper.start()
    stepper.advance(0, 1)
    counts = Counts(monkeypatch)
    stepper.advance(1, 12)
    stepper.record(12, 20, reach_stop=True)
    assert not counts.assembled
    stepper.turn(0.0)
    counts.assembled.clear()
    stepper.pull_back(12, 20)
    assert counts.assembled == ["assemble_matrix"], "of the source, the first time"
    stepper.record(0, 12, reach_stop=False)
    stepper.pull_back(0, 12)
    assert len(counts.assembled) == 1


def test_pulling_back_solves_no_equation(monkeypatch):
    stepper = form_problems.p_laplacian()
    stepper.start()
    stepper.record(0, NUM_STEPS, reach_stop=True)
    stepper.turn(0.0)
    calls = []
    monkeypatch.setattr(type(stepper._step.equation), "solve", lambda *arguments: calls.append(1))
    iterations = stepper._step.equation.snes.getLinearSolveIterations()
    stepper.pull_back(0, NUM_STEPS)
    assert not calls
    assert stepper._step.equation.snes.getLinearSolveIterations() == iterations


def test_two_weights_of_a_scheme_take_two_factorisations_each_way():
    stepper = form_problems.two_levels()
    with adjoint.Functional(stepper, NUM_STEPS, memory="1 MB") as functional:
        functional.value_and_gradient()
        assert factorisations(functional.value_and_gradient) == 2


@pytest.mark.parametrize("kind", ["linear", "nonlinear"])
def test_a_changed_control_is_noticed(kind):
    """Also where it is changed in the Function, not through `controls`."""
    problem, fresh = (Diffusion(kind, 6, 20, degree=4) for _ in range(2))
    stepper = problem.stepper()
    adjoint.gradient(stepper, 20)
    for each in (problem, fresh):
        each.other.x.array[3] += 0.25
    second, expected = adjoint.gradient(stepper, 20), adjoint.gradient(fresh.stepper(), 20)
    assert second.cost == expected.cost
    for name, gradient in expected.gradient.items():
        assert second.gradient[name].tobytes() == gradient.tobytes()


def assert_noticed(make):
    """Compare a gradient after data were changed with that of a stepper made afterwards."""
    change, stepper = make()
    before = adjoint.gradient(stepper, 3)
    change()
    after = adjoint.gradient(stepper, 3)
    change_again, fresh = make()
    change_again()
    expected = adjoint.gradient(fresh, 3)
    for name, gradient in expected.gradient.items():
        assert after.gradient[name].tobytes() == gradient.tobytes()
    assert after.cost == expected.cost != before.cost


@pytest.mark.parametrize("what", ["matrix", "right side", "boundary", "mesh"])
def test_changed_data_are_noticed(what):
    def make():
        problem = Diffusion("linear", 6, 3)
        space, square = problem.space, problem.mesh
        factor, heat, side = (fem.Constant(square, value) for value in (0.5, 0.0, 0.2))
        v = ufl.TestFunction(space)
        residual = problem.residual(problem.u) - heat * v * ufl.dx + factor * problem.u * v * ufl.dx
        stepper = FormStepper(
            residual,
            problem.u,
            problem.u0,
            controls=problem.controls,
            bcs=[fem.dirichletbc(side, problem.side, space)],
            initial=problem.start,
            terminal_cost=problem.cost,
        )

        def change():
            if what == "mesh":
                square.geometry.x[:, 0] *= 1.1
            else:
                constant = {"matrix": factor, "right side": heat, "boundary": side}[what]
                constant.value += 0.3

        return change, stepper

    assert_noticed(make)


def test_data_that_change_in_the_course_of_time_are_assembled_again():
    stepper, values = form_problems.rows(), []
    for k, u in stepper.trajectory(NUM_STEPS):
        values.append(u.x.array.copy())
        if k:
            dofs = stepper._step.equation.boundary.dofs
            y = u.function_space.tabulate_dof_coordinates()[dofs, 1]
            np.testing.assert_allclose(values[k][dofs], np.cos(y + 0.1 * (k - 1)), atol=1e-14)
