"""Products of shallow water on ranks are those of one; ghost cells are complex there as well."""

import numpy as np
import pytest
from basins import NUM_STEPS, basin, whole_fields
from mpi4py import MPI

import adjoint
from adjoint.schedules import Revolve, StoreAll

RANKS = (1, 2, 3)


@pytest.mark.parametrize("gauss_newton", [False, True])
def test_products(comm, gauss_newton):
    rng = np.random.default_rng(0)
    whole = {k: 0.1 * rng.standard_normal((2, *f.shape)) for k, f in whole_fields().items()}
    whole["bathymetry"] *= 50
    stepper = basin(comm)
    own = {k: np.stack([stepper.grid.scatter(d) for d in each]) for k, each in whole.items()}
    with adjoint.Functional(
        stepper, NUM_STEPS, comm=comm, schedule=Revolve(NUM_STEPS, 2)
    ) as functional:
        found = functional.second_order(own, gauss_newton=gauss_newton)
    with adjoint.Functional(
        basin(MPI.COMM_SELF), NUM_STEPS, comm=MPI.COMM_SELF, schedule=StoreAll(NUM_STEPS)
    ) as functional:
        expected = functional.second_order(whole, gauss_newton=gauss_newton)
    for name, product in expected.products.items():
        for index in range(2):
            mine = stepper.grid.scatter(product[index])
            scale = np.abs(product[index]).max()
            np.testing.assert_allclose(
                found.products[name][index], mine, rtol=0, atol=1e-12 * scale
            )
