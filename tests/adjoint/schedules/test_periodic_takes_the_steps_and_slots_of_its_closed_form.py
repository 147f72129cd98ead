"""Periodic advances the steps and takes the slots of its closed forms."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjoint.errors import ScheduleError
from adjoint.schedules import Periodic
from adjoint.simulation.replay import price


@settings(max_examples=200)
@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 9))
def test_played(steps, units, leaf):
    found = price(Periodic(steps, units * leaf, leaf_steps=leaf))
    leaves = -(-steps // leaf)
    boundaries = (leaves - 1) // units
    tail = leaves - boundaries * units
    assert found.advances == leaf * (2 * leaves - 1 - tail - boundaries)
    assert found.peak_slots == (leaves // units + units - 2 if units <= leaves else leaves - 1)


def test_every_step_is_advanced_at_most_twice_and_recorded_once():
    found = price(Periodic(10**4, 100))
    assert (found.advances, found.leaf_advances, found.peak_slots) == (19_800, 1, 198)


@pytest.mark.parametrize("interval", [0, -4, 6])
def test_intervals_off_the_grid_of_leaves_are_refused(interval):
    with pytest.raises(ScheduleError, match=f"interval is {interval}.*multiple of leaf_steps=4"):
        Periodic(10, interval, leaf_steps=4)
