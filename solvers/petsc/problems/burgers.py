"""Control of the viscous Burgers equation by forces along the line.

::

    u_t + (u^2 / 2)_x = nu u_xx + sum_j q_j(t) b_j(x)       0 < x < length, u = 0 at both ends

by centred differences on the inner nodes; ``b_j`` are evenly spaced hat functions. The cost is the
distance from a target state, plus the price of the forces (Hinze and Kunisch 2001,
doi:10.1023/A:1011417305739)::

    integral of 1/2 integral (u - target)^2 dx + price/2 sum_j q_j^2 dt

The forces are a control with one row per step: constant within a step.
"""

# ruff: noqa: ARG002 (callbacks have the signatures that integrators call)

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError
from solvers.petsc.grid import CellGrid, Stencil
from solvers.petsc.problem import Controls, Gradient, Mat, RhsProblem, Vec

__all__ = ["Burgers"]

Array = NDArray[Any]


class Burgers(RhsProblem):
    """The controlled Burgers equation, as a problem for an integrator. Construction is collective.

    The controls are ``initial``, this rank's nodes of the initial state, ``viscosity``, a number,
    and ``forces``, with one row per step and one column per force. The last two are the same on all
    ranks.

    Parameters
    ----------
    num_nodes
        Number of inner nodes.
    num_steps, num_forces
        Shape of ``forces``.
    length
        Length of the line.
    viscosity, initial
        Initial values of controls; `initial` is this rank's nodes, or broadcasts to them; copied.
    target
        The target state in this rank's nodes, or a value that broadcasts to them; copied.
    price
        Weight of the forces in the cost.
    comm
        A communicator of mpi4py or PETSc; None is one process.

    Raises
    ------
    ArgumentError
        A number is not positive, or a field has the wrong shape.
    """

    distributed = ("initial",)
    per_step = ("forces",)

    def __init__(
        self,
        num_nodes: int,
        num_steps: int,
        num_forces: int = 1,
        *,
        length: float = 1.0,
        viscosity: float = 0.01,
        initial: ArrayLike = 0.0,
        target: ArrayLike = 0.0,
        price: float = 1e-3,
        comm: Any = None,
    ) -> None:
        if min(num_nodes, num_steps, num_forces) < 1 or min(length, viscosity) <= 0 or price < 0:
            raise ArgumentError(
                f"num_nodes={num_nodes}, num_steps={num_steps}, num_forces={num_forces}, "
                f"length={length}, viscosity={viscosity} must be positive, and price={price} must "
                "not be negative"
            )
        self.grid = CellGrid((num_nodes,), comm=comm)
        self.width = length / (num_nodes + 1)
        self.price = price
        own = self.grid.own[0]
        self.nodes = self.width * np.arange(own.start + 1, own.stop + 1)
        """Coordinates of this rank's nodes."""
        spacing = length / (num_forces + 1)
        places = spacing * np.arange(1, num_forces + 1)
        self._hats = np.clip(1 - np.abs(self.nodes[:, None] - places) / spacing, 0, None)
        self.target = self._field("target", target)
        controls = {
            "initial": self._field("initial", initial),
            "viscosity": np.array(viscosity, dtype=float),
            "forces": np.zeros((num_steps, num_forces)),
        }
        stencil = Stencil(self.grid, [(0, (offset,), 0) for offset in (0, -1, 1)])
        self._stencil = stencil
        super().__init__(self.grid.vector(), controls, matrix=stencil.matrix(), dm=self.grid.dm)

    def initial_state(self, m: Controls, u: Vec) -> None:
        self.grid.own_array(u)[:, 0] = m["initial"]

    def initial_state_vjp(self, m: Controls, adjoint: Vec, gradient: Gradient) -> None:
        gradient["initial"][...] += self.grid.read(adjoint)[:, 0]

    def rhs(self, t: float, u: Vec, m: Controls, f: Vec) -> None:
        v = self.grid.ghosted(u)[:, 0]
        advected = (v[2:] ** 2 - v[:-2] ** 2) / (4 * self.width)
        diffused = m["viscosity"] * self._second_difference(v)
        self.grid.own_array(f)[:, 0] = diffused - advected + self._hats @ m["forces"]

    def rhs_jacobian(self, t: float, u: Vec, m: Controls, jacobian: Mat, other: Mat) -> None:
        v = self.grid.ghosted(u)[:, 0]
        diffused = float(m["viscosity"]) / self.width**2
        left, right = v[:-2] / (2 * self.width), v[2:] / (2 * self.width)
        self._stencil.fill(other, [-2 * diffused, diffused + left, diffused - right])
        if jacobian != other:
            jacobian.assemble()

    def rhs_state_vjp(self, t: float, u: Vec, m: Controls, w: Vec, out: Vec) -> None:
        v, weights = self.grid.read(u)[:, 0], self.grid.ghosted(w)[:, 0]
        advected = v * (weights[2:] - weights[:-2]) / (2 * self.width)
        diffused = m["viscosity"] * self._second_difference(weights)
        self.grid.own_array(out)[:, 0] = diffused + advected

    def rhs_control_vjp(self, t: float, u: Vec, m: Controls, w: Vec, gradient: Gradient) -> None:
        v, weights = self.grid.ghosted(u)[:, 0], self.grid.read(w)[:, 0]
        gradient["viscosity"][...] += weights @ self._second_difference(v)
        gradient["forces"][...] += self._hats.T @ weights

    def running_cost(self, t: float, u: Vec, m: Controls) -> float:
        miss = self.grid.read(u)[:, 0] - self.target
        paid = self._share() * self.price * float(m["forces"] @ m["forces"])
        return 0.5 * (self.width * float(miss @ miss) + paid)

    def running_cost_vjp(
        self, t: float, u: Vec, m: Controls, weight: float, adjoint: Vec, gradient: Gradient
    ) -> None:
        miss = self.grid.read(u)[:, 0] - self.target
        self.grid.own_array(adjoint)[:, 0] += weight * self.width * miss
        gradient["forces"][...] += weight * self._share() * self.price * m["forces"]

    def fingerprint(self) -> dict[str, Any]:
        return {**super().fingerprint(), "grid": (self.grid.shape, self.width, self.price)}

    def _second_difference(self, v: Array) -> Array:
        return (v[2:] - 2 * v[1:-1] + v[:-2]) / self.width**2

    def _share(self) -> float:
        """Return this rank's share of the price of the forces, which are the same on all ranks."""
        return len(self.nodes) / self.grid.shape[0]

    def _field(self, name: str, values: ArrayLike) -> Array:
        shape = self.nodes.shape
        try:
            return np.array(np.broadcast_to(np.asarray(values, dtype=float), shape))
        except ValueError:
            raise ArgumentError(
                f"{name} has shape {np.shape(values)}; this rank's nodes are {shape}"
            ) from None
