"""The asynchronous scheme advances as many steps as its closed form says."""

from hypothesis import given, settings
from hypothesis import strategies as st
from revolve_dynamic_program import fewest

from adjoint.schedules import Asynchronous
from adjoint.schedules.revolve import minimal_advances
from adjoint.simulation.replay import price

BRUTE_FORCE = fewest(30, 8)


def closed_form(schedule):
    """Return the steps of the forward sweep, and of Revolve in every segment.

    Each segment but the first leaves a slot for prefetching.
    """
    leaf, slots, boundaries = schedule.leaf_steps, schedule.num_slots, schedule.file_states
    inside, offloading = schedule.interval // leaf, boundaries * schedule.interval
    tail = -(-(schedule.num_steps - offloading) // leaf)
    if boundaries == 0:
        return leaf * minimal_advances(tail, slots)
    recomputed = minimal_advances(tail, slots - 1) + minimal_advances(inside, slots)
    if boundaries > 1:
        recomputed += (boundaries - 1) * minimal_advances(inside, slots - 1)
    return offloading + leaf * recomputed


def test_segments_are_those_of_brute_force():
    # segments [0, 12), [12, 24), [24, 36), [36, 43): all but the first leave a slot for prefetching
    for slots in range(2, 9):
        recomputed = [BRUTE_FORCE[7, slots - 1], *[BRUTE_FORCE[12, slots - 1]] * 2]
        recomputed.append(BRUTE_FORCE[12, slots])
        expected = 36 + sum(advances for advances, _stores in recomputed)
        assert price(Asynchronous(43, slots, 12)).advances == expected


@settings(max_examples=150)
@given(st.integers(1, 500), st.integers(2, 20), st.integers(1, 60), st.integers(1, 9))
def test_played(steps, slots, units, leaf):
    schedule = Asynchronous(steps, slots, units * leaf, leaf_steps=leaf)
    assert price(schedule).advances == closed_form(schedule)
