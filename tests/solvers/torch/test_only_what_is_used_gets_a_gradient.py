"""As after ``loss.backward()``, ``.grad`` of unused tensors is None, and hooks are called once."""

import pytest

torch = pytest.importorskip("torch")

from torch_unrolled import Model, gradients_of, relative_error  # noqa: E402


def test_an_unused_parameter():
    model = Model("GRUCell")
    model.read_out.unused = torch.nn.Linear(2, 2)
    with model.sequence() as sequence:
        sequence.backward()
    assert model.read_out.unused.weight.grad is None
    assert model.read_out.layer.weight.grad is not None


def test_a_frozen_parameter():
    model = Model("LSTM")
    model.module.weight_hh_l0.requires_grad_(False)
    with model.sequence() as sequence:
        sequence.backward()
        assert model.module.weight_hh_l0.grad is None
        model.module.bias_hh_l0.requires_grad_(False).grad = None
        sequence.backward()
    assert model.module.bias_hh_l0.grad is None


def test_hooks_are_called_once():
    model, calls = Model("GRU"), []
    weights = [model.module.weight_hh_l0, model.initial[0]]
    for tensor in weights:
        tensor.register_hook(lambda gradient: calls.append("before") or 2 * gradient)
        tensor.register_post_accumulate_grad_hook(lambda tensor: calls.append("after"))
    expected = model.gradients()[1]
    calls.clear()
    with model.sequence() as sequence:
        _, found = gradients_of(sequence, model)
        assert calls == ["before", "after"] * 2
        sequence.backward()
        assert calls == ["before", "after"] * 4
    expected = [2 * gradient for gradient in expected]
    assert relative_error(found, expected) < 1e-12


def test_shared_weights_get_one_gradient():
    model = Model("LSTMCell")
    model.module.bias_hh = model.module.bias_ih
    (expected,) = torch.autograd.grad(model.loss(), [model.module.bias_ih])
    with model.sequence() as sequence:
        sequence.backward()
    assert torch.allclose(model.module.bias_ih.grad, expected, rtol=1e-12)


@pytest.mark.parametrize("lengths", [None, (9, 0, 23)], ids=["equal", "unequal"])
@pytest.mark.parametrize("kind", ["GRUCell", "LSTM"])
def test_inputs_that_require_a_gradient(kind, lengths):
    model = Model(kind)
    model.inputs.requires_grad_()
    if lengths is None:
        loss = model.loss()
    else:
        kept = Model(kind, lengths=(9, 23))
        kept.inputs, kept.targets = model.inputs[:, [0, 2]], model.targets[:, [0, 2]]
        axis = (slice(None), [0, 2]) if model.fused else ([0, 2],)
        kept.module, kept.read_out = model.module, model.read_out
        kept.initial = [tensor[axis] for tensor in model.initial]
        loss = kept.loss()
    (expected,) = torch.autograd.grad(loss, [model.inputs])
    model.lengths = lengths
    with model.sequence() as sequence:
        sequence.backward()
    assert relative_error([model.inputs.grad], [expected]) < 1e-12


def test_a_final_loss():
    model = Model("own")
    read_out = torch.nn.Linear(6, 1, dtype=torch.float64)

    class Final(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = read_out

        def forward(self, state):
            return self.layer(state[1]).square().sum()

    state = model.state
    for row in model.inputs:
        _, state = model.module(row, state)
    loss = Final()(state)
    tensors = [*model.module.parameters(), *read_out.parameters(), *model.initial]
    expected = torch.autograd.grad(loss, tensors)
    with model.sequence(loss=None, targets=None, final_loss=Final()) as sequence:
        assert sequence.backward() == pytest.approx(loss.item(), rel=1e-12)
    assert relative_error([tensor.grad for tensor in tensors], expected) < 1e-12
