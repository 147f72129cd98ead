"""Second-order products of steps in UFL on ranks are those of one process."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from form_problems import NUM_STEPS, PROBLEMS
from mpi4py import MPI

import adjoint
from adjoint.schedules import Revolve
from solvers.fenicsx.dofs import owned

RANKS = (2,)


def direction(holder):
    """Return a direction that is the same field on any partition."""
    if not hasattr(holder, "x"):
        return np.full(holder.value.shape, 0.1)
    kept, shape = holder.x.array.copy(), holder.ufl_shape
    holder.interpolate(lambda x: np.broadcast_to(np.cos(x[0] + 2 * x[1]), (*shape, x.shape[1])))
    found = owned(holder).copy()
    holder.x.array[:] = kept
    return found


def figures(comm, stepper):
    """Return the cost, and of each product the sums of squares and of absolute values."""
    holders = stepper._step.given.controls
    given = {n: direction(x)[None] for n, x in holders.items() if n not in stepper.per_step}
    schedule = Revolve(NUM_STEPS, 2)
    with adjoint.Functional(stepper, NUM_STEPS, comm=comm, schedule=schedule) as functional:
        found = functional.second_order(given)
    total = {"cost": found.cost}
    for name, product in found.products.items():
        total[name] = np.array([np.sum(product**2), np.sum(abs(product))])
        if name in stepper.distributed:
            comm.Allreduce(MPI.IN_PLACE, total[name])
    return total


@pytest.mark.parametrize("name", ["heat", "p-Laplacian", "rows", "semi-implicit", "Navier-Stokes"])
def test_products(comm, name):
    found, expected = figures(comm, PROBLEMS[name](comm)), figures(MPI.COMM_SELF, PROBLEMS[name]())
    for figure, value in expected.items():
        np.testing.assert_allclose(found[figure], value, rtol=1e-9, err_msg=figure)
