"""Derivatives have the quadrature of the form they belong to; without that they would be wrong.

UFL estimates a higher degree for the derivative of each of these than for the form itself.
"""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

import basix.ufl
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI
from ufl import dx, grad, inner

import adjoint
from adjoint.verification import taylor_test
from solvers.fenicsx import FormStepper, step
from solvers.fenicsx.forms import partial, pinned

INTEGRANDS = {
    "exponential": (1, lambda u, m: ufl.exp(m) * (1 + u**2)),
    "quotient": (1, lambda u, m: u**2 / (1 + m**2)),
    "p-Laplacian": (2, lambda u, m: ufl.exp(m) * (0.01 + inner(grad(u), grad(u))) ** -0.25),
}


def stepper_of(order, coefficient):
    """Return a step far from linear on a coarse mesh: an error of quadrature is large."""
    square = mesh.create_unit_square(MPI.COMM_SELF, 4, 4)
    space = fem.functionspace(square, ("Lagrange", order))
    u, u0, m = (fem.Function(space) for _ in range(3))
    v = ufl.TestFunction(space)
    u0.interpolate(lambda x: np.sin(3 * x[0]) * np.cos(2 * x[1]) + 1)
    m.interpolate(lambda x: np.sin(5 * x[0] + x[1]))
    residual = 20 * (u - u0) * v * dx + coefficient(u, m) * inner(grad(u), grad(v)) * dx
    return FormStepper(residual, u, u0, controls={"m": m}, terminal_cost=u**2 * dx)


@pytest.mark.parametrize("name", INTEGRANDS)
def test_gradient_is_exact(name):
    """To the 1e-9 that differences are exact to."""
    with adjoint.Functional(stepper_of(*INTEGRANDS[name]), 2) as functional:
        result = taylor_test(functional)
    assert result.passed, result
    assert result.error_estimate < 1e-8, result


@pytest.mark.parametrize("name", INTEGRANDS)
def test_gradient_would_be_wrong_otherwise(name, monkeypatch):
    monkeypatch.setattr(step, "pinned", lambda form, degree: form)
    with adjoint.Functional(stepper_of(*INTEGRANDS[name]), 2) as functional:
        assert taylor_test(functional).verdict == "wrong"


@pytest.fixture
def square():
    return mesh.create_unit_square(MPI.COMM_SELF, 4, 4)


@pytest.fixture
def parts(square):
    """A test function, and Functions of orders 2 and 1."""
    space = fem.functionspace(square, ("Lagrange", 2))
    linear = fem.functionspace(square, ("Lagrange", 1))
    return ufl.TestFunction(space), fem.Function(space), fem.Function(linear)


def degrees(form):
    return [
        (each.integral_type(), each.subdomain_id(), each.metadata()["quadrature_degree"])
        for each in form.integrals()
    ]


def test_all_integrals_on_a_subdomain_have_the_largest_degree(parts):
    v, u, m = parts
    form = u**3 * v * dx + m * v * dx + u * v * ufl.ds(1) + u**2 * v * ufl.ds((1, 2))
    assert degrees(pinned(form)) == [
        ("cell", "everywhere", 8),
        ("cell", "everywhere", 8),
        ("exterior_facet", 1, 6),
        ("exterior_facet", 1, 6),
        ("exterior_facet", 2, 6),
    ]


def test_a_stated_degree_is_kept_and_a_given_one_is_for_the_others(parts):
    v, u, _ = parts
    form = u**3 * v * dx(degree=2) + u * v * dx
    assert [degree for *_, degree in degrees(pinned(form))] == [2, 4]
    assert [degree for *_, degree in degrees(pinned(form, 7))] == [2, 7]


def test_pinned_forms_have_the_values_that_dolfinx_gives_them(parts):
    _, u, m = parts
    u.interpolate(lambda x: np.sin(3 * x[0]))
    m.interpolate(lambda x: x[1] - x[0])
    form = (u**3 / (2 + m) + ufl.exp(m)) * dx + m * u * ufl.ds
    values = [fem.assemble_scalar(fem.form(each)) for each in (form, pinned(form))]
    assert values[0] == values[1]


def test_the_points_of_a_quadrature_element_are_kept(square, parts):
    _, u, _ = parts
    element = basix.ufl.quadrature_element(square.basix_cell(), degree=2)
    q = fem.Function(fem.functionspace(square, element))
    q.x.array[:] = 1
    u.interpolate(lambda x: x[0])
    form = q * u**3 * dx + u**5 * dx
    value = fem.assemble_scalar(fem.form(form))
    assert fem.assemble_scalar(fem.form(pinned(form, 9))) == value
    assert abs(value - 1 / 4 - 1 / 6) > 1e-6, "the rule of the element is exact"
    moved = fem.assemble_scalar(fem.form(ufl.action(partial(pinned(form), u), u)))
    h = 1e-4
    for sign in (1, -1):
        u.interpolate(lambda x, s=sign: (1 + s * h) * x[0])
        moved -= sign / (2 * h) * fem.assemble_scalar(fem.form(form))
    assert abs(moved) < 1e-7
