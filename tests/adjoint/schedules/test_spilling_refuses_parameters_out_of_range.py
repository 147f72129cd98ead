"""What is out of range is refused, with the value and what is possible instead."""

import math
import re

import pytest
from ended import Ended
from hypothesis import given
from hypothesis import strategies as st
from spilling_cases import PLAIN

from adjoint.errors import ScheduleError
from adjoint.schedules import Spilling
from adjoint.schedules.actions import Advance


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_steps": 0}, "num_steps is 0: there must be at least one"),
        ({"leaf_steps": 0}, "leaf_steps is 0: a leaf has at least one"),
        ({"num_slots": 0}, "num_slots is 0.*reversing 100 leaves takes at least 1"),
        ({"num_slots": -1, "num_steps": 1}, "num_slots is -1.*at least 0"),
        ({"num_steps": None, "num_slots": 0}, "num_slots is 0.*at least 1"),
        ({"interval": 0.5}, "interval is 0.5: it must be at least the 1 step"),
        ({"interval": 2, "leaf_steps": 3}, "interval is 2: it must be at least the 3 steps"),
        ({"interval": math.nan}, "interval is nan"),
        ({"interval": math.inf}, "interval is inf: .*finite"),
        ({"tail_slots": 5}, "tail_slots is 5: it must be between 0 and 4"),
        ({"tail_slots": -1}, "tail_slots is -1: it must be between 0 and 4"),
        ({"tail_repeats": -1}, "tail_repeats is -1: it must be between 0 and"),
        ({"tape_slots": -1}, "tape_slots is -1: it must be between 0 and 4"),
        ({"tape_slots": 5}, "tape_slots is 5: it must be between 0 and 4"),
        ({"num_steps": None}, "max_file_states is None.*must be given.*at least 2"),
        ({"num_steps": None, "max_file_states": 1}, "max_file_states is 1.*at least 2"),
        ({"max_file_states": -1}, "max_file_states is -1"),
        ({"max_file_states": 5}, "may hold 5: take an interval of at least"),
        ({"max_file_states": 0}, "may hold 0: take Revolve"),
    ],
)
def test_refused(options, says):
    given_options = {"num_steps": 100, "num_slots": 4, "interval": 3, "costs": PLAIN} | options
    with pytest.raises(ScheduleError, match=says):
        Spilling(**given_options)


@pytest.mark.parametrize(
    "options", [{"num_steps": 9.0}, {"num_slots": 2.5}, {"leaf_steps": 1.0}, {"tail_slots": 1.0}]
)
def test_floats_are_refused(options):
    with pytest.raises(TypeError):
        Spilling(**({"num_steps": 9, "num_slots": 3, "interval": 3, "costs": PLAIN} | options))


@given(
    st.integers(1, 1000),
    st.integers(1, 10),
    st.integers(0, 10),
    st.integers(0, 3),
    st.integers(1, 4),
    st.integers(1, 30),
)
def test_the_interval_it_names_is_possible(steps, slots, tail, repeats, leaf, room):
    options = {
        "costs": PLAIN,
        "leaf_steps": leaf,
        "tail_slots": min(tail, slots),
        "tail_repeats": repeats,
        "max_file_states": room,
    }
    try:
        Spilling(steps, slots, leaf, **options)
    except ScheduleError as refusal:
        least = re.search(r"at least ([\d.e+]+) steps", str(refusal))
        assert Spilling(steps, slots, float(least[1]), **options).file_states <= room


@given(st.integers(0, 60), st.integers(1, 4), st.integers(-5, 5))
def test_an_end_where_the_live_state_cannot_be(played, leaf, beyond):
    schedule = Spilling(None, 2, 3 * leaf, costs=PLAIN, leaf_steps=leaf, max_file_states=5)
    stream, last = iter(schedule), Advance(0, 0)
    for _, action in zip(range(played), stream, strict=False):
        last = action if type(action) is Advance else last
    end = last.stop + beyond
    if last.start < end <= last.stop:
        stream.set_num_steps(end)
        with pytest.raises(ScheduleError, match=f"ended at step {end}: it cannot end again"):
            stream.set_num_steps(end)
    else:
        with pytest.raises(ScheduleError, match=f"cannot end at step {end}.*{last.start}"):
            stream.set_num_steps(end)


def test_a_single_leaf_needs_no_slot():
    assert len(list(Spilling(4, 0, 4, costs=PLAIN, leaf_steps=4))) == 3
    assert list(Ended(Spilling(None, 1, 4, costs=PLAIN, leaf_steps=4, max_file_states=2), 3))
