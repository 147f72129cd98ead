"""Cost and gradient have the same bits under every schedule with the same leaves."""

import numpy as np
import pytest
from recurrent_unrolled import Problem, moved

import adjoint
from adjoint.schedules import Asynchronous, Mixed, Multistage, Revolve, StoreAll
from adjoint.verification import dot_product_test, replay_test, taylor_test

NUM_STEPS, LEAF = 70, 4
SCHEDULES = [
    Revolve(NUM_STEPS, 1, leaf_steps=LEAF),
    Revolve(NUM_STEPS, 4, leaf_steps=LEAF),
    Mixed(NUM_STEPS, 60, 24, leaf_steps=LEAF),
    Multistage(NUM_STEPS, 1, 3, leaf_steps=LEAF),
    Asynchronous(NUM_STEPS, 3, 12, leaf_steps=LEAF),
]
PROBLEMS = {
    "tanh": Problem("tanh", 1, NUM_STEPS, 5, 3, 9, classes=4),
    "gru": Problem("gru", 2, NUM_STEPS, 5, 3, 9, lengths=(70, 41, 66, 3, 40)),
    "lstm": Problem("lstm", 2, NUM_STEPS, 5, 3, 9, lengths=(69, 41, 66, 3, 40), classes=4),
}


def evaluations(problem: Problem, schedule, **options) -> list[tuple[float, dict[str, np.ndarray]]]:
    """Return two, then one with other weights."""
    network = problem.network(np.float32, leaf_steps=LEAF)
    with adjoint.Functional(network, NUM_STEPS, schedule=schedule, **options) as functional:
        found = [functional.value_and_gradient() for _ in range(2)]
        moved(network)
        return [*found, functional.value_and_gradient()]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_bitwise_twice_and_after_the_weights_change(problem, schedule, tmp_path):
    file = {} if isinstance(schedule, Revolve | Mixed) else {"file": tmp_path / "run.h5"}
    found = evaluations(PROBLEMS[problem], schedule, **file)
    kept = evaluations(PROBLEMS[problem], StoreAll(NUM_STEPS, leaf_steps=LEAF))
    assert found[0][0] != found[2][0]
    for (cost, gradient), (expected_cost, expected) in zip(found, kept, strict=True):
        assert cost == expected_cost
        for name, array in expected.items():
            assert gradient[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("problem", PROBLEMS)
def test_verification(problem):
    network = PROBLEMS[problem].network(leaf_steps=LEAF)
    assert replay_test(network, NUM_STEPS).passed
    assert dot_product_test(network, NUM_STEPS).passed
    with adjoint.Functional(network, NUM_STEPS, memory="1 MiB") as functional:
        assert taylor_test(functional).passed
