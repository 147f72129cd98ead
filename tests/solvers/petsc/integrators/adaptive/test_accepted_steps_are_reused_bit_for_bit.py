"""Accepted steps are reused with the same bits, prescribed or chosen by the run."""

import pytest

pytest.importorskip("petsc4py")

from numpy.testing import assert_array_equal
from plates import NUM_STEPS, SIZE, plate

import adjoint
from adjoint.errors import ArgumentError, StepperError
from adjoint.schedules import Revolve
from adjoint.verification import bitwise_test, dot_product_test, replay_test, taylor_test
from solvers.petsc import AdaptiveRungeKutta, tableaux

END = NUM_STEPS * SIZE


def make(tableau=tableaux.ESDIRK_3):
    return AdaptiveRungeKutta(plate(), tableau, END, relative=1e-3, absolute=1e-3)


def run(stepper) -> float:
    stepper.start()
    return stepper.turn(stepper.advance(0, 10**6, cost=0.0))


@pytest.mark.parametrize(
    "tableau", [tableaux.ESDIRK_3, tableaux.BOGACKI_SHAMPINE_3], ids=lambda tableau: tableau.name
)
def test_the_gradient_is_correct_with_fixed_steps(tableau):
    stepper = make(tableau)
    cost = run(stepper)
    rows, num_steps = stepper.accepted_steps, stepper.position
    stepper.accept_steps(rows)
    with adjoint.Functional(stepper, num_steps, schedule=Revolve(num_steps, 2)) as functional:
        assert functional.value_and_gradient()[0] == cost
        assert bitwise_test(functional).passed
        assert taylor_test(functional).passed
    assert dot_product_test(stepper, num_steps).passed
    assert replay_test(stepper, num_steps).passed
    assert_array_equal(stepper.accepted_steps, rows)


def test_without_prescribed_steps_every_run_chooses_its_own():
    stepper = make()
    run(stepper)
    first = stepper.accepted_steps
    stepper.controls["log_conductivity"][...] += 2
    run(stepper)
    other = stepper.accepted_steps
    assert first.shape != other.shape or (first != other).any()
    stepper.accept_steps(first)
    run(stepper)
    assert_array_equal(stepper.accepted_steps, first)
    stepper.accept_steps([])
    run(stepper)
    assert_array_equal(stepper.accepted_steps, other)


def test_a_gradient_that_chooses_steps_has_the_bits_of_one_with_fixed_steps():
    stepper = make()
    cost = run(stepper)
    rows, num_steps = stepper.accepted_steps, stepper.position
    chosen = adjoint.gradient(stepper, num_steps, schedule=Revolve(num_steps, 3))
    stepper.accept_steps(rows)
    held = adjoint.gradient(stepper, num_steps, schedule=Revolve(num_steps, 3))
    assert chosen.cost == held.cost == cost
    for name, array in held.gradient.items():
        assert chosen.gradient[name].tobytes() == array.tobytes()


def test_a_run_continues_in_another_stepper():
    """As a resumed run does: the first steps are given, and a state among them."""
    stepper, other = make(), make()
    run(stepper)
    rows = stepper.accepted_steps
    stepper.start()
    stepper.advance(0, 5)
    other.start()
    other.accept_steps(rows[:5])
    other.state["u"][...] = stepper.state["u"]
    other.advance(5, 10**6)
    assert other.finished
    assert_array_equal(other.accepted_steps[:5], rows[:5])


def test_wrong_accepted_steps_are_refused():
    stepper = make()
    with pytest.raises(ArgumentError, match="rows of time and size"):
        stepper.accept_steps([[0.0, float("nan")]])
    stepper.start()
    with pytest.raises(StepperError, match="the time of step 4 is not known"):
        stepper.advance(4, 5)


def test_a_run_whose_length_only_the_stepper_knows():
    stepper = make()
    open_ended = adjoint.gradient(stepper, None, memory="20 kB")
    rows = stepper.accepted_steps
    stepper.accept_steps(rows)
    known = adjoint.gradient(stepper, len(rows))
    assert open_ended.cost == known.cost
    for name, array in known.gradient.items():
        assert open_ended.gradient[name].tobytes() == array.tobytes()
