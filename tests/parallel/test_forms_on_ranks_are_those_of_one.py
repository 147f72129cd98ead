"""Steps from UFL on ranks have the cost and gradient of one process."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from form_problems import NUM_STEPS, PROBLEMS
from mpi4py import MPI

import adjoint
from adjoint.schedules import StoreAll

RANKS = (2, 3)


def figures(comm, stepper):
    """Return the cost, and of each gradient its norm and its sum, whatever the partition."""
    result = adjoint.gradient(stepper, NUM_STEPS, comm=comm, schedule=StoreAll(NUM_STEPS))
    found = {"cost": result.cost}
    for name, gradient in result.gradient.items():
        figure = np.array([np.sum(gradient**2), np.sum(gradient), np.sum(abs(gradient))])
        if name in stepper.distributed:
            comm.Allreduce(MPI.IN_PLACE, figure)
        found[name] = figure / max(1e-300, figure[-1])
        found[f"{name}, its size"] = figure[-1]
    return found


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradient(comm, name):
    found, expected = figures(comm, PROBLEMS[name](comm)), figures(MPI.COMM_SELF, PROBLEMS[name]())
    for figure, value in expected.items():
        np.testing.assert_allclose(found[figure], value, rtol=1e-11, atol=1e-12, err_msg=figure)
