"""The Gray-Scott reaction-diffusion system in two dimensions.

A substrate ``u`` is fed and consumed by ``v``, which is removed::

    u_t = D1 lap u - u v^2 + gamma (1 - u)
    v_t = D2 lap v + u v^2 - (gamma + kappa) v

on a periodic square (Pearson 1993, doi:10.1126/science.261.5118.189; Hundsdorfer and Verwer 2003,
p. 21). Domain, coefficients, initial state and five-point differences are those of PETSc's adjoint
tutorial ``ts/tutorials/advection-diffusion-reaction/ex5adj.c``, so that results can be compared.
"""

# ruff: noqa: ARG002 (callbacks have the signatures that integrators call)

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError
from solvers.petsc.grid import CellGrid, Stencil
from solvers.petsc.problem import Controls, Gradient, Mat, RhsProblem, Vec

__all__ = ["GrayScott"]

Array = NDArray[Any]

SIDE = 2.5
"""Length of the sides of the square."""
COEFFICIENTS = {"D1": 8e-5, "D2": 4e-5, "gamma": 0.024, "kappa": 0.06}

HERE = (0, 0)
AROUND = ((0, -1), (0, 1), (-1, 0), (1, 0))

# Rows of u, then of v: the cell itself, the other substance, the four neighbours.
COUPLINGS = (
    (0, HERE, 0),
    (0, HERE, 1),
    *((0, offset, 0) for offset in AROUND),
    (1, HERE, 0),
    (1, HERE, 1),
    *((1, offset, 1) for offset in AROUND),
)


class GrayScott(RhsProblem):
    """The Gray-Scott system, as a problem for an integrator or for a user's own TS.

    The controls are the numbers ``D1``, ``D2``, ``gamma`` and ``kappa``, the same on all ranks, and
    ``initial``, this rank's cells of the initial state with the axes ``[y, x, substance]``. The
    cost is half the squared L2 distance of the final state from `observed`; without `observed` it
    is the final mean of ``u`` over the square.

    Parameters
    ----------
    shape
        Cells in y and x, at least three each.
    observed
        This rank's cells of an observed final state, of the shape of ``initial``.
    comm
        A communicator of mpi4py or PETSc; None is one process.

    Raises
    ------
    ArgumentError
        There are fewer than three cells along a side, or observations have the wrong shape.
    """

    distributed = ("initial",)

    def __init__(
        self, shape: tuple[int, int], *, observed: ArrayLike | None = None, comm: Any = None
    ) -> None:
        if min(shape) < 3:
            raise ArgumentError(f"shape={shape}: a periodic side needs at least three cells")
        self.grid = CellGrid(shape, 2, periodic=True, comm=comm)
        self.cell = (SIDE / shape[0], SIDE / shape[1])
        self._stencil = Stencil(self.grid, COUPLINGS)
        controls = {name: np.array(value) for name, value in COEFFICIENTS.items()}
        controls["initial"] = self.tutorial_state()
        grid = self.grid
        super().__init__(grid.vector(), controls, matrix=self._stencil.matrix(), dm=grid.dm)
        self.observed = None if observed is None else np.array(observed, dtype=float)
        if self.observed is not None and self.observed.shape != self.grid.local_shape:
            raise ArgumentError(
                f"observed has shape {self.observed.shape}, but this rank's cells have shape "
                f"{self.grid.local_shape}"
            )

    def tutorial_state(self) -> Array:
        """Return this rank's cells of PETSc's tutorial's initial state: a square of spots in v."""
        rows, columns = (
            np.arange(own.start, own.stop) * width
            for own, width in zip(self.grid.own, self.cell, strict=True)
        )
        y, x = np.meshgrid(rows, columns, indexing="ij")
        inside = (x >= 1.0) & (x <= 1.5) & (y >= 1.0) & (y <= 1.5)
        spots = np.sin(4 * np.pi * x) ** 2 * np.sin(4 * np.pi * y) ** 2 / 4
        v = np.where(inside, spots, 0.0)
        return np.stack([1 - 2 * v, v], axis=-1)

    def initial_state(self, m: Controls, u: Vec) -> None:
        self.grid.own_array(u)[...] = m["initial"]

    def initial_state_vjp(self, m: Controls, adjoint: Vec, gradient: Gradient) -> None:
        gradient["initial"][...] += self.grid.read(adjoint)

    def rhs(self, t: float, u: Vec, m: Controls, f: Vec) -> None:
        cells = self.grid.ghosted(u)
        laplacian = self._laplacian(cells)
        a, b = cells[1:-1, 1:-1, 0], cells[1:-1, 1:-1, 1]
        eaten = a * b**2
        out = self.grid.own_array(f)
        out[..., 0] = m["D1"] * laplacian[..., 0] - eaten + m["gamma"] * (1 - a)
        out[..., 1] = m["D2"] * laplacian[..., 1] + eaten - (m["gamma"] + m["kappa"]) * b

    def rhs_jacobian(self, t: float, u: Vec, m: Controls, jacobian: Mat, other: Mat) -> None:
        cells = self.grid.read(u)
        a, b = cells[..., 0], cells[..., 1]
        high, wide = (1 / width**2 for width in self.cell)
        rows: list[Array | float] = []
        for coefficient, reaction in (
            (float(m["D1"]), (-(b**2) - m["gamma"], -2 * a * b)),
            (float(m["D2"]), (b**2, 2 * a * b - m["gamma"] - m["kappa"])),
        ):
            middle = -2 * coefficient * (high + wide)
            first = len(rows) == 0
            rows += [reaction[0] + middle * first, reaction[1] + middle * (not first)]
            rows += [coefficient * wide] * 2 + [coefficient * high] * 2
        self._stencil.fill(other, rows)
        if jacobian != other:
            jacobian.assemble()

    def rhs_state_vjp(self, t: float, u: Vec, m: Controls, w: Vec, out: Vec) -> None:
        cells, weights = self.grid.read(u), self.grid.ghosted(w)
        laplacian = self._laplacian(weights)
        a, b = cells[..., 0], cells[..., 1]
        p, q = weights[1:-1, 1:-1, 0], weights[1:-1, 1:-1, 1]
        eating = q - p
        result = self.grid.own_array(out)
        result[..., 0] = m["D1"] * laplacian[..., 0] + b**2 * eating - m["gamma"] * p
        removed = (m["gamma"] + m["kappa"]) * q
        result[..., 1] = m["D2"] * laplacian[..., 1] + 2 * a * b * eating - removed

    def rhs_control_vjp(self, t: float, u: Vec, m: Controls, w: Vec, gradient: Gradient) -> None:
        cells, weights = self.grid.ghosted(u), self.grid.read(w)
        products = np.sum(weights * self._laplacian(cells), axis=(0, 1))
        own = cells[1:-1, 1:-1]
        removed = np.sum(weights[..., 1] * own[..., 1])
        gradient["D1"][...] += products[0]
        gradient["D2"][...] += products[1]
        gradient["gamma"][...] += np.sum(weights[..., 0] * (1 - own[..., 0])) - removed
        gradient["kappa"][...] -= removed

    def terminal_cost(self, u: Vec, m: Controls) -> float:
        cells, area = self.grid.read(u), self.cell[0] * self.cell[1]
        if self.observed is None:
            return float(np.sum(cells[..., 0])) * area / SIDE**2
        return 0.5 * area * float(np.sum((cells - self.observed) ** 2))

    def terminal_cost_vjp(self, u: Vec, m: Controls, adjoint: Vec, gradient: Gradient) -> None:
        out, area = self.grid.own_array(adjoint), self.cell[0] * self.cell[1]
        if self.observed is None:
            out[..., 0] += area / SIDE**2
        else:
            out += area * (self.grid.read(u) - self.observed)

    def fingerprint(self) -> dict[str, Any]:
        return {**super().fingerprint(), "grid": (self.grid.shape, self.cell)}

    def _laplacian(self, cells: Array) -> Array:
        """Return the five-point Laplacian of cells with ghosts."""
        middle = 2 * cells[1:-1, 1:-1]
        high = (cells[2:, 1:-1] + cells[:-2, 1:-1] - middle) / self.cell[0] ** 2
        wide = (cells[1:-1, 2:] + cells[1:-1, :-2] - middle) / self.cell[1] ** 2
        return high + wide
