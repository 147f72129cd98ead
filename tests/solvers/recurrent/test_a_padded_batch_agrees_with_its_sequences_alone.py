"""A padded batch of unequal lengths has the costs and gradients of its sequences run alone."""

import numpy as np
import pytest
from recurrent_unrolled import Problem

import adjoint
from solvers.recurrent import GRU, LSTM, CrossEntropy, RecurrentNetwork, Tanh

LENGTHS = (9, 4, 7, 1)


@pytest.mark.parametrize("cell", [Tanh, GRU, LSTM], ids=lambda cell: cell.__name__)
@pytest.mark.parametrize("num_steps", [9, 15])
def test_costs_and_gradients_add_up(cell, num_steps):
    problem = Problem("tanh", num_steps=9, batch=4, lengths=LENGTHS, classes=3)
    data = problem.data()

    def run(columns, num_steps, lengths):
        loss = CrossEntropy(4, 3, seed=2)
        network = RecurrentNetwork(
            cell,
            2,
            4,
            batch=len(columns),
            inputs=data["inputs"][:, columns],
            targets=data["targets"][:, columns],
            loss=loss,
            final_targets=np.arange(4)[columns] % 3,
            final_loss=loss,
            lengths=lengths,
            num_layers=2,
            leaf_steps=4,
            seed=1,
        )
        return adjoint.gradient(network, num_steps)

    whole = run([0, 1, 2, 3], num_steps, LENGTHS)
    alone = [run([column], length, None) for column, length in enumerate(LENGTHS)]
    assert whole.cost == pytest.approx(sum(result.cost for result in alone), rel=1e-14)
    for name, gradient in whole.gradient.items():
        if name in ("h0", "c0"):
            expected = np.concatenate([result.gradient[name] for result in alone], axis=1)
        else:
            expected = sum(result.gradient[name] for result in alone)
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-13, err_msg=name)
