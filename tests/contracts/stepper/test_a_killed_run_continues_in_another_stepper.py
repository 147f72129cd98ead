"""Adjoint, accumulators and accepted steps are all that a resumed run needs, to the same bits."""

from stepper_by_hand import assert_same, gradient_by_hand, pull_back, record

from adjoint.steppers import Capabilities, copy_arrays


def test_the_reverse_sweep(case, make, stepper, ends):
    expected = gradient_by_hand(make(), case.num_steps)
    stepper.advance(0, ends[6])
    record(stepper, ends[6], case.num_steps)
    stepper.turn(0.0)
    pull_back(stepper, ends[6], case.num_steps)
    other = make()
    other.start()
    accepted = Capabilities.of(stepper).accepted_steps
    if accepted is not None:
        Capabilities.of(other).accept_steps(accepted)
    copy_arrays(stepper.adjoint, other.adjoint)
    copy_arrays(stepper.accumulators, other.accumulators)
    record(other, 0, ends[6], reach_stop=False)
    pull_back(other, 0, ends[6])
    other.finish()
    assert_same(other.accumulators, expected[1])
