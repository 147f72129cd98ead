"""The gradient agrees with those of JAX and PyTorch for the whole unroll, in both precisions."""

import numpy as np
import pytest
from recurrent_unrolled import Problem, by_jax, by_torch, copied, distance

import adjoint
from adjoint.steppers import copy_arrays

NUM_STEPS = 5


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
@pytest.mark.parametrize(
    "by_framework",
    [
        pytest.param(by_jax, marks=pytest.mark.needs("jax"), id="jax"),
        pytest.param(by_torch, marks=pytest.mark.needs("torch"), id="torch"),
    ],
)
def test_two_layers_of_unequal_lengths(by_framework, cell):
    problem = Problem(cell, 2, NUM_STEPS, 4, 3, 8, lengths=(5, 3, 4, 1), classes=6)
    single, double = (problem.network(dtype, leaf_steps=2) for dtype in (np.float32, np.float64))
    copy_arrays(single.controls, double.controls)
    expected = by_framework(problem, copied(double))
    assert distance(adjoint.gradient(double, NUM_STEPS).gradient, expected) < 1e-12
    assert distance(adjoint.gradient(single, NUM_STEPS).gradient, expected) < 1e-5
