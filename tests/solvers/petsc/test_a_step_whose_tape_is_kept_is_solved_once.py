"""Where all tapes are kept a gradient solves each step once, and its transpose: PETSc counts."""

from itertools import count

import pytest

pytest.importorskip("petsc4py")

from petsc4py import PETSc
from petsc_oscillator import Oscillator
from reactions import reaction

import adjoint
from adjoint.schedules import Mixed, Revolve, StoreAll
from solvers.petsc import BDF2, BackwardEuler, CrankNicolson, RungeKutta, Theta, tableaux

NUM_STEPS = 12
TAPE_SLOTS = 9  # of 3 steps of a Runge-Kutta method
KEPT = {
    "one leaf": StoreAll(NUM_STEPS, leaf_steps=NUM_STEPS),
    "leaves": Mixed(NUM_STEPS, 4 * TAPE_SLOTS, TAPE_SLOTS, leaf_steps=3),
}
OWN = {
    "backward Euler": (1, lambda p: BackwardEuler(p, 0.5)),
    "Crank-Nicolson": (1, lambda p: CrankNicolson(p, 0.5)),
    "theta": (1, lambda p: Theta(p, 0.5, theta=0.7)),
    "BDF2": (1, lambda p: BDF2(p, 0.5)),
    "SDIRK 2": (2, lambda p: RungeKutta(p, 0.5, tableaux.SDIRK_2)),
}
NUMBER = count()


def counted(work) -> dict[str, int]:
    """Return how often PETSc began to solve, and to step, during some work."""
    PETSc.Log.begin()
    # A stage of its own: an event that an error has ended counts no more in the stage it was in.
    with PETSc.Log.Stage(f"counted {next(NUMBER)}") as stage:
        work()
    names = ("TSStep", "SNESSolve", "KSPSolve", "KSPSolveTranspos")
    found = {name: PETSc.Log.Event(name).getPerfInfo(stage)["count"] for name in names}
    found["KSPSolve"] += found.pop("KSPSolveTranspos")  # which some versions count apart
    return found


@pytest.mark.parametrize("schedule", KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("method", ["cn", "beuler", "theta", "rk 4"])
def test_through_a_ts(method, schedule):
    alone = Oscillator(method)
    alone.ts.setMaxSteps(NUM_STEPS)
    forward = counted(lambda: alone.ts.solve(alone.u))
    stepper = Oscillator(method).stepper()
    found = counted(lambda: adjoint.gradient(stepper, NUM_STEPS, schedule=schedule))
    transposed = 0 if method == "rk 4" else NUM_STEPS
    assert found == {**forward, "KSPSolve": forward["KSPSolve"] + transposed}


@pytest.mark.parametrize("schedule", KEPT.values(), ids=KEPT)
@pytest.mark.parametrize(("stages", "make"), OWN.values(), ids=OWN)
def test_by_an_integrator(stages, make, schedule):
    forward = counted(lambda: run_forward(make(reaction())))
    assert forward["SNESSolve"] == stages * NUM_STEPS
    stepper = make(reaction())
    found = counted(lambda: adjoint.gradient(stepper, NUM_STEPS, schedule=schedule))
    assert found == {**forward, "KSPSolve": forward["KSPSolve"] + stages * NUM_STEPS}


def test_where_only_states_are_kept_each_step_is_solved_twice():
    alone = counted(lambda: run_forward(Oscillator("cn").stepper()))
    schedule = Revolve(NUM_STEPS, NUM_STEPS, leaf_steps=2)
    stepper = Oscillator("cn").stepper()
    found = counted(lambda: adjoint.gradient(stepper, NUM_STEPS, schedule=schedule))
    assert found["SNESSolve"] == 2 * alone["SNESSolve"] - 2  # but for the last leaf


def run_forward(stepper) -> None:
    stepper.start()
    stepper.advance(0, NUM_STEPS)
