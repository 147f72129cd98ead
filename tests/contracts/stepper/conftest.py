"""Fixtures of the stepper contract: every stepper of `every_stepper`, fresh.

A test that only some steppers can pass parametrizes `case` itself: `every_stepper(adopts=True)`.
"""

from contextlib import suppress
from itertools import pairwise

import pytest

with suppress(ImportError):  # MPI opens files of its own, which no test of these leaves behind
    from mpi4py import MPI  # noqa: F401

from every_stepper import every_stepper
from stepper_by_hand import copied, leaf_ends


@pytest.fixture(params=every_stepper())
def case(request):
    """The stepper under test: how it is made and what it promises."""
    return request.param


@pytest.fixture
def make(case):
    """Makes a fresh stepper, not started."""
    return case.make


@pytest.fixture
def stepper(make):
    """A fresh stepper, started."""
    stepper = make()
    stepper.start()
    return stepper


@pytest.fixture
def ends(case, stepper):
    """Where leaves end, from 0 to the number of steps: `ends[k]` is the end of k leaves."""
    found = leaf_ends(stepper, case.num_steps)
    assert len(found) > 12, "a case has at least 12 leaves"
    return found


@pytest.fixture
def state_at(make):
    """Returns the state at the end of some leaves, reached leaf by leaf by a fresh stepper."""

    def reached(ends):
        stepper = make()
        stepper.start()
        for start, stop in pairwise(ends):
            stepper.advance(start, stop)
        return copied(stepper.state)

    return reached
