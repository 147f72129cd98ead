"""What is wrong on one rank is refused on all of them."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

import ufl
from dolfinx import fem, mesh
from ufl import dx, grad, inner

from adjoint.errors import ArgumentError
from solvers.fenicsx import FormStepper, PointMisfit, on_one_rank

RANKS = (2,)


@pytest.fixture
def parts(comm):
    """Arguments of a stepper with a source."""
    square = mesh.create_unit_square(comm, 4, 4)
    space = fem.functionspace(square, ("Lagrange", 1))
    u, u0, f = (fem.Function(space) for _ in range(3))
    v = ufl.TestFunction(space)
    residual = (u - u0 - f) * v * dx + inner(grad(u), grad(v)) * dx
    return (residual, u, u0), {"controls": {"f": f}, "terminal_cost": u**2 * dx}


def test_rows_of_a_wrong_shape(comm, parts):
    given, options = parts
    size = given[1].function_space.dofmap.index_map.size_local
    rows = np.zeros((3, size + (comm.rank == comm.size - 1)))
    with pytest.raises(ArgumentError, match="the dofs that this rank owns"):
        FormStepper(*given, per_step={"f": rows}, **options)


def test_another_number_of_rows(comm, parts):
    given, options = parts
    size = given[1].function_space.dofmap.index_map.size_local
    with pytest.raises(ArgumentError, match="different arguments"):
        FormStepper(*given, per_step={"f": np.zeros((3 + comm.rank, size))}, **options)


def test_a_point_outside(parts):
    (_, u, _), _ = parts
    with pytest.raises(ArgumentError, match="1 points are outside"):
        PointMisfit(u, [[0.5, 0.5], [0.5, 1.5]], [[0.0, 0.0]], [1])


def test_every_point_belongs_to_one_rank(comm, parts):
    (_, u, _), _ = parts
    u.interpolate(lambda x: x[0] + 2 * x[1])
    places = np.stack(np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9)), axis=-1).reshape(
        -1, 2
    )
    misfit = PointMisfit(u, places, np.zeros((1, len(places))), [1])
    found = comm.allgather((misfit.index, misfit.values()))
    index = np.concatenate([part[0] for part in found])
    values = np.concatenate([part[1] for part in found])
    assert sorted(index) == list(range(len(places)))
    np.testing.assert_allclose(values, places[index] @ [1, 2], atol=1e-14)


def test_a_picture_is_on_one_rank(comm, parts):
    (_, u, _), _ = parts
    u.interpolate(lambda x: x[0] + 2 * x[1])
    u.x.scatter_forward()
    picture = on_one_rank(u)
    assert (picture is None) == (comm.rank > 0)
    if picture is not None:
        points, triangles, values = picture
        np.testing.assert_allclose(values, points @ [1, 2], atol=1e-14)
        assert triangles.shape == (32, 3)
        assert len(np.unique(np.sort(triangles, axis=1), axis=0)) == 32
