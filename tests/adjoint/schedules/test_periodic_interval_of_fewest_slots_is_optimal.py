"""No interval takes fewer slots than `interval_of_fewest_slots`: all others are tried."""

from hypothesis import given
from hypothesis import strategies as st

from adjoint.schedules import Periodic
from adjoint.schedules.periodic import interval_of_fewest_slots


def test_every_interval():
    for steps in range(1, 150):
        best = interval_of_fewest_slots(steps)
        fewest = min(Periodic(steps, interval).num_slots for interval in range(1, steps + 1))
        assert Periodic(steps, best).num_slots == fewest, steps


@given(st.integers(1, 10**18), st.integers(1, 10**6), st.integers(1, 10**9))
def test_any_interval_of_any_run(steps, leaf, units):
    best = interval_of_fewest_slots(steps, leaf_steps=leaf)
    found = Periodic(steps, best, leaf_steps=leaf).num_slots
    assert found <= Periodic(steps, units * leaf, leaf_steps=leaf).num_slots


def test_about_twice_the_square_root_of_the_steps():
    assert Periodic(10**6, interval_of_fewest_slots(10**6)).num_slots == 1998
