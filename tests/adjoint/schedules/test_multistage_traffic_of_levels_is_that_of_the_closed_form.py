"""Stores and restores at every level of Revolve's stack are those of the closed form."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stack_levels import traffic_of_levels

from adjoint.schedules import Multistage, Revolve
from adjoint.schedules.multistage import level_traffic
from adjoint.schedules.revolve import beta
from adjoint.simulation.replay import price


def test_every_small_run():
    for leaves in range(2, 90):
        for levels in range(1, min(leaves, 10)):
            played = traffic_of_levels(Revolve(leaves, levels), levels)
            assert level_traffic(leaves, levels) == played, (leaves, levels)


@settings(max_examples=100)
@given(st.integers(2, 3000), st.integers(1, 60))
def test_longer_runs(leaves, levels):
    levels = min(levels, leaves - 1)
    assert level_traffic(leaves, levels) == traffic_of_levels(Revolve(leaves, levels), levels)


@settings(max_examples=100)
@given(st.integers(1, 600), st.integers(1, 12), st.integers(0, 12), st.integers(1, 5))
def test_the_least_busy_levels_but_the_topmost_are_in_the_file(steps, slots, file_slots, leaf):
    schedule = Multistage(steps, slots, file_slots, leaf_steps=leaf)
    levels = schedule.num_slots + schedule.file_slots
    traffic = list(zip(*level_traffic(-(-steps // leaf), levels), strict=True))
    least_busy = sorted(traffic[:-1], key=sum)[: schedule.file_slots]
    found = price(schedule)
    assert found.writes == sum(writes for writes, _ in least_busy)
    assert found.reads == sum(reads for _, reads in least_busy)


@pytest.mark.parametrize("levels", [1, 2, 3, 16, 50, 200])
def test_a_run_too_long_to_play(levels):
    writes, reads = level_traffic(10**9, levels)
    assert writes[0] == 1
    assert sum(reads) == 10**9 - 1, "the reversal of every leaf but the last begins with a restore"


def test_a_full_run_in_closed_form():
    writes, _reads = level_traffic(beta(6, 5), 6)
    assert writes == [1, 5, 15, 35, 70, 126]
