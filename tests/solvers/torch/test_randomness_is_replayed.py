"""Dropout draws the same numbers in replays, and torch's generator advances by one draw."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch_unrolled import NUM_STEPS, Model, gradients_of, relative_error  # noqa: E402

from adjoint.schedules import Revolve  # noqa: E402

ONE_SLOT = Revolve(NUM_STEPS, 1, leaf_steps=5)


class Noisy(nn.Module):
    """A cell that multiplies its state by noise: drawn and recorded, or prescribed."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell
        self.drawn: dict[int, list] = {}

    def forward(self, state, inputs, step):
        row, target = inputs
        noise = torch.bernoulli(torch.full_like(state, 0.7))
        self.drawn.setdefault(step, []).append(noise)
        state = self.cell(row, state * noise)
        return state, (state.sum(1) - target).square()


def unrolled(model, noise):
    state, losses = model.initial[0], []
    for step, (row, target) in enumerate(zip(model.inputs, model.targets, strict=True)):
        state = model.module(row, state * noise[step])
        losses.append((state.sum(1) - target).square().sum())
    return torch.stack(losses).sum()


def test_a_gradient_uses_the_numbers_of_the_forward_sweep():
    model = Model("GRUCell")
    noisy = Noisy(model.module)
    options = {"inputs": (model.inputs, model.targets), "loss": None, "targets": None}
    model.cell = noisy
    with model.sequence(schedule=ONE_SLOT, **options) as sequence:
        sequence.loss()
        noisy.drawn.clear()
        sequence.backward()
    tensors = [*model.module.parameters(), model.initial[0]]
    assert len(noisy.drawn) == NUM_STEPS
    assert any(len(drawn) > 2 for drawn in noisy.drawn.values())
    for first, *again in noisy.drawn.values():
        assert all(torch.equal(noise, first) for noise in again)
    noise = {step: drawn[-1] for step, drawn in noisy.drawn.items()}
    assert any(not torch.equal(noise[0], other) for other in noise.values())
    expected = torch.autograd.grad(unrolled(model, noise), tensors)
    assert relative_error([tensor.grad for tensor in tensors], expected) < 1e-12


def with_dropout():
    model = Model("LSTM", torch.float32)
    model.module.dropout = 0.5
    return model


def test_the_seed_determines_a_run_and_evaluations_differ():
    model = with_dropout()
    with model.sequence(schedule=ONE_SLOT) as sequence:
        torch.manual_seed(3)
        first, second = sequence.backward(), sequence.backward()
        torch.manual_seed(3)
        assert sequence.loss() == first != second
        assert sequence.loss() == second
        model.module.eval()
        assert sequence.loss() == sequence.loss()


def test_the_gradient_is_right():
    """The derivative along the gradient, at a fixed seed."""
    model = Model("LSTM")
    model.module.dropout = 0.5
    with model.sequence() as sequence:

        def loss():
            torch.manual_seed(3)
            return sequence.loss()

        torch.manual_seed(3)
        _, found = gradients_of(sequence, model)
        weight, slope = model.module.weight_hh_l0, found[1].square().sum().item()
        assert weight.grad is found[1]
        costs = []
        for h in (-1e-5, 2e-5):
            with torch.no_grad():
                weight.add_(h * found[1])
            costs.append(loss())
    assert (costs[1] - costs[0]) / 2e-5 == pytest.approx(slope, rel=1e-6)


def test_the_global_generator_moves_by_one_draw():
    model = with_dropout()
    with model.sequence() as sequence:
        torch.manual_seed(3)
        sequence.backward()
        after = torch.rand(4)
    torch.manual_seed(3)
    torch.randint(2**62, ())
    assert torch.equal(torch.rand(4), after)
