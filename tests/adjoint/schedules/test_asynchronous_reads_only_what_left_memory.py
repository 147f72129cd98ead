"""A state whose slot nobody needed between its write and its use is not read again."""

from hypothesis import given
from hypothesis import strategies as st

from adjoint.schedules import Asynchronous
from adjoint.simulation.replay import price


def test_nothing_is_read_where_all_stay():
    found = price(Asynchronous(43, 20, 10))
    assert (found.writes, found.reads) == (4, 0)


def test_staging_buffers_that_segments_leave_alone_are_not_read():
    found = price(Asynchronous(105, 20, 10, staging=4))
    assert (found.writes, found.reads) == (10, 6)


@given(st.integers(1, 300), st.integers(2, 30), st.integers(1, 30), st.integers(1, 6))
def test_each_boundary_but_the_last_is_written_and_the_one_before_it_not_read(
    steps, slots, interval, staging
):
    found = price(Asynchronous(steps, slots, interval, staging=staging))
    boundaries = (steps - 1) // interval
    assert found.writes == found.peak_file_states == boundaries
    assert max(0, boundaries - staging) <= found.reads <= max(0, boundaries - 1)
