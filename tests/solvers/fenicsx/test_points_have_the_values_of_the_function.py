"""Values at points are those that DOLFINx evaluates, for all elements, and so are derivatives."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

import basix.ufl
from dolfinx import fem, geometry, mesh
from mpi4py import MPI
from numpy.testing import assert_allclose

from solvers.fenicsx import PointMisfit, on_one_rank

POINTS = np.array([[0.0, 0.0], [0.5, 0.4], [1.0, 1.0], [0.17, 0.83], [0.61, 0.05]])
ELEMENTS = [("Lagrange", 3), ("Lagrange", 2, (2,)), ("RT", 2), ("N1curl", 1), ("DG", 1)]


@pytest.fixture(scope="module")
def square():
    return mesh.create_unit_square(MPI.COMM_SELF, 5, 4)


def mixed(square):
    cell = square.basix_cell()
    vector = basix.ufl.element("Lagrange", cell, 2, shape=(2,))
    scalar = basix.ufl.element("Lagrange", cell, 1)
    return fem.Function(fem.functionspace(square, basix.ufl.mixed_element([vector, scalar])))


def evaluated(function):
    """Return values at the points, in the first cell with each."""
    padded = np.pad(POINTS, ((0, 0), (0, 1)))
    tree = geometry.bb_tree(function.function_space.mesh, 2)
    near = geometry.compute_collisions_points(tree, padded)
    found = geometry.compute_colliding_cells(function.function_space.mesh, near, padded)
    cells = [min(found.links(place)) for place in range(len(POINTS))]
    return function.eval(padded, cells)


def check(function, rng):
    function.x.array[:] = rng.standard_normal(function.x.array.size)
    expected = evaluated(function)
    data = rng.standard_normal((2, *expected.shape)).squeeze()
    misfit = PointMisfit(function, POINTS, data, [5, 2], weight=3.0)
    assert_allclose(misfit.values(), expected.squeeze(), atol=1e-13)
    assert list(misfit.index) == list(range(len(POINTS)))
    difference = expected.squeeze() - data[1]
    assert_allclose(misfit.value(2), 1.5 * (difference**2).sum())
    # The misfit is quadratic: central differences are exact.
    gradient = np.zeros_like(function.x.array)
    misfit.add_gradient(2, gradient)
    direction = rng.standard_normal(gradient.size)
    function.x.array[:] += direction
    value = misfit.value(2)
    function.x.array[:] -= 2 * direction
    assert_allclose(gradient @ direction, (value - misfit.value(2)) / 2, rtol=1e-11)


@pytest.mark.parametrize("element", ELEMENTS, ids=str)
def test_whole_functions(element, square, rng):
    check(fem.Function(fem.functionspace(square, element)), rng)


@pytest.mark.parametrize("part", [0, 1])
def test_parts_of_mixed_functions(part, square, rng):
    check(mixed(square).sub(part), rng)


def test_a_function_is_left_as_it_was(square):
    function = fem.Function(fem.functionspace(square, ("Lagrange", 1)))
    function.interpolate(lambda x: x[0])
    kept = function.x.array.copy()
    PointMisfit(function, POINTS, np.zeros((1, len(POINTS))), [1])
    assert (function.x.array == kept).all()


def test_a_picture_has_vertices_triangles_and_values(square):
    function = fem.Function(fem.functionspace(square, ("Lagrange", 1)))
    function.interpolate(lambda x: x[0] + 2 * x[1])
    points, triangles, values = on_one_rank(function)
    assert_allclose(values, points @ [1, 2])
    corners = points[triangles]
    sides = corners[:, 1:] - corners[:, :1]
    areas = abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]) / 2
    assert len(points) == 30
    assert_allclose(areas, 1 / 40)
