"""With more slots, more places in a tier or one more tier, no run costs more; nor than Revolve."""

from hypothesis import given, settings
from hypothesis import strategies as st

from adjoint.schedules import DiskRevolve, HRevolve
from adjoint.schedules.revolve import minimal_advances

transfers = st.integers(0, 80).map(lambda quarters: quarters / 4)


def cost(steps, tiers):
    tally = HRevolve(steps, tiers).tally
    return tally.price([(write, read) for _capacity, write, read in tiers[1:]])


@settings(max_examples=60)
@given(st.integers(1, 120), st.integers(1, 6), st.integers(0, 9), transfers, transfers)
def test_slots_and_places(steps, slots, places, write, read):
    costs = cost(steps, [(slots, 0, 0), (places, write, read)])
    assert cost(steps, [(slots + 1, 0, 0), (places, write, read)]) <= costs
    assert cost(steps, [(slots, 0, 0), (places + 1, write, read)]) <= costs
    assert cost(steps, [(slots, 0, 0), (None, write, read)]) <= costs


@settings(max_examples=12)
@given(st.integers(1, 10**7), st.integers(1, 20), transfers, transfers, st.integers(0, 20))
def test_tiers_at_any_length(steps, slots, write, read, places):
    tiers = [(slots, 0, 0), (places, write, read), (None, 10 * write, 10 * read)]
    costs = cost(steps, tiers[:2])
    assert costs <= minimal_advances(steps, slots)
    assert cost(steps, tiers) <= costs


def test_a_file_that_does_not_pay_is_not_used():
    tally = DiskRevolve(700, 5, write=10**6, read=0).tally
    assert (tally.advances, tally.writes) == (minimal_advances(700, 5), (0,))
    assert DiskRevolve(700, 5, write=1, read=1, file_states=0).tally == tally
