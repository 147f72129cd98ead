"""Costs are added to the total that is passed in, one step after the other; without one, None."""

from stepper_by_hand import record


def test_pieces_add_up_to_the_bits_of_the_whole(case, stepper, ends):
    whole = stepper.advance(0, case.num_steps, cost=0.1)
    stepper.start()
    pieces = stepper.advance(0, ends[5], cost=0.1)
    pieces = record(stepper, ends[5], ends[8], pieces)
    pieces = stepper.advance(ends[8], ends[-3], cost=pieces)
    pieces = record(stepper, ends[-3], case.num_steps, pieces, reach_stop=False)
    assert pieces == whole
    assert whole != 0.1


def test_without_a_total_there_is_no_cost(stepper, ends):
    assert stepper.advance(0, ends[3]) is None
    assert stepper.record(ends[3], ends[4], reach_stop=True) is None
