"""On any number of ranks the gradient agrees with the complex step, with the same bits on all."""

import numpy as np
import pytest
from pendulums import SharedPendulums, complex_step_gradient, cost

import adjoint
from adjoint.schedules import Asynchronous, Revolve, StoreAll
from adjoint.verification import bitwise_test, dot_product_test, replay_test, taylor_test

NUM_STEPS = 22


def whole(stepper, comm):
    """Return the controls of all ranks together, as one row of pendulums."""
    return {
        "stiffness": np.tile(stepper.controls["stiffness"], comm.size),
        "angle": SharedPendulums.all_angles(2, comm.size, 0).ravel(),
        "force": stepper.controls["force"],
    }


@pytest.mark.parametrize("engine", ["mpi", "thread"])
def test_against_the_complex_step(comm, engine, tmp_path):
    stepper = SharedPendulums(2, NUM_STEPS, comm)
    path = comm.bcast(str(tmp_path / "run.h5"))
    schedule = Asynchronous(NUM_STEPS, 3, 4)
    result = adjoint.gradient(
        stepper, NUM_STEPS, comm=comm, schedule=schedule, file=path, engine=engine
    )
    oracle = complex_step_gradient(whole(stepper, comm))
    assert result.cost == pytest.approx(cost(whole(stepper, comm)).real, rel=1e-13)
    stiffness = oracle["stiffness"].reshape(comm.size, 2).sum(axis=0)
    np.testing.assert_allclose(result.gradient["stiffness"], stiffness, rtol=1e-11)
    np.testing.assert_allclose(result.gradient["force"], oracle["force"], rtol=1e-11)
    own = oracle["angle"].reshape(comm.size, 2)[comm.rank]
    np.testing.assert_allclose(result.gradient["angle"], own, rtol=1e-11)
    assert result.report.bytes_written > 0


@pytest.mark.parametrize("engine", ["mpi", "thread"])
@pytest.mark.parametrize(
    "schedule",
    [
        Revolve(NUM_STEPS, 2),
        Asynchronous(NUM_STEPS, 2, 3),
        Asynchronous(NUM_STEPS, 5, 4, leaf_steps=2),
    ],
    ids=repr,
)
def test_bitwise_and_again_after_the_controls_change(comm, schedule, engine, tmp_path):
    path = comm.bcast(str(tmp_path / "run.h5"))
    found = []
    for options in (
        {"schedule": schedule, "file": path, "engine": engine},
        {"schedule": StoreAll(NUM_STEPS)},
    ):
        stepper = SharedPendulums(2, NUM_STEPS, comm)
        with adjoint.Functional(stepper, NUM_STEPS, comm=comm, **options) as functional:
            found.append([functional.value_and_gradient() for _ in range(2)])
            changed = {"stiffness": stepper.controls["stiffness"] + 0.5}
            found[-1].append(functional.value_and_gradient(changed))
    for (cost_a, gradient_a), (cost_b, gradient_b) in zip(*found, strict=True):
        assert cost_a == cost_b
        for name in gradient_a:
            assert gradient_a[name].tobytes() == gradient_b[name].tobytes(), name


def test_replicated_gradients_have_the_same_bits_on_every_rank(comm):
    result = adjoint.gradient(SharedPendulums(2, NUM_STEPS, comm), NUM_STEPS, comm=comm)
    bits = comm.allgather(result.gradient["stiffness"].tobytes())
    assert len(set(bits)) == 1


def test_verification(comm):
    stepper = SharedPendulums(2, NUM_STEPS, comm)
    with adjoint.Functional(
        stepper, NUM_STEPS, comm=comm, schedule=Revolve(NUM_STEPS, 3)
    ) as functional:
        assert taylor_test(functional).passed
        assert bitwise_test(functional).passed
    assert dot_product_test(stepper, 10, comm=comm).passed
    assert replay_test(stepper, NUM_STEPS, comm=comm).passed


def test_planned_with_a_file(comm, tmp_path):
    stepper = SharedPendulums(3000, 120, comm)
    path = comm.bcast(str(tmp_path / "run.h5"))
    with adjoint.Functional(stepper, 120, comm=comm, memory="500 kB", file=path) as functional:
        assert bitwise_test(functional).passed
        assert functional.report.memory_bytes <= 500_000
