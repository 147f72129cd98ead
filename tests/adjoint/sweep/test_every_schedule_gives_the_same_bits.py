"""Every schedule gives the bits of storing all states, also when repeated with other controls."""

import numpy as np
import pytest
from ended import Ended
from every_schedule import schedules, with_tapes_of_states
from hypothesis import given, settings
from pendulums import CopiedPendulums, Pendulums
from shown_tapes import ShowsTapes

import adjoint
from adjoint.errors import ArgumentError
from adjoint.schedules import (
    Asynchronous,
    DiskRevolve,
    HRevolve,
    Mixed,
    Multistage,
    Online,
    Periodic,
    Revolve,
    Spilling,
    StoreAll,
    TapesInFile,
)
from adjoint.schedules.costs import Costs
from adjoint.steppers import state_bytes

NUM_STEPS = 30


class Shown(ShowsTapes, Pendulums):
    """The pendulums, whose tapes may go to the file."""


class ShownCopied(ShowsTapes, CopiedPendulums):
    """The same in memory of their own."""

    tape_memory = property(lambda self: self._inner.tape_memory)
    _tapes = property(lambda self: self._inner._tapes)


def evaluate(functional, change):
    functional.stepper.controls["stiffness"][0] = 1.3 + change
    return functional.value_and_gradient()


def three_evaluations(kind, schedule, file=None):
    stepper = kind(4, NUM_STEPS, seed=1)
    with adjoint.Functional(stepper, NUM_STEPS, schedule=schedule, file=file) as functional:
        return [evaluate(functional, change) for change in (0.0, 0.0, 0.25)]


def assert_same_bits(found, expected):
    for (cost, gradient), (expected_cost, expected_gradient) in zip(found, expected, strict=True):
        assert cost == expected_cost
        for name, array in expected_gradient.items():
            assert gradient[name].tobytes() == array.tobytes(), name


QUICK = Costs(
    advance=1, unreached=1, pull_back=1, write=0.5, read=0.5, piece_write=0.5, piece_read=0.5
)
SLOW = Costs(
    advance=1,
    unreached=1,
    pull_back=1,
    write=5,
    read=7,
    piece_write=5,
    piece_read=7,
    slowdown=1.2,
    read_slowdown=1.4,
)

SCHEDULES = [
    Revolve(NUM_STEPS, 1),
    Revolve(NUM_STEPS, 4),
    Revolve(NUM_STEPS, 3, leaf_steps=4),
    Asynchronous(NUM_STEPS, 2, 3),
    Asynchronous(NUM_STEPS, 6, 5),
    Asynchronous(NUM_STEPS, 3, 8, leaf_steps=4),
    Asynchronous(NUM_STEPS, 4, 4, leaf_steps=4),
    Periodic(NUM_STEPS, 6, leaf_steps=2),
    Multistage(NUM_STEPS, 2, 3),
    DiskRevolve(NUM_STEPS, 2, write=0.5, read=1.5),
    HRevolve(NUM_STEPS, 1, 3, write=1, read=1, leaf_steps=2),
    Mixed(NUM_STEPS, 5, 1),
    Mixed(NUM_STEPS, 8, 3, leaf_steps=3),
    Online(3),
    Online(2, leaf_steps=4),
    Spilling(NUM_STEPS, 1, 1, costs=QUICK),
    Spilling(NUM_STEPS, 3, 4.5, costs=SLOW, tail_slots=1),
    Spilling(NUM_STEPS, 3, 5, costs=SLOW, tape_slots=1),
    Spilling(NUM_STEPS, 4, 4, costs=SLOW, tape_slots=4, leaf_steps=4),
    Spilling(None, 3, 2.5, costs=SLOW, max_file_states=4),
    TapesInFile(NUM_STEPS, 2, 1, costs=QUICK),
    TapesInFile(NUM_STEPS, 6, 1, costs=QUICK),
    TapesInFile(NUM_STEPS, 9, 4, costs=QUICK, tape_pieces=4, leaf_steps=4),
    TapesInFile(NUM_STEPS, 4, 1, costs=SLOW),
]


@pytest.mark.parametrize("kind", [Shown, ShownCopied])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_first_and_second_evaluation_and_after_the_controls_change(kind, schedule, tmp_path):
    expected = three_evaluations(kind, StoreAll(NUM_STEPS))
    assert expected[0][0] == expected[1][0] != expected[2][0]
    assert_same_bits(three_evaluations(kind, schedule, tmp_path / "run.h5"), expected)


@settings(max_examples=120, deadline=None)
@given(schedules(max_steps=40, max_slots=6))
def test_any_small_schedule(tmp_path_factory, schedule):
    num_steps = schedule.num_steps
    folder = tmp_path_factory.mktemp("run")
    played = schedule.schedule if isinstance(schedule, Ended) else schedule
    played = with_tapes_of_states(played)
    result = adjoint.gradient(Shown(2, num_steps), num_steps, schedule=played, file=folder)
    expected = adjoint.gradient(Pendulums(2, num_steps), num_steps, schedule=StoreAll(num_steps))
    assert result.cost == expected.cost
    for name, array in expected.gradient.items():
        assert np.array_equal(result.gradient[name], array)
    assert not list(folder.iterdir()), "a temporary file was left behind"


def test_tapes_larger_than_the_slots_counted_for_them_are_refused():
    class Large(Pendulums):
        def tape_bytes(self, steps):
            return 3 * state_bytes(self.state)

    with pytest.raises(ArgumentError, match="tape_slots=3"):
        adjoint.gradient(Large(2, NUM_STEPS), NUM_STEPS, schedule=Mixed(NUM_STEPS, 5, 2))


def test_kept_tapes_count_in_the_reported_memory():
    schedule = Mixed(NUM_STEPS, NUM_STEPS - 1, 1)
    assert schedule.num_tapes == NUM_STEPS
    report = adjoint.gradient(Pendulums(2, NUM_STEPS), NUM_STEPS, schedule=schedule).report
    assert report.memory_bytes == (NUM_STEPS - 1) * 3 * 64  # three arrays, a cache line each
