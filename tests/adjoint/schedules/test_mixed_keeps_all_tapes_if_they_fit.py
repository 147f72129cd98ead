"""If all tapes fit, nothing is advanced or restored: one sweep forward, one back."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from adjoint.schedules import Mixed
from adjoint.schedules.actions import PullBack, Record, Turn


@given(
    st.integers(1, 60),
    st.integers(1, 5),
    st.integers(0, 9),
    st.integers(1, 4),
    st.sampled_from([0, 0.3, 1]),
)
def test_the_stream(steps, tape_slots, more, leaf, unreached):
    grid = [*range(0, steps, leaf), steps]
    leaves = list(pairwise(grid))
    needed = tape_slots * (len(leaves) - 1)
    schedule = Mixed(steps, needed + more, tape_slots, leaf_steps=leaf, unreached=unreached)
    expected = [Record(*leaf) for leaf in leaves] + [Turn()]
    assert list(schedule) == expected + [PullBack(*leaf) for leaf in reversed(leaves)]
    assert (schedule.num_slots, schedule.num_tapes) == (needed, len(leaves))
