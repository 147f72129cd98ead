"""With implicit steps every schedule and evaluation gives the same bits."""

import pytest

pytest.importorskip("petsc4py")

from plates import NUM_STEPS, SIZE, plate
from reactions import reaction

import adjoint
from adjoint.schedules import Asynchronous, Mixed, Revolve, StoreAll
from adjoint.verification import dot_product_test, replay_test, taylor_test
from solvers.petsc import BDF2, CrankNicolson, RungeKutta, tableaux

RANKS = (2,)

STEPPERS = {
    "heat, Crank-Nicolson": lambda comm: CrankNicolson(plate(comm), SIZE),
    "heat, BDF2": lambda comm: BDF2(plate(comm), SIZE),
    "Gray-Scott, Crank-Nicolson": lambda comm: CrankNicolson(reaction(comm), SIZE),
    "Gray-Scott, ESDIRK": lambda comm: RungeKutta(reaction(comm), SIZE, tableaux.ESDIRK_3),
}
SCHEDULES = [
    Revolve(NUM_STEPS, 2),
    Revolve(NUM_STEPS, 2, leaf_steps=3),
    Asynchronous(NUM_STEPS, 2, 3),
    StoreAll(NUM_STEPS, leaf_steps=NUM_STEPS),
    Mixed(NUM_STEPS, 24, 12, leaf_steps=2),
    Mixed(NUM_STEPS, 6, 4),
]


@pytest.mark.parametrize("make", STEPPERS.values(), ids=STEPPERS)
def test_bitwise(comm, make, tmp_path):
    stepper = make(comm)
    kept = adjoint.gradient(stepper, NUM_STEPS, comm=comm, schedule=StoreAll(NUM_STEPS))
    for schedule in SCHEDULES:
        options = {"file": tmp_path / "run.h5"} if isinstance(schedule, Asynchronous) else {}
        wishes = {"comm": comm, "schedule": schedule, **options}
        with adjoint.Functional(stepper, NUM_STEPS, **wishes) as functional:
            for _ in range(2):
                cost, gradient = functional.value_and_gradient()
                assert cost == kept.cost
                for name, expected in kept.gradient.items():
                    assert gradient[name].tobytes() == expected.tobytes(), (schedule, name)


@pytest.mark.parametrize("make", STEPPERS.values(), ids=STEPPERS)
def test_verification(comm, make):
    stepper = make(comm)
    assert replay_test(stepper, NUM_STEPS, comm=comm).passed
    assert dot_product_test(stepper, 4, comm=comm).passed


def test_taylor(comm):
    stepper = CrankNicolson(plate(comm), SIZE)
    with adjoint.Functional(stepper, NUM_STEPS, comm=comm, memory="40 kB") as functional:
        assert taylor_test(functional).passed
