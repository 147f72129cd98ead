"""The closed form for tapes in slots has the costs of the table, and so have its splits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjoint.schedules.mixed_closed_form import fewest_steps, most_leaves, split
from adjoint.schedules.mixed_table import TapeTable
from adjoint.schedules.revolve import beta, minimal_advances

LEAVES, SLOTS = 250, 14


def table_of(tape_slots, unreached=1.0, *, leaves=LEAVES, slots=SLOTS):
    return np.array(TapeTable(leaves, slots, tape_slots=tape_slots, unreached=unreached).costs)


@pytest.mark.parametrize("tape_slots", [1, 2, 3, 4, 5, 7, 14, 15])
def test_fewest_steps(tape_slots):
    table = table_of(tape_slots)
    for slots in range(1, SLOTS + 1):
        found = [fewest_steps(leaves, slots, tape_slots) for leaves in range(1, LEAVES + 1)]
        assert found == list(table[slots, 1:]), slots


def test_fewest_steps_of_long_runs():
    table = table_of(1, leaves=2000, slots=40)
    for leaves in range(1, 2001, 53):
        for slots in range(1, 41):
            assert fewest_steps(leaves, slots, 1) == table[slots, leaves], (leaves, slots)


@pytest.mark.parametrize(
    ("tape_slots", "unreached"),
    [(1, 1), (1, 0.5), (1, 0), (2, 1), (3, 1), (4, 1), (7, 1), (15, 1), (15, 0.5), (15, 0)],
)
def test_splits(tape_slots, unreached):
    table = table_of(tape_slots, unreached)
    for slots in range(1, SLOTS + 1):
        for leaves in range(2, LEAVES + 1):
            first = split(leaves, slots, tape_slots)
            steps = leaves - 1 + unreached
            if first:
                steps = first + table[slots - 1, leaves - first] + table[slots, first]
            assert steps == table[slots, leaves], (leaves, slots)


@pytest.mark.parametrize("unreached", [0, 0.25, 0.5])
def test_tapes_as_large_as_states_cost_the_advances_of_revolve_and_the_leaves_reversed_at_once(
    unreached,
):
    table = table_of(1, unreached)
    for slots in range(1, SLOTS + 1):
        for leaves in range(2, LEAVES + 1):
            advances = minimal_advances(leaves, slots)
            at_once = fewest_steps(leaves, slots, 1) - advances
            assert table[slots, leaves] == advances + unreached * at_once, (leaves, slots)


@pytest.mark.parametrize("tape_slots", [1, 2, 3, 8])
def test_leaves_beyond_most_leaves_cost_more_each(tape_slots):
    table = table_of(tape_slots)
    for slots in range(1, SLOTS + 1):
        for repeats in range(1, 5):
            longest = most_leaves(slots, repeats, tape_slots)
            if longest < LEAVES:
                assert table[slots, longest + 1] - table[slots, longest] >= repeats + 2


def test_most_leaves_are_those_of_revolve():
    for slots in range(1, 12):
        for repeats in range(9):
            assert most_leaves(slots, repeats, slots + 1) == beta(slots, repeats)
            assert most_leaves(slots, repeats, 1) == beta(slots, repeats + 1)


def steps_of_split(leaves, first, slots, tape_slots):
    right = fewest_steps(leaves - first, slots - 1, tape_slots)
    return first + right + fewest_steps(first, slots, tape_slots)


@given(st.integers(2, 10**18), st.integers(2, 60), st.integers(1, 20))
def test_splits_at_any_size(leaves, slots, tape_slots):
    first = split(leaves, slots, tape_slots)
    steps = steps_of_split(leaves, first, slots, tape_slots) if first else leaves
    assert fewest_steps(leaves, slots, tape_slots) == steps


@given(st.integers(2, 10**18), st.integers(2, 60), st.integers(1, 20), st.data())
def test_no_other_split_is_better_at_any_size(leaves, slots, tape_slots, data):
    steps = fewest_steps(leaves, slots, tape_slots)
    first = data.draw(st.integers(1, leaves - 1))
    assert steps <= steps_of_split(leaves, first, slots, tape_slots)
    if slots > tape_slots:
        assert steps <= 1 + fewest_steps(leaves - 1, slots - tape_slots, tape_slots)
