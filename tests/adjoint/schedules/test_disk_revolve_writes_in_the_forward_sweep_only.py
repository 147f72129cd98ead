"""With a file without limit, states are written in the forward sweep only."""

from hypothesis import given
from hypothesis import strategies as st

from adjoint.schedules import DiskRevolve
from adjoint.schedules.actions import Offload, Turn


@given(st.integers(1, 300), st.integers(1, 8), st.integers(1, 80), st.integers(0, 80))
def test_no_offload_follows_the_turn(steps, slots, quarters, more):
    actions = list(DiskRevolve(steps, slots, write=quarters / 4, read=more / 4))
    turn = actions.index(Turn())
    assert not any(type(action) is Offload for action in actions[turn:])
