"""The second derivative of an inversion as a PETSc matrix."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adjoint.inverse.petsc import PETSc

if TYPE_CHECKING:
    from adjoint.inverse.inversion import Inversion

__all__ = ["hessian_mat"]

Array = NDArray[np.float64]


class _Hessian:
    """The context of the matrix."""

    def __init__(self, inversion: "Inversion", x: Array, gauss_newton: bool) -> None:
        self.move(x)
        self._inversion = inversion
        self._gauss_newton = gauss_newton

    def move(self, x: Array) -> None:
        """Go to another point."""
        self.x, self._shift = x, 0.0

    def shift(self, matrix: Any, amount: float) -> None:
        """Add a multiple of the identity, until the next point: TAO does where it is indefinite."""
        del matrix
        self._shift += amount

    def mult(self, matrix: Any, source: Any, target: Any) -> None:
        """Write the product with a vector. Collective."""
        del matrix
        own = np.array(source.getArray(readonly=True), np.float64)
        whole = np.concatenate(self._inversion.comm.gather(own))
        product = self._inversion.hessian_product(self.x, whole, gauss_newton=self._gauss_newton)
        start, stop = target.getOwnershipRange()
        target.setArray(product[start:stop] + self._shift * own)

    multTranspose = mult  # noqa: N815  (PETSc's name; the matrix is symmetric)


def hessian_mat(inversion: "Inversion", x: Array, gauss_newton: bool, like: Any) -> Any:
    """Return the matrix; see `Inversion.hessian_mat`. Collective."""
    comm = PETSc.COMM_SELF if inversion.comm.mpi is None else inversion.comm.mpi
    vector = PETSc.Vec().createMPI(inversion.size, comm=comm) if like is None else like
    size = vector.getSizes()
    context = _Hessian(inversion, x, gauss_newton)
    matrix = PETSc.Mat().createPython((size, size), context, comm=comm)
    matrix.setOption(PETSc.Mat.Option.SYMMETRIC, True)
    matrix.setUp()
    return matrix
