"""Weights of `torch.nn.LSTM`, `GRU` and `RNN` have the same names, shapes and results here."""

import numpy as np
import pytest

from solvers.recurrent import GRU, LSTM, RecurrentNetwork, Tanh

torch = pytest.importorskip("torch")

CELLS = {"RNN": Tanh, "GRU": GRU, "LSTM": LSTM}


@pytest.mark.parametrize("kind", CELLS)
def test_final_states_are_equal(kind, rng):
    theirs = getattr(torch.nn, kind)(3, 6, num_layers=2, dtype=torch.float64)
    inputs = rng.standard_normal((25, 4, 3))
    ours = RecurrentNetwork(CELLS[kind], 3, 6, batch=4, num_layers=2, inputs=inputs, leaf_steps=10)
    for name, weight in theirs.named_parameters():
        ours.controls[name][...] = weight.detach().numpy()
    ours.start()
    ours.advance(0, 25)
    ends = theirs(torch.from_numpy(inputs))[1]
    ends = ends if kind == "LSTM" else (ends,)
    for array, expected in zip(ours.state.values(), ends, strict=True):
        np.testing.assert_allclose(array, expected.detach().numpy(), rtol=0, atol=1e-13)
