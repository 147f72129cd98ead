"""What a hierarchical schedule says it comes to is what is played, within the places there are."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjoint.schedules import DiskRevolve, HRevolve
from adjoint.simulation.replay import Costs, price


def check(schedule, tiers):
    tally = schedule.tally
    costs = [(write, read) for _capacity, write, read in tiers[1:]]
    found = price(
        schedule,
        Costs(advance=1, pull_back=0, write=costs[0][0], read=costs[0][1], deeper=tuple(costs[1:])),
        num_steps=schedule.num_steps,
        num_slots=tiers[0][0],
        file_states=[math.inf if tier[0] is None else tier[0] for tier in tiers[1:]],
    )
    assert (found.advances, found.peak_slots) == (tally.advances, tally.num_slots), schedule
    assert (found.writes, found.reads) == (sum(tally.writes), sum(tally.reads)), schedule
    assert found.peak_tier_states == tally.tier_states, schedule
    assert found.makespan - found.leaf_advances == pytest.approx(tally.price(costs)), schedule


transfers = st.integers(0, 60).map(lambda quarters: quarters / 4)
tiers_below = st.lists(
    st.tuples(st.none() | st.integers(0, 30), transfers, transfers), min_size=1, max_size=3
)


@settings(max_examples=150)
@given(st.integers(1, 400), st.integers(1, 8), tiers_below, st.integers(1, 4))
def test_on_any(steps, slots, below, leaf):
    tiers = [(slots, 0, 0), *below]
    check(HRevolve(steps, tiers, leaf_steps=leaf), tiers)


@pytest.mark.parametrize("steps", [2001, 2777, 12_345])
@pytest.mark.parametrize(
    "below", [[(None, 2, 3)], [(40, 2, 3)], [(3, 100, 1)], [(6, 1, 1), (None, 20, 30)]]
)
def test_periodic(steps, below):
    tiers = [(3, 0, 0), *below]
    check(HRevolve(steps, tiers, leaf_steps=2 if steps > 10_000 else 1), tiers)


@pytest.mark.parametrize(("transfer", "room"), [(0.5, None), (500, None), (2, 5000), (2, 300)])
def test_a_file_and_a_long_run(transfer, room):
    schedule = DiskRevolve(30_000, 4, write=transfer, read=transfer, file_states=room)
    assert schedule.file_states > 1
    check(schedule, [(4, 0, 0), (room, transfer, transfer)])
