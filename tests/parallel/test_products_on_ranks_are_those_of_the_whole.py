"""On ranks, Hessian products are those of one process; what is refused is refused on all."""

import numpy as np
import pytest
from mpi4py import MPI
from pendulums import Pendulums, SharedPendulums

import adjoint
from adjoint.errors import ArgumentError, StepperError
from adjoint.schedules import Spilling, StoreAll
from adjoint.schedules.costs import Costs

NUM_STEPS, COUNT = 22, 3

SPILLING = Spilling(NUM_STEPS, 3, 4.0, costs=Costs(advance=1.0, pull_back=2.0, write=2.0, read=2.0))


def towards(comm):
    """Return directions of the whole row, and of this rank's part."""
    rng = np.random.default_rng(4)
    shared = {
        "stiffness": rng.standard_normal((COUNT, 2)),
        "force": rng.standard_normal((COUNT, NUM_STEPS)),
    }
    angles = rng.standard_normal((COUNT, comm.size, 2))
    together = {
        "stiffness": np.tile(shared["stiffness"], (1, comm.size)),
        "angle": angles.reshape(COUNT, -1),
        "force": shared["force"],
    }
    return together, {**shared, "angle": angles[:, comm.rank]}


@pytest.mark.parametrize("gauss_newton", [False, True])
def test_against_one_process(comm, gauss_newton, tmp_path):
    together, own = towards(comm)
    stepper = SharedPendulums(2, NUM_STEPS, comm)
    file = comm.bcast(str(tmp_path / "run.h5"))
    with adjoint.Functional(
        stepper, NUM_STEPS, comm=comm, schedule=SPILLING, file=file
    ) as functional:
        found = functional.second_order(own, gauss_newton=gauss_newton, block=2)
        assert found.report.bytes_written or comm.size > 1
    alone = Pendulums(2 * comm.size, NUM_STEPS)
    angles = SharedPendulums.all_angles(2, comm.size, 0).ravel()
    stiffness = np.tile(stepper.controls["stiffness"], comm.size)
    controls = {"stiffness": stiffness, "angle": angles, "force": stepper.controls["force"]}
    with adjoint.Functional(
        alone, NUM_STEPS, comm=MPI.COMM_SELF, schedule=StoreAll(NUM_STEPS)
    ) as functional:
        expected = functional.second_order(together, controls, gauss_newton=gauss_newton)
    folded = {
        "stiffness": expected.products["stiffness"].reshape(COUNT, comm.size, 2).sum(axis=1),
        "force": expected.products["force"],
        "angle": expected.products["angle"].reshape(COUNT, comm.size, 2)[:, comm.rank],
    }
    for name, product in folded.items():
        scale = np.abs(expected.products[name]).max()
        np.testing.assert_allclose(found.products[name], product, rtol=0, atol=3e-14 * scale)


def test_schedules_and_blocks_have_the_same_bits(comm, tmp_path):
    _, own = towards(comm)
    file, found = comm.bcast(str(tmp_path / "run.h5")), []
    for options in ({"schedule": SPILLING, "file": file}, {"schedule": StoreAll(NUM_STEPS)}):
        for block in (1, 2, COUNT):
            stepper = SharedPendulums(2, NUM_STEPS, comm)
            with adjoint.Functional(stepper, NUM_STEPS, comm=comm, **options) as functional:
                products = functional.second_order(own, block=block).products
            found.append({name: product.tobytes() for name, product in products.items()})
    assert all(bits == found[0] for bits in found)


def test_directions_of_one_rank_alone(comm):
    stepper = SharedPendulums(2, NUM_STEPS, comm)
    last = comm.rank == comm.size - 1
    with adjoint.Functional(stepper, NUM_STEPS, comm=comm) as functional:
        with pytest.raises(ArgumentError, match="must have that of the control"):
            functional.hessian_product({"force": np.ones(NUM_STEPS + last)})
        if comm.size > 1:
            with pytest.raises(ArgumentError, match="direction 'force' has other values on rank 0"):
                functional.hessian_product({"force": np.full(NUM_STEPS, 1.0 + last)})
            with pytest.raises(ArgumentError, match="different arguments: directions=1 on rank 0"):
                functional.second_order({"force": np.ones((1 + last, NUM_STEPS))})
        functional.hessian_product({"force": np.ones(NUM_STEPS)})


class NotSymmetric(SharedPendulums):
    def step_cost_vjp(self, step, state, adjoint, gradient):
        super().step_cost_vjp(step, state, adjoint, gradient)
        gradient["stiffness"] += state["u"]


def test_wrong_derivatives(comm):
    stepper = NotSymmetric(2, NUM_STEPS, comm)
    functional = adjoint.Functional(stepper, NUM_STEPS, comm=comm)
    with functional, pytest.raises(StepperError, match=r"step_cost_vjp.. of step 21 are not"):
        functional.hessian_product({"force": np.ones(NUM_STEPS)})


class Decay(adjoint.FunctionStepper):
    """A number that decays at a rate that is a scalar."""

    def __init__(self):
        super().__init__({"u": np.ones(1)}, {"rate": np.array(0.3)})

    def step(self, step, state, out):
        out["u"][:] = state["u"] * (1 - self.controls["rate"])

    def step_vjp(self, step, state, adjoint, gradient):
        gradient["rate"] -= state["u"][0] * adjoint["u"][0]
        adjoint["u"] *= 1 - self.controls["rate"]

    def terminal_cost(self, state):
        return state["u"][0] ** 2

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += 2 * state["u"]


def test_products_by_a_scalar_are_summed(comm):
    with adjoint.Functional(Decay(), 4, comm=comm) as functional:
        found = functional.second_order({"rate": [1.0, 2.0]})
    expected = 8 * 7 * 0.7**6 * comm.size  # of (1 - rate)^8
    np.testing.assert_allclose(found.products["rate"], [expected, 2 * expected], rtol=1e-13)
