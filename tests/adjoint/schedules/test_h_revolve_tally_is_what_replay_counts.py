"""The tally of H-Revolve is what replay counts, within the slots and the file."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjoint.schedules import DiskRevolve, HRevolve
from adjoint.simulation.replay import Costs, price


def check(schedule, slots, places):
    tally, write, read = schedule.tally, schedule.write, schedule.read
    found = price(
        schedule,
        Costs(advance=1, pull_back=0, write=write, read=read),
        num_steps=schedule.num_steps,
        num_slots=slots,
        file_states=places,
    )
    assert (found.advances, found.peak_slots) == (tally.advances, tally.num_slots), schedule
    assert (found.writes, found.reads) == (tally.writes, tally.reads), schedule
    assert found.peak_file_states == tally.file_states, schedule
    assert found.makespan - found.leaf_advances == pytest.approx(tally.price(write, read)), schedule


quarters = st.integers(0, 60).map(lambda number: number / 4)
file_places = st.none() | st.integers(0, 30)


@settings(max_examples=150)
@given(st.integers(1, 400), st.integers(1, 8), file_places, quarters, quarters, st.integers(1, 4))
def test_on_any(steps, slots, places, write, read, leaf):
    schedule = HRevolve(steps, slots, places, write=write, read=read, leaf_steps=leaf)
    check(schedule, slots, places)


@pytest.mark.parametrize("steps", [2001, 2777, 12_345])
@pytest.mark.parametrize(
    ("places", "write", "read"), [(None, 2, 3), (40, 2, 3), (3, 100, 1), (6, 1, 1)]
)
def test_periodic(steps, places, write, read):
    leaf = 2 if steps > 10_000 else 1
    schedule = HRevolve(steps, 3, places, write=write, read=read, leaf_steps=leaf)
    check(schedule, 3, places)


@pytest.mark.parametrize(("transfer", "room"), [(0.5, None), (500, None), (2, 5000), (2, 300)])
def test_a_long_run(transfer, room):
    schedule = DiskRevolve(30_000, 4, write=transfer, read=transfer, max_file_states=room)
    assert schedule.file_states > 1
    check(schedule, 4, room)
