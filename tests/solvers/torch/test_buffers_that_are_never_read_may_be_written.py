"""A spiking cell that keeps its returned state in a buffer as well has autograd's gradient."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch_unrolled import HIDDEN, INPUTS, Model, relative_error  # noqa: E402

from adjoint.errors import StepperError  # noqa: E402


class Spiking(nn.Module):
    """A leaky cell, whose potential is also written to a buffer: a new one or in place."""

    def __init__(self, first, *, in_place=False, reads=False):
        super().__init__()
        self.layer = nn.Linear(INPUTS, HIDDEN, dtype=torch.float64)
        self.leak = nn.Parameter(torch.tensor(0.8, dtype=torch.float64))
        self.register_buffer("potential", first)
        self.register_buffer("threshold", torch.tensor(0.4, dtype=torch.float64))
        self.in_place, self.reads = in_place, reads

    def forward(self, inputs, state):
        reset = (self.potential if self.reads else state) > self.threshold
        state = self.leak * state + self.layer(inputs) - reset.double()
        if self.in_place:
            self.potential.copy_(state.detach())
        else:
            self.potential = state
        return torch.sigmoid(8 * (state - self.threshold)), state


def sequence_of(cell):
    model = Model("GRUCell")
    model.cell = model.module = cell
    return model, model.sequence(loss=model.read_out)


def expected_of(model):
    state, total = model.initial[0], 0.0
    for row, target in zip(model.inputs, model.targets, strict=True):
        output, state = model.module(row, state)
        total = total + model.read_out(output, target).sum()
    return torch.autograd.grad(total, model.differentiated)


@pytest.mark.parametrize(
    ("in_place", "size"), [(False, (0,)), (False, (3, HIDDEN)), (True, (3, HIDDEN))]
)
def test_its_gradient(in_place, size):
    first = torch.zeros(size, dtype=torch.float64)
    model, sequence = sequence_of(Spiking(first.clone(), in_place=in_place))
    with sequence:
        sequence.backward()
        assert torch.equal(model.module.potential, first)
        assert not model.module.potential.requires_grad
    found = [tensor.grad for tensor in model.differentiated]
    assert relative_error(found, expected_of(model)) < 1e-12


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_buffer_that_is_read_is_refused(value):
    first = torch.full((3, HIDDEN), value, dtype=torch.float64)
    model, sequence = sequence_of(Spiking(first.clone(), reads=True))
    with sequence, pytest.raises(StepperError, match=r"step 0 wrote .*'cell\.potential'"):
        sequence.backward()
    assert torch.equal(model.module.potential, first)
