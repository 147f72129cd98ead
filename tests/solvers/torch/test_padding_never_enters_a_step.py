"""Padding of any content, and cells with infinite slopes, have the gradient of sequences alone."""

import pytest

torch = pytest.importorskip("torch")

from torch_unrolled import NUM_STEPS, Model, relative_error  # noqa: E402

LENGTHS = (8, 21, 13)
SLOPES = {
    "unit vector": lambda x: x / x.norm(dim=-1, keepdim=True),
    "square root": lambda x: x * x.square().sum(-1, keepdim=True).sqrt(),
    "logarithm": lambda x: x.abs().log(),
    "reciprocal": lambda x: 1e-3 / x,
}
ENDED = torch.arange(NUM_STEPS)[:, None] >= torch.tensor(LENGTHS)


def model_of(slope, fill):
    model = Model("GRUCell", lengths=LENGTHS)
    model.inputs[ENDED] = fill
    cell = model.module

    def step(inputs, state):
        # The state has an infinite slope as well: it is zero for the sequence that ends first.
        state = cell(SLOPES[slope](inputs), state / state.norm(dim=-1, keepdim=True))
        return state * (inputs.sum(-1, keepdim=True) != 0)

    model.cell = step
    return model


@pytest.mark.parametrize("fill", [0.0, torch.nan, torch.inf])
@pytest.mark.parametrize("slope", list(SLOPES))
@pytest.mark.parametrize("own", [False, True])
def test_the_gradient_is_that_of_each_sequence_alone(own, slope, fill):
    model = model_of(slope, fill)
    model.inputs[LENGTHS[0] - 1, 0] *= 1e-12
    model.inputs.requires_grad_()
    total = 0.0
    for index, length in enumerate(LENGTHS):
        state = model.initial[0][index : index + 1]
        for k in range(length):
            state = model.cell(model.inputs[k, index : index + 1], state)
            total = total + model.read_out(state, model.targets[k, index : index + 1]).sum()
    tensors = [*model.differentiated, model.inputs]
    expected = torch.autograd.grad(total, tensors)
    given = {}
    if own:
        cell, read_out = model.cell, model.read_out

        def step(state, inputs, k):
            state = cell(inputs[0], state)
            return state, read_out(state, inputs[1])

        model.cell = step
        given = {"loss": None, "targets": None, "inputs": (model.inputs, model.targets)}
    with model.sequence(modules=[model.module, model.read_out], **given) as sequence:
        assert sequence.backward() == pytest.approx(total.item(), rel=1e-13)
    found = [tensor.grad for tensor in tensors]
    assert relative_error(found, expected) < 1e-12


@pytest.mark.parametrize("kind", ["LSTM", "LSTMCell", "own"])
def test_padding_may_be_nan(kind):
    model = Model(kind, lengths=LENGTHS)
    expected = model.gradients()
    model.inputs[ENDED] = torch.nan
    with model.sequence() as sequence:
        assert sequence.backward() == pytest.approx(expected[0], rel=1e-13)
    found = [tensor.grad for tensor in model.differentiated]
    assert relative_error(found, expected[1]) < 1e-12
