"""The few numbers of a plan say just what walking from the end, keep by keep, finds."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from keeps_walk import walk

from adjoint.schedules.spilling.spacing import GRID, plan_forward


@settings(max_examples=500)
@given(st.integers(1, 400), st.integers(1, 12), st.integers(GRID, 40 * GRID), st.data())
def test_on_any(leaves, slots, pitch, data):
    options = {
        "tail_slots": data.draw(st.integers(0, slots)),
        "tail_repeats": data.draw(st.integers(0, 4)),
    }
    plan = plan_forward(leaves, slots, pitch, **options)
    between = [(plan.spaced.leaf(k), True) for k in range(plan.spaced.count)]
    keeps = [(0, plan.first_in_file), *between, *plan.tail]
    expected = walk(leaves, slots, Fraction(pitch, GRID), **options)
    if between:
        expected[0] = (0, True)  # where others are not listed, the first is not in memory either
    assert keeps == expected
    assert plan.file_states == sum(to_file for _, to_file in keeps)
