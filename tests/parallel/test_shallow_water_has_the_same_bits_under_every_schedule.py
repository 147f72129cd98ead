"""With shallow water every schedule, engine and evaluation gives the same bits."""

import pytest
from basins import NUM_STEPS, basin

import adjoint
from adjoint.schedules import (
    Asynchronous,
    DiskRevolve,
    Mixed,
    Multistage,
    Online,
    Revolve,
    Spilling,
    StoreAll,
)
from adjoint.schedules.costs import Costs
from adjoint.verification import bitwise_test, dot_product_test, replay_test, taylor_test

SLOW = Costs(advance=1, unreached=1, pull_back=1, write=3, read=3)

SCHEDULES = [
    Revolve(NUM_STEPS, 1),
    Revolve(NUM_STEPS, 3),
    Revolve(NUM_STEPS, 2, leaf_steps=2),
    Asynchronous(NUM_STEPS, 2, 3),
    Asynchronous(NUM_STEPS, 4, 4, leaf_steps=2),
    Multistage(NUM_STEPS, 1, 2),
    DiskRevolve(NUM_STEPS, 1, write=0.5, read=0.5),
    Mixed(NUM_STEPS, 4, 2),
    Online(2),
    Spilling(NUM_STEPS, 2, 2.5, costs=SLOW),
    Spilling(NUM_STEPS, 4, 2, costs=SLOW, tape_slots=2, leaf_steps=2),
    Spilling(None, 2, 2, costs=SLOW, max_file_states=3),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("engine", ["mpi", "thread"])
def test_bitwise_twice_and_after_the_controls_change(comm, schedule, engine, tmp_path):
    found = []
    path = tmp_path / "run.h5"
    for options in (
        {"schedule": schedule, "file": path, "engine": engine},
        {"schedule": StoreAll(NUM_STEPS)},
    ):
        stepper = basin(comm)
        with adjoint.Functional(stepper, NUM_STEPS, comm=comm, **options) as functional:
            evaluations = [functional.value_and_gradient() for _ in range(2)]
            deeper = {"bathymetry": 1.01 * stepper.controls["bathymetry"]}
            found.append([*evaluations, functional.value_and_gradient(deeper)])
    for (cost_a, gradient_a), (cost_b, gradient_b) in zip(*found, strict=True):
        assert cost_a == cost_b
        for name in gradient_b:
            assert gradient_a[name].tobytes() == gradient_b[name].tobytes(), name
    assert found[0][0][0] != found[0][2][0]


def test_verification_on_the_planned_schedule(comm, tmp_path):
    stepper = basin(comm)
    options = {"comm": comm, "memory": "40 kB", "file": tmp_path / "run.h5"}
    with adjoint.Functional(stepper, NUM_STEPS, **options) as functional:
        assert bitwise_test(functional).passed
        assert taylor_test(functional).passed


def test_replay(comm):
    assert replay_test(basin(comm), NUM_STEPS, comm=comm).passed


def test_dot_product(comm):
    assert dot_product_test(basin(comm), NUM_STEPS, comm=comm).passed
