"""H-Revolve costs as little as the best of all placements of states, with tiers ever slower."""

from itertools import accumulate

import pytest
from any_placement import cheapest_of_all, cheapest_stack
from hypothesis import given, settings
from hypothesis import strategies as st

from adjoint.schedules import DiskRevolve, HRevolve


def cost(schedule, tiers):
    return schedule.tally.price([(write, read) for _capacity, write, read in tiers[1:]])


@st.composite
def hierarchies(draw, most_below=3):
    """Draw memory and slower tiers, each slower to write and to read than the one before."""
    number = draw(st.integers(1, most_below))
    write, read = (
        accumulate(draw(st.integers(0, 20)) / 4 for _ in range(number)) for _ in range(2)
    )
    capacities = [draw(st.integers(1, 3)) for _ in range(number)]
    return ((draw(st.integers(1, 3)), 0, 0), *zip(capacities, write, read, strict=True))


@settings(max_examples=150)
@given(st.integers(1, 14), hierarchies())
def test_on_a_stack(steps, tiers):
    assert cost(HRevolve(steps, tiers), tiers) == pytest.approx(cheapest_stack(steps, tiers))


@settings(max_examples=40)
@given(st.integers(1, 6), hierarchies(most_below=2))
def test_with_states_in_any_tiers_and_given_up_in_any_order(steps, tiers):
    assert cost(HRevolve(steps, tiers), tiers) == pytest.approx(cheapest_of_all(steps, tiers))


@settings(max_examples=60)
@given(st.integers(1, 16), st.integers(1, 3), st.integers(0, 20), st.integers(0, 20))
def test_a_file_without_limit(steps, slots, quarters, more):
    write, read = quarters / 4, more / 4
    tiers = ((slots, 0, 0), (steps, write, read))
    schedule = DiskRevolve(steps, slots, write=write, read=read)
    assert cost(schedule, tiers) == pytest.approx(cheapest_stack(steps, tiers))
