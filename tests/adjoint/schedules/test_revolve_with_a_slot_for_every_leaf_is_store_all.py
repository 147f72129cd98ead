"""With a slot for every leaf Revolve is StoreAll; more slots are left out."""

from hypothesis import given
from hypothesis import strategies as st

from adjoint.schedules import Revolve, StoreAll


@given(st.integers(1, 200), st.integers(1, 9), st.integers(0, 50))
def test_the_streams_are_equal(steps, leaf, more):
    everything = StoreAll(steps, leaf_steps=leaf)
    revolve = Revolve(steps, everything.num_slots + more, leaf_steps=leaf)
    assert revolve.num_slots == everything.num_slots == -(-steps // leaf) - 1
    assert list(revolve) == list(everything)
