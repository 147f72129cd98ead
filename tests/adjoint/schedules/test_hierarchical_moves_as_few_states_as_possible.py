"""Of the schedules that cost the least, H-Revolve is one that moves the fewest states."""

from any_placement import cheapest_stack
from hypothesis import given, settings
from hypothesis import strategies as st

from adjoint.schedules import DiskRevolve, HRevolve

FEWER = 2**-20
"""It decides between schedules that cost the same, and never otherwise."""

costs = st.integers(0, 8).map(lambda quarters: quarters / 4)


@settings(max_examples=100)
@given(st.integers(1, 13), st.integers(1, 3), st.integers(1, 4), costs, costs)
def test_as_by_brute_force(steps, slots, places, write, read):
    tiers = ((slots, 0, 0), (places, write + FEWER, read + FEWER))
    tally = HRevolve(steps, [(slots, 0, 0), (places, write, read)]).tally
    assert tally.price([(write + FEWER, read + FEWER)]) == cheapest_stack(steps, tiers)


def test_a_file_that_costs_nothing_is_left_alone_where_slots_do():
    assert DiskRevolve(60, 59, write=0, read=0).tally.writes == (0,)
