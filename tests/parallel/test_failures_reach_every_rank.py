"""Bad input on some ranks is a clear error on all of them, never a hang."""

import numpy as np
import pytest
from pendulums import SharedPendulums

import adjoint
from adjoint.errors import ArgumentError, NonFiniteError, SnapshotFileError, StepperError
from adjoint.schedules import Asynchronous, Revolve

RANKS = (2, 3)
NUM_STEPS = 12


def test_ranks_with_different_numbers_of_steps(comm):
    with pytest.raises(ArgumentError, match="num_steps"):
        adjoint.gradient(SharedPendulums(2, 20, comm), NUM_STEPS + comm.rank, comm=comm)


def test_ranks_with_different_memory(comm):
    with pytest.raises(ArgumentError, match="memory"):
        adjoint.gradient(
            SharedPendulums(2, NUM_STEPS, comm), NUM_STEPS, comm=comm, memory=10**7 + comm.rank
        )


def test_ranks_with_different_schedules(comm):
    schedule = Revolve(NUM_STEPS, 2 + comm.rank)
    with pytest.raises(ArgumentError, match="schedule"):
        adjoint.gradient(
            SharedPendulums(2, NUM_STEPS, comm), NUM_STEPS, comm=comm, schedule=schedule
        )


def test_a_stepper_that_is_wrong_on_one_rank(comm):
    stepper = SharedPendulums(2, NUM_STEPS, comm)
    if comm.rank == 1:
        stepper.accumulators["stiffness"] = np.zeros(5)
    with pytest.raises(StepperError, match="stiffness"):
        adjoint.gradient(stepper, NUM_STEPS, comm=comm)


class Uneven(SharedPendulums):
    distributed = ("angle", "stiffness")


def test_a_budget_too_small_on_the_largest_rank(comm):
    stepper = Uneven(2 if comm.rank else 5000, NUM_STEPS, comm)
    stepper.controls["force"][:] = 0
    with pytest.raises(ArgumentError, match="too little"):
        adjoint.gradient(stepper, NUM_STEPS, comm=comm, memory=60_000)


def test_controls_of_the_wrong_shape_on_one_rank(comm):
    stepper = SharedPendulums(2, NUM_STEPS, comm)
    functional = adjoint.Functional(stepper, NUM_STEPS, comm=comm)
    with functional, pytest.raises(ArgumentError, match="angle"):
        functional.value({"angle": np.zeros(2 + comm.rank)})


class DivergingOnOneRank(SharedPendulums):
    def step(self, step, state, out):
        super().step(step, state, out)
        if self._comm.rank == 1 and step == 5:
            out["v"][0] = np.inf


def test_a_cost_that_is_not_finite_on_one_rank(comm):
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(NonFiniteError, match=r"^step 5 is the first "),
    ):
        stepper = DivergingOnOneRank(2, NUM_STEPS, comm)
        adjoint.gradient(stepper, NUM_STEPS, comm=comm, schedule=Revolve(NUM_STEPS, 3))


def test_a_file_that_is_not_ours(comm, tmp_path):
    path = comm.bcast(str(tmp_path / "notes.txt"))
    if comm.rank == 0:
        with open(path, "w") as file:
            file.write("not ours")
    comm.barrier()
    schedule = Asynchronous(NUM_STEPS, 3, 3)
    with pytest.raises(SnapshotFileError, match=r"notes\.txt"):
        adjoint.gradient(
            SharedPendulums(2, NUM_STEPS, comm), NUM_STEPS, comm=comm, schedule=schedule, file=path
        )
    comm.barrier()
    with open(path) as file:
        assert file.read() == "not ours"
