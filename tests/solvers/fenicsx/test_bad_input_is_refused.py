"""What cannot be differentiated is refused when the stepper is made, in a sentence of advice."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

import basix.ufl
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI
from ufl import dx, grad, inner

import adjoint
from adjoint.errors import ArgumentError, StepperError
from solvers.fenicsx import FormStepper, PointMisfit, on_one_rank


class Parts:
    """The arguments of a stepper of heat, to be changed one by one."""

    def __init__(self):
        self.mesh = mesh.create_unit_square(MPI.COMM_SELF, 2, 2)
        self.space = fem.functionspace(self.mesh, ("Lagrange", 1))
        self.u, self.u0, self.u1, self.m = (fem.Function(self.space) for _ in range(4))
        self.v, self.w = ufl.TestFunction(self.space), ufl.TrialFunction(self.space)
        self.c = fem.Constant(self.mesh, 1.0)
        self.options = {"controls": {"m": self.m}, "terminal_cost": self.u**2 * dx}

    def form(self, u):
        flux = self.c * ufl.exp(self.m) * grad(u)
        return (u - self.u0) * self.v * dx + inner(flux, grad(self.v)) * dx

    def make(self, residual=None, unknown=None, previous=None, **options):
        return FormStepper(
            self.form(self.u) if residual is None else residual,
            self.u if unknown is None else unknown,
            self.u0 if previous is None else previous,
            **self.options | options,
        )


@pytest.fixture
def parts():
    return Parts()


def refuses(parts, match, *arguments, error=StepperError, **options):
    with pytest.raises(error, match=match):
        parts.make(*arguments, **options)


def test_residuals(parts):
    refuses(parts, "as a Function, not as a TrialFunction", parts.form(parts.w))
    refuses(parts, "no TestFunction", parts.u * dx)
    refuses(parts, "mixed element", [parts.form(parts.u)])
    refuses(parts, "must be a UFL form", "u")
    refuses(parts, "does not depend on the unknown", parts.u0 * parts.v * dx)
    other = fem.functionspace(parts.mesh, ("Lagrange", 2))
    refuses(parts, "another space", parts.u * ufl.TestFunction(other) * dx)


def test_states(parts):
    other = fem.Function(fem.functionspace(parts.mesh, ("Lagrange", 2)))
    refuses(parts, "unknown is among previous", previous=parts.u)
    refuses(parts, "twice", previous=[parts.u0, parts.u0])
    refuses(parts, "another space", previous=other)
    refuses(parts, "at least one", previous=[])
    refuses(parts, "Functions of DOLFINx, not list", unknown=[parts.u])


def test_views_of_the_unknown():
    """A derivative by the whole leaves out what depends on a view of it."""
    square = mesh.create_unit_square(MPI.COMM_SELF, 2, 2)
    linear = basix.ufl.element("Lagrange", square.basix_cell(), 1)
    space = fem.functionspace(square, basix.ufl.mixed_element([linear, linear]))
    u, u0 = fem.Function(space), fem.Function(space)
    v, c = ufl.TestFunction(space), fem.Constant(square, 1.0)
    residual = inner(u - u0, v) * dx + c * u.sub(0) * v[0] * dx
    with pytest.raises(StepperError, match=r"ufl\.split"):
        FormStepper(residual, u, u0, controls={"c": c})


def test_controls(parts):
    refuses(parts, "no control", controls={})
    refuses(parts, "not ndarray", controls={"m": np.ones(9)})
    refuses(parts, "two names", controls={"m": parts.m, "n": parts.m})
    refuses(parts, "which steps overwrite", controls={"u0": parts.u0})
    refuses(parts, "enters neither", controls={"m": parts.m, "idle": fem.Function(parts.space)})
    refuses(parts, "'scale' enters neither", controls={"scale": fem.Constant(parts.mesh, 1.0)})


def test_costs(parts):
    refuses(parts, "has a TestFunction", running_cost=parts.v * dx)
    refuses(parts, "must be a UFL form", terminal_cost=1.0)
    refuses(parts, "oldest level", terminal_cost=parts.u0**2 * dx)


def test_initial_states(parts):
    other = fem.Function(fem.functionspace(parts.mesh, ("DG", 0)))
    refuses(parts, "space of the unknown", initial=other)
    refuses(parts, "leave it out", initial=parts.u0)
    refuses(parts, "has 2 Functions", initial=[fem.Function(parts.space) for _ in range(2)])
    refuses(parts, "no state is before", initial=(parts.u - parts.u0) * parts.v * dx)
    refuses(parts, "not ndarray", initial=np.zeros(9))
    refuses(parts, "initial is bilinear", initial=parts.w * parts.v * dx)


def test_conditions(parts):
    other = fem.functionspace(parts.mesh, ("Lagrange", 1))
    dofs = fem.locate_dofs_geometrical(other, lambda x: np.isclose(x[0], 0))
    refuses(parts, "another space", bcs=[fem.dirichletbc(0.0, dofs, other)])
    refuses(parts, "not str", bcs=["side"])


def test_rows(parts):
    both = {"controls": {"m": parts.m, "c": parts.c}}
    bad = {"error": ArgumentError, **both}
    refuses(parts, "not among controls", per_step={"x": np.ones(3)}, **bad)
    refuses(parts, r"shape \(3, 2\)", per_step={"c": np.ones((3, 2))}, **bad)
    refuses(parts, r"row of shape \(9,\)", per_step={"m": np.ones((3, 8))}, **bad)
    cost = parts.c * parts.u * dx
    refuses(parts, "belongs to none", per_step={"c": np.ones(3)}, terminal_cost=cost, **both)
    start = (parts.u - parts.c) * parts.v * dx
    refuses(parts, "belongs to none", per_step={"c": np.ones(3)}, initial=start, **both)


def test_more_steps_than_rows(parts):
    controls = {"m": parts.m, "c": parts.c}
    stepper = parts.make(controls=controls, per_step={"c": np.ones(3)})
    adjoint.gradient(stepper, 3)
    with pytest.raises(ArgumentError, match="3 rows: there is none for step 3"):
        adjoint.gradient(stepper, 4)


def test_points(parts):
    def make(points=((0.5, 0.5),), data=((1.0,),), steps=(1,), function=parts.u):
        return PointMisfit(function, points, data, steps)

    with pytest.raises(ArgumentError, match=r"outside the mesh.*2\.0"):
        make(points=[[2.0, 0.5]])
    with pytest.raises(ArgumentError, match="dimension of the mesh"):
        make(points=[0.5, 0.5])
    with pytest.raises(ArgumentError, match=r"must be \(1, 1\)"):
        make(data=[1.0])
    with pytest.raises(ArgumentError, match="finite"):
        make(data=[[np.nan]])
    for steps in ([0], [2, 2]):
        with pytest.raises(ArgumentError, match="at least 1"):
            make(steps=steps, data=np.ones((len(steps), 1)))
    element = basix.ufl.quadrature_element(parts.mesh.basix_cell(), degree=2)
    with pytest.raises(StepperError, match="no values at points"):
        make(function=fem.Function(fem.functionspace(parts.mesh, element)))
    refuses(parts, "one of the unknown", misfits=[make(function=parts.m)])
    with pytest.raises(ArgumentError, match=r"states \[7\]"):
        adjoint.gradient(parts.make(misfits=[make(steps=[7])]), 3)


def test_pictures(parts):
    for element in (("Lagrange", 2), ("DG", 1), ("Lagrange", 1, (2,))):
        with pytest.raises(ArgumentError, match="interpolate it"):
            on_one_rank(fem.Function(fem.functionspace(parts.mesh, element)))


def test_a_control_that_before_step_changes(parts):
    stepper = parts.make(before_step=parts.m.x.array.fill)
    with pytest.raises(StepperError, match=r"'m' was changed by before_step"):
        adjoint.gradient(stepper, 3)
