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


def figures(comm, stepper):
    """Return curvatures along a direction that is the same on any partition."""
    given = {}
    for name, holder in stepper._step.given.controls.items():
        if name in stepper.per_step:
            continue
        if hasattr(holder, "x"):
            kept = holder.x.array.copy()
            of = lambda x: np.broadcast_to(np.cos(x[0] + 2 * x[1]), shape(holder, x))  # noqa: B023, E731
            target = holder
            target.interpolate(of) if holder.function_space.num_sub_spaces in {0, 2} else None
            given[name] = owned(holder)[None].copy()
            holder.x.array[:] = kept
        else:
            given[name] = 0.1 + np.zeros((1, *holder.value.shape))
    with adjoint.Functional(
        stepper, NUM_STEPS, comm=comm, schedule=Revolve(NUM_STEPS, 2)
    ) as functional:
        found = functional.second_order(given)
    total = {"cost": found.cost}
    for name, product in found.products.items():
        figure = np.array([np.sum(product**2), np.sum(abs(product))])
        if name in stepper.distributed:
            comm.Allreduce(MPI.IN_PLACE, figure)
        total[name] = figure
    return total


def shape(holder, x):
    size = int(np.prod(holder.ufl_shape, dtype=int))
    return (size, x.shape[1]) if holder.ufl_shape else (x.shape[1],)


@pytest.mark.parametrize("name", ["heat", "p-Laplacian", "rows", "semi-implicit", "Navier-Stokes"])
def test_products(comm, name):
    found, expected = figures(comm, PROBLEMS[name](comm)), figures(MPI.COMM_SELF, PROBLEMS[name]())
    for figure, value in expected.items():
        scale = float(np.max(np.abs(value)))
        np.testing.assert_allclose(found[figure], value, rtol=1e-9, atol=1e-12 * scale)
