"""Revolve advances t(n, s) steps, as in the literature, in closed form and by brute force."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from revolve_dynamic_program import fewest

from adjoint.errors import ScheduleError
from adjoint.schedules import Revolve
from adjoint.schedules.revolve import minimal_advances
from adjoint.simulation.replay import price

# Griewank and Walther 2000, and other programs for the same.
LITERATURE = {
    (2, 1): 1,
    (5, 2): 6,
    (10, 1): 45,
    (10, 2): 20,
    (10, 3): 15,
    (10, 4): 14,
    (16, 3): 33,
    (50, 3): 180,
    (50, 5): 122,
    (50, 7): 105,
    (56, 5): 140,
    (57, 5): 144,
    (100, 3): 490,
    (100, 5): 316,
    (100, 10): 222,
    (200, 4): 948,
    (250, 25): 473,
    (400, 12): 1095,
    (1000, 5): 6284,
    (1000, 10): 3636,
    (1000, 20): 2747,
    (10**4, 10): 57624,
    (10**5, 10): 832040,
    (10**6, 10): 11647922,
    (10**6, 100): 3817896,
    (10**9, 16): 15833196890,
}


@pytest.mark.parametrize(("steps", "slots"), LITERATURE)
def test_closed_form_is_that_of_the_literature(steps, slots):
    assert minimal_advances(steps, slots) == LITERATURE[steps, slots]


def test_closed_form_is_that_of_brute_force():
    for (steps, slots), (advances, _stores) in fewest(400, 25).items():
        assert minimal_advances(steps, slots) == advances, (steps, slots)


@pytest.mark.parametrize(("steps", "slots"), [key for key in LITERATURE if key[0] <= 10**4])
def test_played(steps, slots):
    assert price(Revolve(steps, slots)).advances == LITERATURE[steps, slots]


def test_played_is_that_of_brute_force():
    for (steps, slots), (advances, _stores) in fewest(70, 9).items():
        assert price(Revolve(steps, slots)).advances == advances, (steps, slots)


@given(st.integers(1, 400), st.integers(1, 25), st.integers(1, 9))
def test_advances_are_those_of_whole_leaves(steps, slots, leaf):
    found = price(Revolve(steps, slots, leaf_steps=leaf))
    leaves = -(-steps // leaf)
    assert found.advances == leaf * minimal_advances(leaves, slots)
    assert found.leaf_advances == steps - leaves + 1


@given(st.integers(2, 10**18), st.integers(2, 200), st.data())
def test_no_split_is_better_at_any_size(steps, slots, data):
    split = data.draw(st.integers(1, steps - 1))
    tried = split + minimal_advances(steps - split, slots - 1) + minimal_advances(split, slots)
    assert minimal_advances(steps, slots) <= tried


@given(st.integers(2, 10**18), st.integers(1, 200))
def test_the_first_split_is_optimal_at_any_size(steps, slots):
    stream = iter(Revolve(steps, slots))
    next(stream)
    split = next(stream).stop
    advances = split + minimal_advances(split, slots)
    if steps - split > 1:
        advances += minimal_advances(steps - split, slots - 1)
    assert minimal_advances(steps, slots) == advances


def test_without_a_slot_only_a_single_step_is_possible():
    assert minimal_advances(1, 0) == 0
    with pytest.raises(ScheduleError, match="at least 1"):
        minimal_advances(2, 0)
