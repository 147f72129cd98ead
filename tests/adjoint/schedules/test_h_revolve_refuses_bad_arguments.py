"""Arguments out of range are refused; NumPy integers do not overflow."""

import math
from itertools import islice

import numpy as np
import pytest

from adjoint.errors import ScheduleError
from adjoint.schedules import DiskRevolve, HRevolve, Revolve, StoreAll


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DiskRevolve(0, 2, write=1, read=1), "num_steps is 0"),
        (lambda: DiskRevolve(9, 2, write=1, read=1, leaf_steps=0), "leaf_steps is 0"),
        (lambda: DiskRevolve(9, 0, write=1, read=1), "num_slots is 0.*9 leaves takes at least 1"),
        (lambda: DiskRevolve(9, -1, write=1, read=1), "num_slots is -1"),
        (lambda: DiskRevolve(9, 2, write=-1, read=1), "write is -1.*at least 0"),
        (lambda: DiskRevolve(9, 2, write=1, read=math.inf), "read is inf: .*finite"),
        (lambda: DiskRevolve(9, 2, write=math.nan, read=1), "write is nan"),
        (
            lambda: DiskRevolve(9, 2, write=1, read=1, max_file_states=-4),
            "max_file_states is -4.*None",
        ),
        (lambda: HRevolve(9, 0, 3, write=1, read=1), "num_slots is 0"),
        (lambda: HRevolve(9, 2, -1, write=1, read=1), "max_file_states is -1"),
    ],
)
def test_out_of_range(make, says):
    with pytest.raises(ScheduleError, match=says):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: DiskRevolve(9.0, 2, write=1, read=1),
        lambda: DiskRevolve(9, 2.0, write=1, read=1),
        lambda: HRevolve(9, 2, 3.0, write=1, read=1),
    ],
)
def test_floats_instead_of_integers(make):
    with pytest.raises(TypeError):
        make()


def test_a_single_leaf_needs_no_slot():
    assert list(DiskRevolve(4, 0, write=1, read=1, leaf_steps=4)) == list(StoreAll(4, leaf_steps=4))


def test_without_a_file_it_is_revolve():
    assert list(HRevolve(50, 4, 0, write=1, read=1)) == list(Revolve(50, 4))


def test_steps_beyond_32_bits():
    steps, slots = np.int32(2**31 - 1), np.int32(30)
    narrow = DiskRevolve(steps, slots, write=np.float32(4), read=4, max_file_states=np.int32(10**6))
    plain = DiskRevolve(2**31 - 1, 30, write=4, read=4, max_file_states=10**6)
    assert narrow.tally == plain.tally
    assert repr(narrow) == repr(plain)
    assert list(islice(narrow, 3000)) == list(islice(plain, 3000))
