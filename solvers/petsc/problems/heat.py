"""Heat conduction in a plate of unknown conductivity.

::

    u_t = div(kappa grad u) + power(t) source        in a rectangle, u = 0 on its sides

by finite volumes. The flux through a face is the difference of the two cells' temperatures times
the harmonic mean of their conductivities, which remains accurate where the conductivity jumps
(Patankar 1980, section 4.2-3); the flux through a side is that from the cell's centre to the side.
The matrix is symmetric and depends on neither time nor temperature: with steps of one length it is
factored once.

The control is ``log(kappa)`` in each cell: every value of it gives a well-posed problem.
"""

# ruff: noqa: ARG002 (callbacks have the signatures that integrators call)

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError
from solvers.observations import Sensors
from solvers.petsc.grid import CellGrid, Stencil
from solvers.petsc.problem import Controls, Gradient, Mat, RhsProblem, Vec

__all__ = ["Heat"]

Array = NDArray[Any]

HERE = (0, 0)
SOUTH, NORTH, WEST, EAST = (-1, 0), (1, 0), (0, -1), (0, 1)


class Heat(RhsProblem):
    """Heat conduction, as a problem for an integrator. Construction is collective.

    The controls are ``log_conductivity`` and ``initial``: the logarithm of the conductivity and the
    initial temperature in this rank's cells, with the axes ``[y, x]``. The cost is the sum over
    times and sensors of ``(u - observed)^2 / (2 sigma^2)``.

    Parameters
    ----------
    shape, size
        Cells in y and x, and the lengths of the sides.
    log_conductivity, initial, source
        Fields over this rank's cells, or values that broadcast to them; copied.
    power
        Strength of the source as a function of time.
    sensors
        Observations of the temperature. Without observed values the cost is zero.
    comm
        A communicator of mpi4py or PETSc; None is one process.

    Raises
    ------
    ArgumentError
        A sensor is outside the plate, a size is not positive, or a field has the wrong shape.
    """

    distributed = ("log_conductivity", "initial")
    constant_jacobian = True

    def __init__(
        self,
        shape: tuple[int, int],
        size: tuple[float, float] = (1.0, 1.0),
        *,
        log_conductivity: ArrayLike = 0.0,
        initial: ArrayLike = 0.0,
        source: ArrayLike = 0.0,
        power: Callable[[float], float] = lambda _: 1.0,
        sensors: Sensors | None = None,
        comm: Any = None,
    ) -> None:
        if min(shape) < 1 or min(size) <= 0:
            raise ArgumentError(f"shape={shape} and size={size} must be positive")
        self.grid = CellGrid(shape, comm=comm)
        self.cell = (size[0] / shape[0], size[1] / shape[1])
        self.power = power
        self.sensors = Sensors((), ()) if sensors is None else sensors
        self.sensors.require_within(shape)
        self.observation_times = self.sensors.times
        self._mine, self._places = self.sensors.local(self.grid.own)
        couplings = [(0, offset, 0) for offset in (HERE, SOUTH, NORTH, WEST, EAST)]
        self._stencil = Stencil(self.grid, couplings)
        self.source = self.field("source", source)
        controls = {
            "log_conductivity": self.field("log_conductivity", log_conductivity),
            "initial": self.field("initial", initial),
        }
        grid = self.grid
        super().__init__(grid.vector(), controls, matrix=self._stencil.matrix(), dm=grid.dm)
        self.prepare(self.controls)

    def field(self, name: str, values: ArrayLike) -> Array:
        """Return values broadcast to this rank's cells, copied; `name` is for messages."""
        shape = self.grid.local_shape[:-1]
        try:
            return np.array(np.broadcast_to(np.asarray(values, dtype=float), shape))
        except ValueError:
            raise ArgumentError(
                f"{name} has shape {np.shape(values)}; this rank's cells are {shape}"
            ) from None

    def sense(self, u: Vec) -> Array:
        """Return the temperature at this rank's sensors; zero for those of other ranks."""
        readings = np.zeros(len(self.sensors.cells))
        readings[self._mine] = self.grid.read(u)[..., 0][self._places]
        return readings

    # -- the problem --------------------------------------------------------------------------

    def prepare(self, m: Controls) -> None:
        """Compute the conductances of faces, which the callbacks use until the next call."""
        kappa = self.grid.ghosted_field(np.exp(m["log_conductivity"]))
        own, high, wide = kappa[1:-1, 1:-1], self.cell[0], self.cell[1]
        self._conductances: list[Array] = []
        self._conductance_slopes: list[Array] = []
        for other, width in zip(_neighbours(kappa), (high, high, wide, wide), strict=True):
            within = other > 0
            share = np.where(within, other / (own + other), 1.0)
            self._conductances.append(2 * own * share / width**2)
            # The derivative with respect to the logarithm of this cell's conductivity.
            slope = np.where(within, share**2, 1.0)
            self._conductance_slopes.append(2 * own * slope / width**2)

    def initial_state(self, m: Controls, u: Vec) -> None:
        self.grid.own_array(u)[..., 0] = m["initial"]

    def initial_state_vjp(self, m: Controls, adjoint: Vec, gradient: Gradient) -> None:
        gradient["initial"][...] += self.grid.read(adjoint)[..., 0]

    def rhs(self, t: float, u: Vec, m: Controls, f: Vec) -> None:
        temperature = self.grid.ghosted(u)[..., 0]
        middle = temperature[1:-1, 1:-1]
        total = self.power(t) * self.source
        for conductance, neighbour in zip(
            self._conductances, _neighbours(temperature), strict=True
        ):
            total += conductance * (neighbour - middle)
        self.grid.own_array(f)[..., 0] = total

    def rhs_jacobian(self, t: float, u: Vec, m: Controls, jacobian: Mat, other: Mat) -> None:
        conductances = self._conductances
        self._stencil.fill(other, [-sum(conductances), *conductances])
        if jacobian != other:
            jacobian.assemble()

    def rhs_state_vjp(self, t: float, u: Vec, m: Controls, w: Vec, out: Vec) -> None:
        weights = self.grid.ghosted(w)[..., 0]
        middle = weights[1:-1, 1:-1]
        # The matrix is symmetric.
        parts = zip(self._conductances, _neighbours(weights), strict=True)
        self.grid.own_array(out)[..., 0] = sum(
            conductance * (neighbour - middle) for conductance, neighbour in parts
        )

    def rhs_control_vjp(self, t: float, u: Vec, m: Controls, w: Vec, gradient: Gradient) -> None:
        temperature, weights = self.grid.ghosted(u)[..., 0], self.grid.ghosted(w)[..., 0]
        own, own_weight = temperature[1:-1, 1:-1], weights[1:-1, 1:-1]
        total = gradient["log_conductivity"]
        for slope, neighbour, weight in zip(
            self._conductance_slopes,
            _neighbours(temperature),
            _neighbours(weights),
            strict=True,
        ):
            # A face between two cells enters the equations of both. A side enters one, and the
            # ghosts beyond it are zero.
            total += slope * (neighbour - own) * (own_weight - weight)

    def observation_cost(self, index: int, u: Vec, m: Controls) -> float:
        if self.sensors.observed is None:
            return 0.0
        return 0.5 * float(np.sum(self._misfit(index, u) ** 2))

    def observation_cost_vjp(
        self, index: int, u: Vec, m: Controls, adjoint: Vec, gradient: Gradient
    ) -> None:
        if self.sensors.observed is None:
            return
        misfit = self._misfit(index, u) / self.sensors.sigma
        np.add.at(self.grid.own_array(adjoint)[..., 0], self._places, misfit)

    def fingerprint(self) -> dict[str, Any]:
        sensors = self.sensors
        return {
            **super().fingerprint(),
            "grid": (self.grid.shape, self.cell),
            "sensors": (sensors.cells, sensors.times, sensors.sigma),
            "observed": None if sensors.observed is None else np.asarray(sensors.observed),
        }

    # -- inside -------------------------------------------------------------------------------

    def _misfit(self, index: int, u: Vec) -> Array:
        assert self.sensors.observed is not None
        readings = self.grid.read(u)[..., 0][self._places]
        return (readings - self.sensors.observed[index, self._mine]) / self.sensors.sigma


def _neighbours(cells: Array) -> tuple[Array, Array, Array, Array]:
    """Return the southern, northern, western and eastern neighbours, of cells with ghosts."""
    return cells[:-2, 1:-1], cells[2:, 1:-1], cells[1:-1, :-2], cells[1:-1, 2:]
