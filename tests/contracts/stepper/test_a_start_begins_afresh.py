"""After `start` nothing of an earlier run is left, and changed controls are in effect."""

from stepper_by_hand import assert_same, gradient_by_hand, record


def test_a_second_run_has_the_bits_of_the_first(case, stepper):
    first = gradient_by_hand(stepper, case.num_steps)
    second = gradient_by_hand(stepper, case.num_steps)
    assert first[0] == second[0]
    assert_same(second[1], first[1])


def test_changed_controls_are_noticed(case, make, stepper):
    before = gradient_by_hand(stepper, case.num_steps)
    changed = make()
    for steppers in (stepper, changed):
        for control in steppers.controls.values():
            control[...] = 1.01 * control
    after = gradient_by_hand(stepper, case.num_steps)
    fresh = gradient_by_hand(changed, case.num_steps)
    assert after[0] == fresh[0] != before[0]
    assert_same(after[1], fresh[1])


def test_tapes_that_nothing_pulled_back_are_forgotten(case, stepper, ends):
    expected = gradient_by_hand(stepper, case.num_steps)
    stepper.start()
    record(stepper, 0, ends[3])
    record(stepper, ends[3], ends[7])
    assert_same(gradient_by_hand(stepper, case.num_steps)[1], expected[1])
