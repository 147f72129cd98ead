"""Ranks may be given functions and objects of their own; arguments that differ are refused.

The default `repr` of an object or a function holds its address, which differs between ranks.
"""

from functools import partial

import numpy as np
import pytest
from pendulums import SharedPendulums
from throttled_engine import Throttle

import adjoint
from adjoint.errors import ArgumentError
from adjoint.parallel import communicator, require_same
from adjoint.schedules import Asynchronous, StoreAll
from adjoint.schedules.actions import (
    Advance,
    Discard,
    PullBack,
    Record,
    Restore,
    Store,
    Tier,
    Turn,
)

RANKS = (2, 3)

NUM_STEPS = 12


class Plain:
    """An object with the default `repr`."""

    def method(self):
        pass


class Named(Plain):
    """An object whose `repr` says what it is, and includes that of another."""

    def __init__(self, name, part):
        self.name, self.part = name, part

    def __repr__(self):
        return f"Named({self.name!r}, {self.part!r})"


def function():
    pass


def other_function():
    pass


@pytest.fixture
def ranks(comm):
    # Addresses that differ between ranks: as many objects more as the rank says.
    padding = [Plain() for _ in range(1000 * comm.rank)]
    ranks = communicator(comm)
    yield ranks
    ranks.free()
    padding.clear()


def differ(ranks, make):
    """Return whether the default `repr` differs between ranks, so that the test can fail."""
    return len(set(ranks.gather(repr(make())))) > 1


MAKERS = {
    "number": lambda: 3.5,
    "text": lambda: "run.h5",
    "containers": lambda: {"a": [1, 2.0, None], "b": (True, b"x")},
    "function": lambda: function,
    "lambda": lambda: lambda: 0,
    "class": lambda: Plain,
    "method": lambda: Plain().method,
    "partial": lambda: partial(function, 1),
    "object": Plain,
    "object in an object": lambda: Named("a", Plain()),
    "objects in a list": lambda: [Plain(), Plain()],
    "frozen dataclass": Throttle,
    "schedule": lambda: StoreAll(NUM_STEPS),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_on_all_ranks_is_accepted(kind, ranks):
    require_same(ranks, argument=MAKERS[kind]())


def test_addresses_do_differ(ranks):
    made = [Plain() for _ in range(3 + 100 * ranks.rank)]
    assert differ(ranks, lambda: made[-1])


DIFFERENT = {
    "numbers": lambda rank: rank,
    "functions": lambda rank: other_function if rank else function,
    "classes": lambda rank: Named("a", 1) if rank else Plain(),
    "what a repr says": lambda rank: Named(f"rank {rank}", Plain()),
    "part of a list": lambda rank: [1, 2, Plain() if rank else None],
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_what_differs_is_refused_on_all_ranks(kind, ranks):
    with pytest.raises(ArgumentError, match="argument"):
        require_same(ranks, argument=DIFFERENT[kind](ranks.rank))


class Everything:
    """A user's own schedule, without a `repr`: it stores all states."""

    num_tapes, tape_slots, file_states, leaf_steps = 1, 0, 0, 1

    def __init__(self, steps):
        self.num_steps, self.num_slots = steps, steps - 1

    def __iter__(self):
        last = self.num_steps - 1
        for k in range(last):
            yield Store(k)
            yield Advance(k, k + 1)
        yield from (Record(last, last + 1), Turn(), PullBack(last, last + 1))
        for k in reversed(range(last)):
            yield Restore(k)
            yield Discard(k, Tier.MEMORY)
            yield Record(k, k + 1)
            yield PullBack(k, k + 1)


def gradient(comm, **options):
    stepper = SharedPendulums(2, NUM_STEPS, comm)
    return adjoint.gradient(stepper, NUM_STEPS, comm=comm, **options)


def assert_same(result, expected):
    assert result.cost == expected.cost
    for name, array in expected.gradient.items():
        np.testing.assert_array_equal(result.gradient[name], array)


def test_a_schedule_of_the_users_own_class_is_played(comm):
    result = gradient(comm, schedule=Everything(NUM_STEPS))
    assert_same(result, gradient(comm, schedule=StoreAll(NUM_STEPS)))


def test_a_function_that_makes_an_engine_is_used(comm, tmp_path):
    made = []

    def engine(comm, placement):
        made.append(Throttle()(comm, placement))
        return made[-1]

    schedule = Asynchronous(NUM_STEPS, 3, 3)
    result = gradient(comm, schedule=schedule, file=tmp_path / "run.h5", engine=engine)
    assert made
    assert_same(result, gradient(comm, schedule=StoreAll(NUM_STEPS)))
