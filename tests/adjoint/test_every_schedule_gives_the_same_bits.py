"""Checkpointed gradients have the bits of keeping everything: first, second, and after a change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pendulums import CopiedPendulums, Pendulums

import adjoint
from adjoint.schedules import Asynchronous, Revolve, StoreAll

NUM_STEPS = 30


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


@pytest.mark.parametrize("kind", [Pendulums, CopiedPendulums])
@pytest.mark.parametrize(
    "schedule",
    [
        Revolve(NUM_STEPS, 1),
        Revolve(NUM_STEPS, 4),
        Revolve(NUM_STEPS, 3, leaf_steps=4),
        Asynchronous(NUM_STEPS, 2, 3),
        Asynchronous(NUM_STEPS, 6, 5),
        Asynchronous(NUM_STEPS, 3, 8, leaf_steps=4),
        Asynchronous(NUM_STEPS, 4, 4, leaf_steps=4),
    ],
    ids=repr,
)
def test_first_and_second_evaluation_and_after_the_controls_change(kind, schedule, tmp_path):
    expected = three_evaluations(kind, StoreAll(NUM_STEPS))
    assert expected[0][0] == expected[1][0] != expected[2][0]
    assert_same_bits(three_evaluations(kind, schedule, tmp_path / "run.h5"), expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 5), st.integers(1, 6), st.booleans())
def test_any_small_schedule(tmp_path_factory, num_steps, slots, leaf, units, asynchronous):
    stepper = Pendulums(2, num_steps)
    if asynchronous:
        schedule = Asynchronous(num_steps, slots + 1, units * leaf, leaf_steps=leaf)
    else:
        schedule = Revolve(num_steps, slots, leaf_steps=leaf)
    folder = tmp_path_factory.mktemp("run")
    result = adjoint.gradient(stepper, num_steps, schedule=schedule, file=folder)
    expected = adjoint.gradient(stepper, num_steps, schedule=StoreAll(num_steps))
    assert result.cost == expected.cost
    for name, array in expected.gradient.items():
        assert np.array_equal(result.gradient[name], array)
    assert not list(folder.iterdir()), "a temporary file was left behind"
