"""Of the schedules with the least cost, H-Revolve is one with the fewest transfers."""

from any_placement import cheapest_stack
from hypothesis import given, settings
from hypothesis import strategies as st

from adjoint.schedules import DiskRevolve, HRevolve

TIE_BREAK = 2**-20
"""Decides between schedules with equal cost, and is too small to matter otherwise."""

quarters = st.integers(0, 8).map(lambda number: number / 4)


@settings(max_examples=100)
@given(st.integers(1, 13), st.integers(1, 3), st.integers(1, 4), quarters, quarters)
def test_by_brute_force(steps, slots, places, write, read):
    weighted = (write + TIE_BREAK, read + TIE_BREAK)
    best = cheapest_stack(steps, ((slots, 0, 0), (places, *weighted)))
    assert HRevolve(steps, slots, places, write=write, read=read).tally.price(*weighted) == best


def test_a_file_that_costs_nothing_is_not_used_if_all_states_fit_in_slots():
    assert DiskRevolve(60, 59, write=0, read=0).tally.writes == 0
