"""The virtual clock that decides shows, at the end, just the time that replay finds."""

import pytest
from hypothesis import given, settings
from spilling_cases import spillings

from adjoint.simulation.replay import price


@settings(max_examples=250)
@given(spillings(whole_leaves=True, known=True))
def test_at_the_end(schedule):
    stream = iter(schedule)
    found = price(stream, schedule.costs, num_steps=schedule.num_steps)
    assert stream.seconds == pytest.approx(found.makespan, rel=1e-9)
