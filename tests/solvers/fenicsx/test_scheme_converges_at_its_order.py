"""BDF2, written as a form, converges to a known solution at second order."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

import ufl
from dolfinx import fem, mesh
from mpi4py import MPI
from ufl import dx, grad, inner

from solvers.fenicsx import FormStepper


def error_of(num_steps):
    """Return the error at time 1; the elements are exact for the solution in space."""
    square = mesh.create_unit_square(MPI.COMM_SELF, 3, 3)
    space = fem.functionspace(square, ("Lagrange", 3))
    u, u0, u1 = (fem.Function(space) for _ in range(3))
    v, size = ufl.TestFunction(space), 1 / num_steps
    weights, time = fem.Constant(square, (0.0, 0.0, 0.0)), fem.Constant(square, 0.0)
    scale = fem.Constant(square, 1.0)
    on_side = fem.Function(space)

    def exact(x, t):
        return np.cos(2 * t) * (1 + x[0] ** 2 * x[1])

    def before_step(k):
        weights.value[:] = (1.5, -2.0, 0.5) if k else (1.0, -1.0, 0.0)
        time.value[...] = (k + 1) * size
        on_side.interpolate(lambda x: exact(x, float(time)))

    x = ufl.SpatialCoordinate(square)
    shape = 1 + x[0] ** 2 * x[1]
    source = -2 * ufl.sin(2 * time) * shape - ufl.cos(2 * time) * 2 * x[1]
    residual = (weights[0] * u + weights[1] * u0 + weights[2] * u1) / size * v * dx
    residual += inner(grad(u), grad(v)) * dx - scale * source * v * dx
    for level in (u0, u1):
        level.interpolate(lambda x: exact(x, 0))
    square.topology.create_connectivity(1, 2)
    facets = mesh.exterior_facet_indices(square.topology)
    bcs = [fem.dirichletbc(on_side, fem.locate_dofs_topological(space, 1, facets))]
    stepper = FormStepper(
        residual,
        u,
        [u0, u1],
        controls={"scale": scale},
        bcs=bcs,
        before_step=before_step,
        terminal_cost=u * dx,
    )
    *_, (k, last) = stepper.trajectory(num_steps)
    assert k == num_steps
    found = last.x.array.copy()
    last.interpolate(lambda x: exact(x, 1))
    return abs(found - last.x.array).max()


def test_order():
    errors = np.array([error_of(n) for n in (8, 16, 32, 64)])
    orders = np.log2(errors[:-1] / errors[1:])
    assert orders.min() > 1.9, orders
    assert orders.max() < 2.2, orders
