"""`dataclasses.replace` makes a right schedule for another length, interval or file."""

from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spilling_cases import PLAIN, SLOW_READS, spillings
from toy_executor import Toy

from adjoint.errors import ScheduleError
from adjoint.schedules import Spilling


@given(spillings(known=True), st.integers(1, 400))
def test_another_length_is_reversed_within_slots_and_file(schedule, num_steps):
    try:
        other = replace(schedule, num_steps=num_steps)
    except ScheduleError:
        assert num_steps > schedule.num_steps
        assert schedule.max_file_states is not None
        return
    toy = Toy(num_steps, other.tape_slots).run(other)
    assert toy.most_units <= other.num_slots
    assert toy.most_in_file <= other.file_states
    assert list(replace(other, num_steps=schedule.num_steps)) == list(schedule)


def test_the_limit_of_the_file_stays_and_its_use_is_counted_anew():
    schedule = Spilling(400, 4, 20.0, costs=PLAIN, max_file_states=30)
    assert schedule.file_states < 30
    closer = replace(schedule, interval=15.0)
    assert schedule.file_states < closer.file_states <= 30
    with pytest.raises(ScheduleError, match="which may hold 30"):
        replace(schedule, interval=5.0)


def test_it_says_how_it_was_made():
    schedule = Spilling(400, 4, 20.0, costs=SLOW_READS, tape_slots=2)
    names = {"Spilling": Spilling, "Costs": type(SLOW_READS)}
    assert eval(repr(schedule), names) == schedule


def test_it_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Spilling(400, 4, 20.0, costs=PLAIN).num_steps = 300
