"""A state whose slot was not needed between its write and its use is not read again."""

from hypothesis import given
from hypothesis import strategies as st

from adjoint.schedules import Asynchronous
from adjoint.simulation.replay import price


def test_nothing_is_read_if_all_states_stay_in_memory():
    found = price(Asynchronous(43, 20, 10))
    assert (found.writes, found.reads) == (4, 0)


def test_states_in_staging_slots_that_segments_do_not_need_are_not_read():
    found = price(Asynchronous(105, 20, 10, staging=4))
    assert (found.writes, found.reads) == (10, 6)


@given(st.integers(1, 300), st.integers(2, 30), st.integers(1, 30), st.integers(1, 6))
def test_all_boundaries_except_the_last_are_written_and_the_one_before_it_is_not_read(
    steps, slots, interval, staging
):
    found = price(Asynchronous(steps, slots, interval, staging=staging))
    boundaries = (steps - 1) // interval
    assert found.writes == found.peak_file_states == boundaries
    assert max(0, boundaries - staging) <= found.reads <= max(0, boundaries - 1)
