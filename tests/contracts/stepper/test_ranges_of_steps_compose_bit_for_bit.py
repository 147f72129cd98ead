"""However steps are grouped, advanced, recorded or taken again, state and gradient have the same
bits."""

from itertools import pairwise

import pytest
from stepper_by_hand import (
    assert_same,
    copied,
    cost_by_hand,
    garbage,
    gradient_by_hand,
    pull_back,
    put,
    record,
)

from adjoint.steppers import Adopting


def test_the_state_changes_and_every_control_has_a_gradient(case, make, ends, state_at):
    before, after = state_at(ends[:3]), state_at(ends[:4])
    assert any((after[name] != before[name]).any() for name in make().adjoint)
    cost, gradient = gradient_by_hand(make(), case.num_steps)
    assert cost != 0
    assert all(array.any() for array in gradient.values())


@pytest.mark.parametrize("cuts", [(4,), (1, 2, 3), (5, 11)], ids=str)
def test_advancing_in_pieces_is_advancing_at_once(case, make, stepper, ends, cuts):
    for start, stop in pairwise([0, *(ends[cut] for cut in cuts), case.num_steps]):
        stepper.advance(start, stop)
    other = make()
    other.start()
    other.advance(0, case.num_steps)
    assert_same(stepper.state, other.state)


def test_recording_reaches_the_state_and_cost_of_advancing(make, stepper, ends, state_at):
    total = record(stepper, 0, ends[5], 0.0)
    assert_same(stepper.state, state_at(ends[:6]))
    other = make()
    other.start()
    assert other.advance(0, ends[5], cost=0.0) == total


@pytest.mark.parametrize("cuts", [(6,), (1, 2, 7), tuple(range(1, 12))], ids=str)
def test_grouping_steps_changes_no_bit_of_the_gradient(case, make, stepper, ends, cuts):
    whole = gradient_by_hand(make(), case.num_steps)
    pieces = gradient_by_hand(stepper, case.num_steps, tuple(ends[cut] for cut in cuts))
    assert pieces[0] == whole[0]
    assert_same(pieces[1], whole[1])


def test_the_cost_without_a_tape_is_that_of_the_gradient(case, make):
    assert cost_by_hand(make(), case.num_steps) == gradient_by_hand(make(), case.num_steps)[0]


def test_a_gradient_from_restored_states_has_the_same_bits(case, make, stepper, ends):
    """As a schedule does it: states kept and restored, leaves that stop short of their end."""
    expected = gradient_by_hand(make(), case.num_steps)
    out = {"out": garbage(stepper.state)} if isinstance(stepper, Adopting) else {}
    kept = {0: copied(stepper.state)}
    total = stepper.advance(0, ends[4], cost=0.0)
    kept[4] = copied(stepper.state)
    total = stepper.advance(ends[4], ends[8], cost=total, **out)
    total = record(stepper, ends[8], case.num_steps, total)
    total = stepper.turn(total)
    pull_back(stepper, ends[8], case.num_steps)
    for start, first, stop in ((4, 4, 8), (0, 2, 4), (0, 0, 2)):
        put(stepper, kept[start], ends[start])
        if first > start:
            stepper.advance(ends[start], ends[first])
        record(stepper, ends[first], ends[stop], reach_stop=False)
        pull_back(stepper, ends[first], ends[stop])
    stepper.finish()
    assert total == expected[0]
    assert_same(stepper.accumulators, expected[1])
