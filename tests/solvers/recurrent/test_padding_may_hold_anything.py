"""Inputs and targets of ended sequences may be NaN: the gradient is that of any other padding."""

import numpy as np
import pytest

import adjoint
from solvers.recurrent import GRU, LSTM, RecurrentNetwork, SquaredError, Tanh

LENGTHS = (11, 3, 0)


@pytest.mark.parametrize("cell", [Tanh, GRU, LSTM], ids=lambda cell: cell.__name__)
def test_gradients_have_the_same_bits(cell):
    rows = np.random.default_rng(2).standard_normal((2, 11, 3, 4))
    found = []
    for fill in (0.25, np.nan):
        rows[:, np.arange(11)[:, None] >= LENGTHS] = fill
        network = RecurrentNetwork(
            cell,
            4,
            5,
            batch=3,
            inputs=rows[0].copy(),
            targets=rows[1].copy(),
            loss=SquaredError(5, 4, seed=1),
            lengths=LENGTHS,
            leaf_steps=4,
            input_gradient=np.zeros((11, 3, 4)),
        )
        found.append(adjoint.gradient(network, 11))
    assert found[0].cost == found[1].cost
    for name, gradient in found[0].gradient.items():
        np.testing.assert_array_equal(gradient, found[1].gradient[name], err_msg=name)
