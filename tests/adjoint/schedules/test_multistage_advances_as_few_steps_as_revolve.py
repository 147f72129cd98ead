"""Multistage advances t(n, s) steps, with s the places in memory and file together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from revolve_dynamic_program import fewest

from adjoint.errors import ScheduleError
from adjoint.schedules import Multistage, Revolve
from adjoint.schedules.actions import (
    Advance,
    Discard,
    Offload,
    PullBack,
    Record,
    Restore,
    Store,
    Tier,
    Turn,
    Wait,
)
from adjoint.schedules.revolve import minimal_advances
from adjoint.simulation.replay import price


def test_by_brute_force():
    for (steps, places), (advances, _stores) in fewest(50, 6).items():
        for slots in range(1, places + 1):
            found = price(Multistage(steps, slots, places - slots))
            assert found.advances == advances, (steps, slots, places)


@settings(max_examples=100)
@given(st.integers(1, 800), st.integers(1, 12), st.integers(0, 30), st.integers(1, 6))
def test_advances_are_those_of_whole_leaves(steps, slots, file_slots, leaf):
    found = price(Multistage(steps, slots, file_slots, leaf_steps=leaf))
    leaves = -(-steps // leaf)
    assert found.advances == leaf * minimal_advances(leaves, slots + file_slots)


@given(st.integers(1, 200), st.integers(1, 30), st.integers(1, 6))
def test_without_places_in_the_file_it_is_revolve(steps, slots, leaf):
    schedule = Multistage(steps, slots, 0, leaf_steps=leaf)
    assert list(schedule) == list(Revolve(steps, slots, leaf_steps=leaf))


def test_a_small_stream_written_by_hand():
    assert list(Multistage(5, 1, 1)) == [
        *(Store(0), Offload(0), Wait(0), Discard(0, Tier.MEMORY), Advance(0, 2)),
        *(Store(2), Advance(2, 4), Record(4, 5), Turn(), PullBack(4, 5)),
        *(Restore(2), Advance(2, 3), Record(3, 4, reach_stop=False), PullBack(3, 4)),
        *(
            Restore(2, keep=False),
            Discard(2, Tier.MEMORY),
            Record(2, 3, reach_stop=False),
            PullBack(2, 3),
        ),
        *(Restore(0), Advance(0, 1), Record(1, 2, reach_stop=False), PullBack(1, 2)),
        *(Restore(0), Discard(0, Tier.FILE), Record(0, 1, reach_stop=False), PullBack(0, 1)),
    ]


@pytest.mark.parametrize(
    ("slots", "file_slots", "says"),
    [
        (0, 3, "num_slots is 0: reversing 9 leaves takes at least 1"),
        (-1, 3, "num_slots is -1"),
        (2, -1, "file_slots is -1: 0 keeps all snapshots in memory"),
    ],
)
def test_refused(slots, file_slots, says):
    with pytest.raises(ScheduleError, match=says):
        Multistage(9, slots, file_slots)
