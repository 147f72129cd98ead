"""Values of a Function at points, compared with data, and a Function on one rank for a picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from dolfinx import geometry
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError, StepperError
from solvers.fenicsx.dofs import Array, owned

__all__ = ["PointMisfit", "on_one_rank"]


class PointMisfit:
    """The misfit ``weight/2 Σ |u_k(x_i) - data[j, i]|²`` at points ``x_i`` and states ``steps[j]``.

    A point belongs to the first rank with a cell that contains it. Where a Function jumps, its
    value is the one in the first such cell. Making one is collective.

    Parameters
    ----------
    function
        The unknown of a `FormStepper`, or one of its sub-Functions, ``unknown.sub(i)``.
    points
        Shape (points, dimensions of the mesh), the same on all ranks.
    data
        Shape (states, points), or (states, points, components), the same on all ranks. It is
        copied.
    steps
        The states to compare, in any order: state ``k`` is the one after ``k`` steps, from 1 on.
    weight
        The weight: that of a standard deviation ``s`` is ``1 / s**2``.

    Raises
    ------
    ArgumentError
        An array has a wrong shape or is not finite, a state is less than 1 or given twice, or a
        point is outside the mesh.
    StepperError
        The Function cannot be evaluated at points.
    """

    def __init__(
        self,
        function: Any,
        points: ArrayLike,
        data: ArrayLike,
        steps: Sequence[int],
        *,
        weight: float = 1.0,
    ) -> None:
        element = function.function_space.ufl_element()
        if element.has_custom_quadrature or element.is_real:
            raise StepperError(f"a Function of {element} has no values at points")
        self.function = function
        self.steps = [int(k) for k in steps]
        self.weight = float(weight)
        places = _padded(points, function.function_space.mesh.geometry.dim)
        self._data = np.array(data, dtype=float)
        size = int(np.prod(function.ufl_shape, dtype=int))
        wanted = (len(self.steps), len(places), *([size] if size > 1 else []))
        _check(self._data, wanted, self.steps, self.weight)
        self.index, cells = _located(function.function_space.mesh, places)
        """Which of the points are this rank's."""
        self._row = {k: j for j, k in enumerate(self.steps)}
        self._data = self._data.reshape(len(self.steps), len(places), size)[:, self.index]
        self._dofs, self._weights = _weights(function, places[self.index], cells, size)

    def values(self) -> Array:
        """Return the Function now at this rank's points, shaped (points, …): see `index`."""
        found = self._values()
        return found[:, 0] if found.shape[1] == 1 else found

    def value(self, k: int) -> float:
        """Return this rank's part of the misfit of state `k`."""
        difference = self._difference(k).ravel()
        return 0.5 * self.weight * float(difference @ difference)

    def add_gradient(self, k: int, out: Array) -> None:
        """Add its derivative by the dofs of the Function, ghosts included, to an array."""
        by_dof = np.einsum("pv,pvd->pd", self.weight * self._difference(k), self._weights)
        np.add.at(out, self._dofs, by_dof)

    def add_curvature(self, k: int, tangent: Array, out: Array) -> None:
        """Add its second derivative times a tangent, both arrays with ghosts, to an array."""
        del k
        by_point = np.einsum("pvd,pd->pv", self._weights, tangent[self._dofs])
        np.add.at(out, self._dofs, np.einsum("pv,pvd->pd", self.weight * by_point, self._weights))

    def _values(self) -> Array:
        return np.einsum("pvd,pd->pv", self._weights, self.function.x.array[self._dofs])

    def _difference(self, k: int) -> Array:
        return self._values() - self._data[self._row[k]]


def on_one_rank(function: Any) -> tuple[Array, NDArray[np.int64], Array] | None:
    """Gather a Function on rank 0, to be drawn by ``matplotlib.tri``. Collective.

    Parameters
    ----------
    function
        A continuous, piecewise linear scalar on triangles.

    Returns
    -------
    points, triangles, values
        On rank 0: coordinates of shape (vertices, 2), the vertices of each triangle, and a value
        at each vertex. On other ranks None.

    Raises
    ------
    ArgumentError
        The Function is none of these: interpolate it to a space ``("Lagrange", 1)``.
    """
    space, mesh = function.function_space, function.function_space.mesh
    is_whole = space.num_sub_spaces == 0 and not len(space.component())
    element = space.element.basix_element if is_whole else None
    if element is None or element.dim != 3 or element.degree != 1 or element.discontinuous:
        raise ArgumentError(
            "on_one_rank takes a scalar that is continuous and linear on triangles: interpolate it "
            'to a space ("Lagrange", 1) first'
        )
    index_map = space.dofmap.index_map
    cells = mesh.topology.index_map(mesh.topology.dim).size_local
    local = space.dofmap.list[:cells]
    triangles = index_map.local_to_global(local.ravel()).reshape(local.shape)
    points = space.tabulate_dof_coordinates()[: index_map.size_local, :2]
    parts = mesh.comm.gather((points, triangles, owned(function).copy()))
    if parts is None:
        return None
    joined = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    return joined[0], joined[1], joined[2]


def _padded(points: ArrayLike, dimension: int) -> Array:
    """Return points with three coordinates."""
    given = np.array(points, dtype=float)
    if given.ndim != 2 or given.shape[1] != dimension:
        raise ArgumentError(
            f"points must have the shape (points, {dimension}), the dimension of the mesh, not "
            f"{given.shape}"
        )
    padded = np.zeros((len(given), 3))
    padded[:, :dimension] = given
    return padded


def _check(data: Array, wanted: tuple[int, ...], steps: Sequence[int], weight: float) -> None:
    if data.shape != wanted:
        raise ArgumentError(
            f"data has shape {data.shape}; it must be {wanted}: a row for each of steps, a column "
            "for each point"
        )
    if not np.isfinite(data).all() or not np.isfinite(weight):
        raise ArgumentError("data and weight must be finite: leave out readings that failed")
    if min(steps, default=1) < 1 or len(set(steps)) < len(steps):
        raise ArgumentError(
            f"steps={list(steps)}: each must be at least 1, the state after the first step, and "
            "may be given once"
        )


def _located(mesh: Any, points: Array) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Return which points are this rank's, and the cell of each of them. Collective.

    Raises
    ------
    ArgumentError
        Some are in no cell.
    """
    dimension = mesh.topology.dim
    own = np.arange(mesh.topology.index_map(dimension).size_local, dtype=np.int32)
    found = np.full(len(points), -1, dtype=np.int32)
    if len(own):
        tree = geometry.bb_tree(mesh, dimension, entities=own)
        near = geometry.compute_collisions_points(tree, points)
        inside = geometry.compute_colliding_cells(mesh, near, points)
        for place in range(len(points)):
            found[place] = min(inside.links(place), default=-1)
    comm = mesh.comm
    ranks = np.array(comm.allgather(found)) >= 0
    outside = np.flatnonzero(~ranks.any(axis=0))
    if len(outside):
        named = [points[place].tolist() for place in outside[:5]]
        raise ArgumentError(f"{len(outside)} points are outside the mesh: {named}")
    mine = np.flatnonzero(ranks.argmax(axis=0) == comm.rank)
    return mine, found[mine]


def _weights(
    function: Any, points: Array, cells: NDArray[np.int32], size: int
) -> tuple[NDArray[np.intp], Array]:
    """Return the dofs of each point's cell, and by what each contributes to each component.

    They are the values of the Function where one dof is one and all others are zero.
    """
    dofmap, array = function.function_space.dofmap, function.x.array
    block = dofmap.bs
    blocks = np.array([dofmap.cell_dofs(cell) for cell in cells], np.intp)
    dofs = (blocks[..., None] * block + np.arange(block)).reshape(
        len(cells), -1 if len(cells) else 0
    )
    weights = np.zeros((len(cells), size, dofs.shape[1]))
    kept = array.copy()
    try:
        array[:] = 0
        for place, (point, cell) in enumerate(zip(points, cells, strict=True)):
            for entry, dof in enumerate(dofs[place]):
                array[dof] = 1
                weights[place, :, entry] = function.eval(point, cell)
                array[dof] = 0
    finally:
        array[:] = kept
    return dofs, weights
