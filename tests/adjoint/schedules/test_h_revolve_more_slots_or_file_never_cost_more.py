"""With more slots or more places in the file no run costs more, nor more than by Revolve."""

from hypothesis import given, settings
from hypothesis import strategies as st

from adjoint.schedules import DiskRevolve, HRevolve
from adjoint.schedules.revolve import minimal_advances

quarters = st.integers(0, 80).map(lambda number: number / 4)


def cost(steps, slots, places, write, read):
    tally = HRevolve(steps, slots, places, write=write, read=read).tally
    return tally.price(write, read)


@settings(max_examples=60)
@given(st.integers(1, 120), st.integers(1, 6), st.integers(0, 9), quarters, quarters)
def test_more_slots_and_places(steps, slots, places, write, read):
    costs = cost(steps, slots, places, write, read)
    assert cost(steps, slots + 1, places, write, read) <= costs
    assert cost(steps, slots, places + 1, write, read) <= costs
    assert cost(steps, slots, None, write, read) <= costs


@settings(max_examples=12)
@given(st.integers(1, 10**7), st.integers(1, 20), st.integers(0, 20), quarters, quarters)
def test_no_more_than_revolve_at_any_length(steps, slots, places, write, read):
    assert cost(steps, slots, places, write, read) <= minimal_advances(steps, slots)


def test_a_file_that_does_not_pay_is_not_used():
    tally = DiskRevolve(700, 5, write=10**6, read=0).tally
    assert (tally.advances, tally.writes) == (minimal_advances(700, 5), 0)
    assert DiskRevolve(700, 5, write=1, read=1, max_file_states=0).tally == tally
