"""The same gradient on any number of ranks: parts put together, and compared with one process."""

import numpy as np
from mpi4py import MPI
from numpy.testing import assert_allclose

import adjoint


def whole_gradient(comm, stepper, num_steps: int, **options) -> tuple[float, dict]:
    """Return cost and gradient, fields of all ranks put together."""
    result = adjoint.gradient(stepper, num_steps, comm=comm, **options)
    problem = stepper.problem
    gradient = dict(result.gradient)
    for name in stepper.distributed:
        whole = np.zeros((*problem.grid.shape, *gradient[name].shape[len(problem.grid.shape) :]))
        for own, part in comm.allgather((problem.grid.own, gradient[name])):
            whole[own] = part
        gradient[name] = whole
    return result.cost, gradient


def assert_as_on_one(comm, make_problem, make_stepper, num_steps: int, rtol: float) -> None:
    """Compare a stepper on all ranks with one on this rank alone."""
    cost, gradient = whole_gradient(comm, make_stepper(make_problem(comm)), num_steps)
    alone = adjoint.gradient(make_stepper(make_problem()), num_steps, comm=MPI.COMM_SELF)
    assert_allclose(cost, alone.cost, rtol=rtol)
    for name, expected in alone.gradient.items():
        scale = np.abs(expected).max()
        assert_allclose(gradient[name], expected, rtol=rtol, atol=rtol * scale, err_msg=name)
