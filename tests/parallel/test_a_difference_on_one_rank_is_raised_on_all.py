"""Steps that differ on one rank alone when they are taken again: all ranks raise the same error."""

import pytest
from unrepeatable import Drawing, DrawingCost, OnceOdd

import adjoint
from adjoint.errors import ReplayError
from adjoint.schedules import Revolve, Spilling, StoreAll
from adjoint.schedules.costs import Costs

RANKS = (2, 3)

NUM_STEPS = 40

COSTS = Costs(advance=1.0, unreached=1.0, pull_back=1.0, write=0.5, read=0.5)

SCHEDULES = [
    StoreAll(NUM_STEPS),
    Revolve(NUM_STEPS, 3),
    Revolve(NUM_STEPS, 2, leaf_steps=4),
    Spilling(NUM_STEPS, 3, 4, costs=COSTS),
]


def counting(kind):
    """Return a stepper class that counts the leaves that it has pulled back."""

    class Counting(kind):
        leaves = 0

        def pull_back(self, start, stop):
            self.leaves += 1
            super().pull_back(start, stop)

    return Counting


@pytest.mark.parametrize("kind", [Drawing, DrawingCost])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_where_the_second_leaf_differs(schedule, kind, comm, tmp_path):
    odd = comm.size - 1
    first = 7 if comm.rank == odd else NUM_STEPS
    stepper = counting(kind)(2, NUM_STEPS, first=first)
    file = tmp_path / "run.h5" if schedule.file_states else None
    with adjoint.Functional(
        stepper, NUM_STEPS, comm=comm, schedule=schedule, file=file
    ) as functional:
        with pytest.raises(ReplayError, match=f"on rank {odd} ") as raised:
            functional.value_and_gradient()
        texts = comm.allgather(str(raised.value).removeprefix(f"rank {odd}: "))
        assert len(set(texts)) == 1
        assert stepper.leaves == 1, "it is raised before the second leaf is pulled back"
        stepper.first = NUM_STEPS
        cost, _ = functional.value_and_gradient()
    assert len(set(comm.allgather(cost))) == 1


@pytest.mark.parametrize("schedule", SCHEDULES[1:], ids=repr)
def test_where_a_later_leaf_differs(schedule, comm, tmp_path):
    stepper = OnceOdd(2, NUM_STEPS, 2 if comm.rank == 0 else NUM_STEPS)
    file = tmp_path / "run.h5" if schedule.file_states else None
    with pytest.raises(ReplayError, match="on rank 0 "):
        adjoint.gradient(stepper, NUM_STEPS, comm=comm, schedule=schedule, file=file)


def test_ranks_must_agree_on_whether_they_compare(comm):
    stepper = Drawing(2, NUM_STEPS, first=NUM_STEPS)
    stepper.reproducible = comm.rank == 0
    with pytest.raises(adjoint.ArgumentError, match="reproducible"):
        adjoint.gradient(stepper, NUM_STEPS, comm=comm, schedule=SCHEDULES[0])
