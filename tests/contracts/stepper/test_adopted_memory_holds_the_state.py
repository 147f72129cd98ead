"""A stepper that adopts memory computes in it, and leaves the state before `out` untouched."""

import numpy as np
import pytest
from every_stepper import every_stepper
from stepper_by_hand import assert_same, copied, garbage

from adjoint.steppers import copy_arrays

pytestmark = pytest.mark.parametrize("case", every_stepper(adopts=True))


def assert_is(found, memory):
    assert all(np.shares_memory(array, memory[name]) for name, array in found.items())


@pytest.mark.parametrize("stop", [3, 4, 5])
def test_advance_ends_in_out_and_leaves_its_start(stepper, ends, state_at, stop):
    home = garbage(stepper.state)
    copy_arrays(stepper.state, home)
    stepper.adopt(home)
    stepper.advance(0, ends[3])
    before, out = copied(stepper.state), garbage(stepper.state)
    stepper.advance(ends[3], ends[stop], out=out)
    assert_is(stepper.state, out)
    assert_same(out, state_at(ends[: stop + 1]))
    assert_same(home, before)


@pytest.mark.parametrize("stop", [4, 5])
def test_the_state_stays_in_adopted_memory(stepper, ends, state_at, stop):
    memory = garbage(stepper.state)
    copy_arrays(state_at(ends[:4]), memory)
    stepper.advance(0, ends[6])
    stepper.adopt(memory)
    stepper.advance(ends[3], ends[stop])
    assert_is(stepper.state, memory)
    assert_same(memory, state_at(ends[: stop + 1]))
    stepper.record(ends[stop], ends[stop + 1], reach_stop=True)
    assert_is(stepper.state, memory)
    assert_same(memory, state_at(ends[: stop + 2]))


def test_out_without_a_total_gives_no_cost(stepper, ends):
    assert stepper.advance(0, ends[1], out=garbage(stepper.state)) is None
