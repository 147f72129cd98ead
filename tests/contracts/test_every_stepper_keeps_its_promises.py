"""What `adjoint.Stepper` asks of a stepper that is reproducible and adopts memory, bit for bit.

A further stepper is one more line in `STEPPERS`: a function that makes a fresh one.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from basins import NUM_STEPS, basin, cost_by_hand, gradient_by_hand
from numpy.testing import assert_array_equal
from pendulums import Pendulums
from recurrent_unrolled import Problem

from adjoint.steppers import Adopting, Stepper, copy_arrays, state_bytes

STEPPERS = {
    "pendulums": lambda: Pendulums(3, NUM_STEPS),
    "shallow water, open": basin,
    "shallow water, closed": lambda: basin(open_sides=()),
    "tanh": lambda: Problem("tanh", num_steps=NUM_STEPS).network(leaf_steps=1),
    "gru": lambda: Problem("gru", 2, num_steps=NUM_STEPS, lengths=(12, 5, 9)).network(leaf_steps=1),
    "lstm": lambda: Problem("lstm", 2, num_steps=NUM_STEPS).network(leaf_steps=1),
}


@pytest.fixture(params=STEPPERS)
def make(request):
    return STEPPERS[request.param]


@pytest.fixture
def stepper(make):
    stepper = make()
    stepper.start()
    return stepper


def copied(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in arrays.items()}


def garbage(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return memory for a state that holds nothing of use."""
    return {name: np.full_like(array, 77) for name, array in arrays.items()}


def assert_same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, array in found.items():
        assert_array_equal(array, expected[name], err_msg=name)


def assert_is(found: Mapping[str, np.ndarray], memory: Mapping[str, np.ndarray]) -> None:
    for name, array in found.items():
        assert np.shares_memory(array, memory[name])


def state_at(make, step: int) -> dict[str, np.ndarray]:
    """Return a state reached one step at a time."""
    stepper = make()
    stepper.start()
    for k in range(step):
        stepper.advance(k, k + 1)
    return copied(stepper.state)


def test_it_is_a_stepper_that_adopts(stepper):
    assert isinstance(stepper, Stepper)
    assert isinstance(stepper, Adopting)
    assert getattr(stepper, "reproducible", True)
    assert set(stepper.adjoint) <= set(stepper.state)
    assert stepper.tape_bytes(3) >= 2 * state_bytes(stepper.state)
    for name, control in stepper.controls.items():
        assert stepper.accumulators[name].shape == control.shape
    for arrays in (stepper.state, stepper.adjoint, stepper.controls, stepper.accumulators):
        assert all(array.flags.c_contiguous for array in arrays.values())


def test_something_happens(make):
    assert any((state_at(make, 3)[n] != state_at(make, 2)[n]).any() for n in make().adjoint)
    cost, gradient = gradient_by_hand(make(), NUM_STEPS)
    assert cost > 0
    assert all(field.any() for field in gradient.values())


@pytest.mark.parametrize("cuts", [(4,), (1, 2, 3), (5, 11)], ids=str)
def test_ranges_compose(make, stepper, cuts):
    bounds = [0, *cuts, NUM_STEPS]
    for start, stop in pairwise(bounds):
        stepper.advance(start, stop)
    other = make()
    other.start()
    other.advance(0, NUM_STEPS)
    assert_same(stepper.state, other.state)


@pytest.mark.parametrize("stop", [3, 4, 5])
def test_advance_ends_in_out_and_leaves_its_start(make, stepper, stop):
    home = garbage(stepper.state)
    copy_arrays(stepper.state, home)
    stepper.adopt(home)
    stepper.advance(0, 3)
    before, out = copied(stepper.state), garbage(stepper.state)
    stepper.advance(3, stop, out=out)
    assert_is(stepper.state, out)
    assert_same(out, state_at(make, stop))
    assert_same(home, before)


@pytest.mark.parametrize("stop", [4, 5])
def test_the_state_stays_in_adopted_memory(make, stepper, stop):
    memory = garbage(stepper.state)
    copy_arrays(state_at(make, 3), memory)
    stepper.advance(0, 1)
    stepper.adopt(memory)
    stepper.advance(3, stop)
    assert_is(stepper.state, memory)
    assert_same(memory, state_at(make, stop))
    stepper.record(stop, stop + 2, reach_stop=True)
    assert_is(stepper.state, memory)
    assert_same(memory, state_at(make, stop + 2))


def test_costs_are_a_running_total(make, stepper):
    whole = stepper.advance(0, NUM_STEPS, cost=0.1)
    stepper.start()
    pieces = stepper.advance(0, 5, cost=0.1)
    pieces = stepper.record(5, 8, cost=pieces, reach_stop=True)
    pieces = stepper.advance(8, NUM_STEPS - 2, cost=pieces, out=garbage(stepper.state))
    pieces = stepper.record(NUM_STEPS - 2, NUM_STEPS, cost=pieces, reach_stop=False)
    assert pieces == whole
    assert whole > 0.1


def test_without_a_total_there_is_no_cost(stepper):
    assert stepper.advance(0, 3) is None
    assert stepper.record(3, 5, reach_stop=True) is None
    assert stepper.advance(5, 6, out=garbage(stepper.state)) is None


def test_a_second_start_gives_the_same_bits(make, stepper):
    first = gradient_by_hand(stepper, NUM_STEPS)
    second = gradient_by_hand(stepper, NUM_STEPS)
    assert first[0] == second[0]
    assert_same(second[1], first[1])
    assert cost_by_hand(make(), NUM_STEPS) == first[0]


def test_a_start_notices_changed_controls(make, stepper):
    before = gradient_by_hand(stepper, NUM_STEPS)
    changed = make()
    for steppers in (stepper, changed):
        for control in steppers.controls.values():
            control[...] = 1.01 * control
    after, fresh = gradient_by_hand(stepper, NUM_STEPS), gradient_by_hand(changed, NUM_STEPS)
    assert after[0] == fresh[0] != before[0]
    assert_same(after[1], fresh[1])


def test_start_forgets_tapes_that_nothing_pulled_back(stepper):
    expected = gradient_by_hand(stepper, NUM_STEPS)
    stepper.start()
    stepper.record(0, 3, reach_stop=True)
    stepper.record(3, 7, reach_stop=True)
    assert_same(gradient_by_hand(stepper, NUM_STEPS)[1], expected[1])


def test_record_does_as_advance(make, stepper):
    total = stepper.record(0, 5, cost=0.0, reach_stop=True)
    assert_same(stepper.state, state_at(make, 5))
    other = make()
    other.start()
    assert other.advance(0, 5, cost=0.0) == total


@pytest.mark.parametrize("leaves", [(6,), (1, 2, 7), tuple(range(1, NUM_STEPS))], ids=str)
def test_grouping_steps_changes_no_bit_of_the_gradient(make, stepper, leaves):
    whole = gradient_by_hand(make(), NUM_STEPS)
    pieces = gradient_by_hand(stepper, NUM_STEPS, leaves)
    assert pieces[0] == whole[0]
    assert_same(pieces[1], whole[1])


def test_a_gradient_from_restored_states_has_the_same_bits(make, stepper):
    """As a schedule does it: states kept and adopted, leaves that stop short of their end."""
    expected = gradient_by_hand(make(), NUM_STEPS)
    kept = {0: copied(stepper.state)}
    total = stepper.advance(0, 4, cost=0.0)
    kept[4] = copied(stepper.state)
    total = stepper.advance(4, 8, cost=total, out=garbage(stepper.state))
    total = stepper.record(8, NUM_STEPS, cost=total, reach_stop=True)
    total = stepper.turn(total)
    stepper.pull_back(8, NUM_STEPS)
    stepper.adopt(kept[4])
    stepper.record(4, 8, reach_stop=False)
    stepper.pull_back(4, 8)
    stepper.adopt(kept[0])
    stepper.advance(0, 2, out=garbage(stepper.state))
    stepper.record(2, 4, reach_stop=False)
    stepper.pull_back(2, 4)
    stepper.adopt(kept[0])
    stepper.record(0, 2, reach_stop=False)
    stepper.pull_back(0, 2)
    stepper.finish()
    assert total == expected[0]
    assert_same(stepper.accumulators, expected[1])


def test_a_gradient_can_go_on_in_another_stepper(make, stepper):
    """A killed run has its adjoint and accumulators read from a file: nothing else is needed."""
    expected = gradient_by_hand(make(), NUM_STEPS)
    stepper.advance(0, 6)
    stepper.record(6, NUM_STEPS, reach_stop=True)
    stepper.turn(0.0)
    stepper.pull_back(6, NUM_STEPS)
    other = make()
    other.start()
    copy_arrays(stepper.adjoint, other.adjoint)
    copy_arrays(stepper.accumulators, other.accumulators)
    other.record(0, 6, reach_stop=False)
    other.pull_back(0, 6)
    other.finish()
    assert_same(other.accumulators, expected[1])
