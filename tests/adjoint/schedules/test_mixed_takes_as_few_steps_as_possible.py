"""Mixed takes the steps of the literature, of the table and of `mixed_steps`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjoint.schedules import Mixed
from adjoint.schedules.costs import Costs
from adjoint.schedules.mixed import mixed_steps
from adjoint.schedules.mixed_table import TapeTable
from adjoint.schedules.revolve import minimal_advances
from adjoint.simulation.replay import price

# Maddison's dynamic programme, for tapes as large as states
PUBLISHED = {
    (10, 2): 26,
    (10, 3): 19,
    (50, 7): 116,
    (100, 3): 554,
    (100, 5): 352,
    (100, 10): 237,
    (1000, 10): 3921,
}


def played(schedule, unreached=1.0):
    """Return the time of all forward steps, in leaves."""
    costs = Costs(advance=1, unreached=unreached, pull_back=0)
    return price(schedule, costs, tape_slots=schedule.tape_slots).makespan


@pytest.mark.parametrize(("steps", "slots"), PUBLISHED)
def test_published(steps, slots):
    assert mixed_steps(steps, slots, 1) == PUBLISHED[steps, slots]
    assert played(Mixed(steps, slots, 1)) == PUBLISHED[steps, slots]


@settings(max_examples=60)
@given(st.integers(1, 200), st.integers(1, 40), st.integers(1, 8), st.integers(0, 8))
def test_within_the_table(leaves, slots, tape_slots, eighths):
    unreached = eighths / 8
    table = TapeTable(leaves, slots, tape_slots=tape_slots, unreached=unreached)
    expected = table.cost(leaves, slots) + 1 - unreached
    assert mixed_steps(leaves, slots, tape_slots, unreached=unreached) == expected
    assert played(Mixed(leaves, slots, tape_slots, unreached=unreached), unreached) == expected


@pytest.mark.parametrize(
    ("leaves", "slots", "tape_slots", "unreached"),
    [
        *[(2500, slots, 1, 0.75) for slots in (5, 60, 100, 800)],
        *[(2500, 30, tape_slots, 1) for tape_slots in (2, 5, 31)],
        *[(2500, slots, 3, unreached) for slots in (8, 20) for unreached in (0, 0.25, 0.75)],
    ],
)
def test_beyond_the_table(leaves, slots, tape_slots, unreached):
    expected = mixed_steps(leaves, slots, tape_slots, unreached=unreached)
    assert played(Mixed(leaves, slots, tape_slots, unreached=unreached), unreached) == expected


@settings(max_examples=50)
@given(st.integers(1, 100), st.integers(1, 12), st.integers(1, 5), st.integers(1, 9))
def test_costs_are_in_units_of_a_leaf(leaves, slots, tape_slots, leaf):
    plain = list(Mixed(leaves, slots, tape_slots))
    grouped = list(Mixed(leaves * leaf, slots, tape_slots, leaf_steps=leaf))
    assert [type(action) for action in grouped] == [type(action) for action in plain]
    assert mixed_steps(leaves * leaf, slots, tape_slots, leaf_steps=leaf) == mixed_steps(
        leaves, slots, tape_slots
    )


@given(st.integers(2, 10**15), st.integers(1, 100))
def test_if_no_tape_fits_it_is_as_good_as_revolve(leaves, slots):
    assert mixed_steps(leaves, slots, slots + 1) == minimal_advances(leaves, slots) + leaves


def test_counts_beyond_32_bits_are_exact():
    # C(s + r, s) leaves cost r C(s + r, s) - C(s + r - 1, s + 1), here with s = 2 and r = 100 001
    leaves = 100_003 * 100_002 // 2
    steps = 100_001 * leaves - 100_002 * 100_001 * 100_000 // 6
    assert mixed_steps(leaves, 2, 1) == steps
    assert type(mixed_steps(leaves, 2, 1)) is int
