"""Arguments out of range are refused; NumPy integers do not overflow."""

from itertools import islice

import numpy as np
import pytest

from adjoint.errors import ScheduleError
from adjoint.schedules import Asynchronous, Revolve, StoreAll
from adjoint.schedules.actions import Advance
from adjoint.schedules.revolve import minimal_advances


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: StoreAll(0), "num_steps is 0"),
        (lambda: StoreAll(5, leaf_steps=0), "leaf_steps is 0"),
        (lambda: Revolve(-3, 2), "num_steps is -3"),
        (lambda: Revolve(5, 0), "num_slots is 0: reversing 5 leaves takes at least 1"),
        (lambda: Revolve(5, -1), "num_slots is -1"),
        (lambda: Revolve(5, 0, leaf_steps=4), "reversing 2 leaves"),
        (lambda: Asynchronous(10, 1, 4), "num_slots is 1.*at least 2"),
        (lambda: Asynchronous(10, 0, 10), "num_slots is 0.*at least 1"),
        (lambda: Asynchronous(10, 4, 0), "interval is 0"),
        (lambda: Asynchronous(10, 4, 5, leaf_steps=2), "multiple of leaf_steps=2"),
        (lambda: Asynchronous(10, 4, 5, leaf_steps=-5), "leaf_steps is -5"),
        (lambda: Asynchronous(10, 4, 5, staging=0), "staging is 0"),
    ],
)
def test_refused(make, says):
    with pytest.raises(ScheduleError, match=says):
        make()


@pytest.mark.parametrize(
    "make", [lambda: StoreAll(2.0), lambda: Revolve(9, 2.5), lambda: Asynchronous(9, 3, 4.0)]
)
def test_floats_are_refused(make):
    with pytest.raises(TypeError):
        make()


def test_a_single_leaf_needs_no_slot():
    assert list(Revolve(4, 0, leaf_steps=4)) == list(StoreAll(4, leaf_steps=7))
    assert list(Asynchronous(4, 0, 4, leaf_steps=4)) == list(StoreAll(4, leaf_steps=4))


@pytest.mark.parametrize("kind", [Revolve, lambda n, s: Asynchronous(n, s, np.int32(1500) * s)])
def test_steps_beyond_32_bits(kind):
    narrow, plain = kind(np.int32(2**31 - 1), np.int32(30)), kind(2**31 - 1, 30)
    assert list(islice(narrow, 3000)) == list(islice(plain, 3000))
    advances = [action for action in islice(narrow, 3000) if type(action) is Advance]
    assert all(type(action.stop) is int for action in advances)


def test_counts_beyond_32_bits():
    steps, slots = np.int32(2**31 - 1), np.int32(3)
    assert minimal_advances(steps, slots) == minimal_advances(2**31 - 1, 3) > 2**33
