"""Errors follow the tolerance, step lengths follow the solution, and steps end at observations."""

import pytest

pytest.importorskip("petsc4py")

import numpy as np
from growths import Growth, exact
from plates import NUM_STEPS, SIZE, plate
from triads import direct

from adjoint.errors import SolveError
from solvers.petsc import AdaptiveRungeKutta, tableaux

METHODS = [tableau for tableau in tableaux.TABLEAUX if tableau.embedded is not None]


def run(stepper) -> None:
    stepper.start()
    stepper.advance(0, 10**6)
    assert stepper.finished
    assert stepper.position == len(stepper.accepted_steps)


@pytest.mark.parametrize("tableau", METHODS, ids=lambda tableau: tableau.name)
def test_errors_follow_the_tolerance(tableau):
    direct()
    errors, counts = [], []
    for tolerance in (1e-5, 1e-8):
        stepper = AdaptiveRungeKutta(
            Growth(), tableau, 2.0, relative=tolerance, absolute=tolerance, first_step=0.05
        )
        run(stepper)
        errors.append(np.abs(stepper.state["u"] - exact(2.0)).max())
        counts.append(stepper.position)
    assert errors[1] < 0.1 * errors[0]
    assert errors[0] < 5 * counts[0] * 1e-5
    assert counts[0] < counts[1]


def test_steps_end_at_observations_and_at_the_end():
    stepper = AdaptiveRungeKutta(plate(), tableaux.ESDIRK_3, NUM_STEPS * SIZE, relative=1e-3)
    run(stepper)
    times, sizes = stepper.accepted_steps.T
    assert 6 * SIZE in times
    assert times[0] == 0
    np.testing.assert_allclose(times[1:], times[:-1] + sizes[:-1], rtol=1e-12)
    assert times[-1] + sizes[-1] == pytest.approx(NUM_STEPS * SIZE, abs=1e-14)


def test_a_step_that_is_too_long_is_rejected():
    direct()
    stepper = AdaptiveRungeKutta(Growth(), tableaux.DORMAND_PRINCE_5, 2.0, first_step=2.0)
    run(stepper)
    assert stepper.accepted_steps[0, 1] < 1.0


def test_a_solution_that_blows_up_ends_the_run():
    direct()
    problem = Growth()
    problem.rhs = lambda t, u, m, f: f.setArray(np.full(3, np.nan if t > 0.5 else 1.0))
    stepper = AdaptiveRungeKutta(problem, tableaux.BOGACKI_SHAMPINE_3, 2.0)
    stepper.start()
    with pytest.raises(SolveError, match=r"step \d+ at t = 0.\d+ is rejected even with length"):
        stepper.advance(0, 10**6)
