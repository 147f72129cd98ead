"""On the same ranks every schedule gives the same bits, with iterative solvers too."""

import pytest

pytest.importorskip("petsc4py")
from petsc_reaction import reaction

import adjoint
from adjoint.schedules import Mixed, Multistage, Revolve, StoreAll
from adjoint.verification import replay_test

RANKS = (2,)

NUM_STEPS = 5
METHODS = ["rk 3bs", "cn", "beuler", "theta"]
TAPE_SLOTS = 7  # of 2 steps of 3bs: their stages, and the state after them
SCHEDULES = [
    Revolve(NUM_STEPS, 2, leaf_steps=2),
    Multistage(NUM_STEPS, 1, 2),
    StoreAll(NUM_STEPS, leaf_steps=NUM_STEPS),
    Mixed(NUM_STEPS, 2 * TAPE_SLOTS, TAPE_SLOTS, leaf_steps=2),
]


@pytest.mark.parametrize("method", METHODS)
def test_bits(comm, method, tmp_path):
    stepper = reaction(method, comm, quadrature=True)
    assert stepper.reproducible
    expected = adjoint.gradient(stepper, NUM_STEPS, comm=comm, schedule=StoreAll(NUM_STEPS))
    for schedule in SCHEDULES:
        file = {"file": tmp_path / f"{method}.h5"} if isinstance(schedule, Multistage) else {}
        found = adjoint.gradient(stepper, NUM_STEPS, comm=comm, schedule=schedule, **file)
        assert found.cost == expected.cost
        for name, array in expected.gradient.items():
            assert found.gradient[name].tobytes() == array.tobytes(), (schedule, name)


def test_replay(comm):
    assert replay_test(reaction("rk 3bs", comm), NUM_STEPS, comm=comm).passed


def test_adapted_steps_are_the_same_on_all_ranks(comm):
    options = {"ts_adapt_type": "basic", "ts_rtol": 1e-5, "ts_atol": 1e-5, "ts_max_time": 5.0}
    stepper = reaction("rk 3bs", comm, **options)
    stepper.start()
    stepper.advance(0, 10**6, cost=0.0)
    num_steps, rows = stepper.position, stepper.accepted_steps
    assert stepper.finished
    assert num_steps > 3
    assert all(other == rows.tobytes() for other in comm.allgather(rows.tobytes()))
    stepper.accept_steps(rows)
    results = [
        adjoint.gradient(stepper, num_steps, comm=comm, schedule=schedule)
        for schedule in (StoreAll(num_steps), Revolve(num_steps, 2))
    ]
    for name, array in results[0].gradient.items():
        assert results[1].gradient[name].tobytes() == array.tobytes()


def test_a_solver_with_a_nonzero_initial_guess_is_not_called_reproducible(comm):
    assert not reaction("cn", comm, ksp_initial_guess_nonzero=True).reproducible
