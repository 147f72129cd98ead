"""The asynchronous scheme advances as many steps as its closed form says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from revolve_dynamic_program import fewest

from adjoint.errors import ScheduleError
from adjoint.schedules import Asynchronous
from adjoint.schedules.asynchronous import asynchronous_advances
from adjoint.simulation.replay import price

BRUTE_FORCE = fewest(30, 8)


def test_segments_are_those_of_brute_force():
    # segments [0, 12), [12, 24), [24, 36), [36, 43): all but the first leave a slot for prefetching
    for slots in range(2, 9):
        recomputed = [BRUTE_FORCE[7, slots - 1], *[BRUTE_FORCE[12, slots - 1]] * 2]
        recomputed.append(BRUTE_FORCE[12, slots])
        expected = 36 + sum(advances for advances, _stores in recomputed)
        assert asynchronous_advances(43, slots, 12) == expected


@settings(max_examples=150)
@given(st.integers(1, 500), st.integers(1, 20), st.integers(1, 60), st.integers(1, 9))
def test_played(steps, slots, units, leaf):
    try:
        schedule = Asynchronous(steps, slots, units * leaf, leaf_steps=leaf)
    except ScheduleError:
        with pytest.raises(ScheduleError):
            asynchronous_advances(steps, slots, units * leaf, leaf_steps=leaf)
        return
    found = asynchronous_advances(steps, slots, units * leaf, leaf_steps=leaf)
    assert price(schedule).advances == found
