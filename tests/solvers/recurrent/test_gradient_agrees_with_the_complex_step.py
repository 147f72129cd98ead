"""The gradient of every cell agrees with the complex step, also at later evaluations."""

import numpy as np
import pytest
from recurrent_unrolled import Problem, complex_step, copied, cost, distance, moved

import adjoint

NUM_STEPS = 7
LENGTHS = {"equal": None, "unequal": (7, 3, 5), "one of none": (6, 0, 2)}


@pytest.fixture(params=["tanh", "gru", "lstm"])
def cell(request):
    return request.param


def check(problem: Problem, **options) -> None:
    """Compare twice, and once more after all weights have changed."""
    network = problem.network(**options)
    with adjoint.Functional(network, NUM_STEPS) as functional:
        for evaluations in (2, 1):
            weights = copied(network)
            expected = complex_step(problem, weights)
            for _ in range(evaluations):
                found, gradient = functional.value_and_gradient()
                assert functional.value() == found
                assert distance(gradient, expected) < 1e-12
            assert found == pytest.approx(cost(problem, weights, np, np.asarray), rel=1e-14)
            moved(network)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_layers_and_lengths(cell, num_layers, lengths):
    check(Problem(cell, num_layers, lengths=LENGTHS[lengths]))


@pytest.mark.parametrize("leaf_steps", [1, 2, 3, 7, 64])
def test_leaves_that_do_and_do_not_divide_the_length(cell, leaf_steps):
    check(Problem(cell, lengths=(7, 3, 5)), leaf_steps=leaf_steps)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_cross_entropy(cell, lengths):
    check(Problem(cell, classes=5, lengths=LENGTHS[lengths]))


def test_without_a_final_loss(cell):
    check(Problem(cell, final=False))
