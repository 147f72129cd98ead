"""H-Revolve costs as little as the best placement of states in slots and file, by brute force."""

import pytest
from any_placement import cheapest_of_all, cheapest_stack
from hypothesis import given, settings
from hypothesis import strategies as st

from adjoint.schedules import DiskRevolve, HRevolve

slots = st.integers(1, 3)
places = st.integers(1, 4)
quarters = st.integers(0, 40).map(lambda number: number / 4)


def cost(steps, slots, places, write, read):
    tally = HRevolve(steps, slots, places, write=write, read=read).tally
    return tally.price(write, read)


@settings(max_examples=150)
@given(st.integers(1, 14), slots, places, quarters, quarters)
def test_on_a_stack(steps, slots, places, write, read):
    best = cheapest_stack(steps, ((slots, 0, 0), (places, write, read)))
    assert cost(steps, slots, places, write, read) == pytest.approx(best)


@settings(max_examples=40)
@given(st.integers(1, 6), slots, places, quarters, quarters)
def test_with_states_anywhere_and_discarded_in_any_order(steps, slots, places, write, read):
    best = cheapest_of_all(steps, ((slots, 0, 0), (places, write, read)))
    assert cost(steps, slots, places, write, read) == pytest.approx(best)


@settings(max_examples=60)
@given(st.integers(1, 16), slots, quarters, quarters)
def test_a_file_without_limit(steps, slots, write, read):
    tally = DiskRevolve(steps, slots, write=write, read=read).tally
    best = cheapest_stack(steps, ((slots, 0, 0), (steps, write, read)))
    assert tally.price(write, read) == pytest.approx(best)
