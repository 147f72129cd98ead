"""The makespan of the asynchronous scheme is that of its recurrences and its steady state."""

import math

import pytest
from asynchronous_recurrence import makespan
from hypothesis import given, settings
from hypothesis import strategies as st
from revolve_dynamic_program import fewest

from adjoint.schedules import Asynchronous
from adjoint.simulation.replay import Costs, price

ADVANCES = fewest(40, 12)

# (slots, write = read) -> time relative to keeping everything, in the limit of many steps
STEADY_STATE = {
    (4, 0.5): 1.000,
    (4, 10): 1.500,
    (4, 50): 2.200,
    (4, 200): 3.175,
    (16, 10): 1.300,
    (16, 50): 1.553,
    (16, 200): 1.745,
    (64, 50): 1.327,
    (64, 200): 1.558,
}


@pytest.mark.parametrize(("slots", "transfer"), STEADY_STATE)
def test_steady_state(slots, transfer):
    interval, steps = math.ceil(transfer), 10_000
    costs = Costs(advance=1, pull_back=2, write=transfer, read=transfer)
    found = price(Asynchronous(steps, slots, interval), costs)
    ideal = (steps - 1) + 2 * steps
    assert found.stall == 0
    # the last segment is reversed during the first sweep, and the first one has one slot more
    ends = 2 * interval / steps
    assert found.makespan / ideal == pytest.approx(STEADY_STATE[slots, transfer], rel=ends + 5e-4)


@settings(max_examples=200)
@given(
    st.integers(1, 400),
    st.integers(2, 12),
    st.integers(1, 40),
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(1, 4),
)
def test_event_times_with_one_staging_buffer(steps, slots, interval, w, r, u_f):
    def segment_advances(length, is_first):
        return ADVANCES[length, slots if is_first else slots - 1][0]

    found = price(
        Asynchronous(steps, slots, interval, staging=1),
        Costs(advance=u_f, pull_back=3, write=w, read=r),
    )
    times = {"u_f": u_f, "u_b": 3, "w": w, "r": r}
    assert found.makespan == makespan(steps, interval, segment_advances, **times)


@settings(max_examples=100)
@given(st.integers(1, 600), st.integers(2, 12), st.integers(1, 40), st.integers(2, 6))
def test_never_waits_if_intervals_take_as_long_as_transfers(steps, slots, interval, staging):
    costs = Costs(advance=1, pull_back=2, write=interval, read=interval)
    assert price(Asynchronous(steps, slots, interval, staging=staging), costs).stall == 0
