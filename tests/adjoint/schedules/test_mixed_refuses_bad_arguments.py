"""Arguments out of range are refused; NumPy integers do not overflow."""

from itertools import islice

import numpy as np
import pytest

from adjoint.errors import ScheduleError
from adjoint.schedules import Mixed
from adjoint.schedules.mixed import mixed_steps
from adjoint.schedules.mixed_table import TapeTable


@pytest.mark.parametrize("make", [Mixed, mixed_steps])
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((0, 3, 1, 1, 1), "num_steps is 0"),
        ((5, 3, 1, 0, 1), "leaf_steps is 0"),
        ((5, 0, 1, 1, 1), "num_slots is 0: reversing 5 leaves takes at least 1"),
        ((5, -1, 1, 1, 1), "num_slots is -1"),
        ((5, 0, 1, 4, 1), "reversing 2 leaves"),
        ((5, 3, 0, 1, 1), "tape_slots is 0: a tape takes at least one slot"),
        ((5, 3, 1, 1, 1.5), "unreached is 1.5.*or between"),
        ((5, 3, 1, 1, -0.1), "unreached is -0.1"),
        ((5, 3, 1, 1, float("nan")), "unreached is nan"),
    ],
)
def test_refused(make, given, says):
    steps, slots, tape_slots, leaf, unreached = given
    with pytest.raises(ScheduleError, match=says):
        make(steps, slots, tape_slots, leaf_steps=leaf, unreached=unreached)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((0, 3, 1, 1), "num_steps is 0"),
        ((5, -1, 1, 1), "max_slots is -1"),
        ((5, 3, 0, 1), "tape_slots is 0: a tape takes at least one slot"),
        ((5, 3, 1, 2), "unreached is 2.*or between"),
    ],
)
def test_refused_by_the_table(given, says):
    leaves, slots, tape_slots, unreached = given
    with pytest.raises(ScheduleError, match=says):
        TapeTable(leaves, slots, tape_slots=tape_slots, unreached=unreached)


@pytest.mark.parametrize("given", [(9.0, 3, 1), (9, 2.5, 1), (9, 3, 1.0)])
def test_floats_are_refused(given):
    with pytest.raises(TypeError):
        Mixed(*given)


def test_a_single_leaf_needs_no_slot():
    schedule = Mixed(4, 0, 3, leaf_steps=4)
    assert [type(action).__name__ for action in schedule] == ["Record", "Turn", "PullBack"]
    assert (schedule.num_slots, schedule.num_tapes) == (0, 1)


def test_steps_beyond_32_bits():
    narrow = Mixed(np.int32(2**31 - 1), np.int32(30), np.int32(2))
    plain = Mixed(2**31 - 1, 30, 2)
    assert list(islice(narrow, 3000)) == list(islice(plain, 3000))
    assert mixed_steps(np.int32(2**31 - 1), np.int32(3), np.int32(1)) == mixed_steps(
        2**31 - 1, 3, 1
    )
