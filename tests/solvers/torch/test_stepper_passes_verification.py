"""The stepper passes `adjoint.verification`, and its tape has the size that it reports."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch_unrolled import LEAF_STEPS, LENGTHS, NUM_STEPS, Model  # noqa: E402

import adjoint  # noqa: E402
from adjoint.verification import (  # noqa: E402
    bitwise_test,
    dot_product_test,
    replay_test,
    taylor_test,
)
from solvers.torch import TorchSequence  # noqa: E402
from solvers.torch.graph import NODE_BYTES, SavedBytes  # noqa: E402

KINDS = ["own", "function", "LSTM"]


@pytest.fixture(params=KINDS)
def stepper(request):
    model = Model(request.param, lengths=LENGTHS)
    with model.sequence() as sequence:
        yield sequence.stepper


def test_its_gradient(stepper):
    with adjoint.Functional(stepper, NUM_STEPS) as functional:
        assert taylor_test(functional).passed
        assert bitwise_test(functional).passed


def test_its_transpose(stepper):
    assert dot_product_test(stepper, NUM_STEPS).passed


def test_its_replays(stepper):
    assert replay_test(stepper, NUM_STEPS).passed


def test_its_replays_with_dropout_and_another_kernel_without_gradients():
    model = Model("LSTM", torch.float32)
    model.module.dropout = 0.5
    with model.sequence() as sequence:
        assert replay_test(sequence.stepper, NUM_STEPS).passed


def test_its_arrays_share_the_memory_of_tensors(stepper):
    for array in stepper.controls.values():
        array[...] += 1e-3
    assert torch.is_tensor(stepper.batch.initial[0])
    before = stepper.controls["state.0"].copy()
    with torch.no_grad():
        stepper.batch.initial[0].add_(1.0)
    assert (stepper.controls["state.0"] == before + 1.0).all()


def test_a_tape_holds_what_the_graph_saves():
    """Of ``h = tanh(w h)`` the graph saves every h, and w, which is a parameter."""

    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.full((7,), 0.9, dtype=torch.float64))

        def forward(self, state, inputs, step):
            state = torch.tanh(self.w * state)
            return state, None

    cell, h = Cell(), torch.ones(5, 7, dtype=torch.float64)
    with SavedBytes([cell.w]) as saved:
        state = h.requires_grad_().clone()
        for _ in range(LEAF_STEPS):
            state, _ = cell(state, None, 0)
    assert saved.total == (LEAF_STEPS + 1) * 5 * 7 * 8
    # A clone, and a product and a tanh a step; the leaves' own nodes.
    nodes = 1 + 2 * LEAF_STEPS + 2
    with TorchSequence(cell, state=h, num_steps=40, leaf_steps=LEAF_STEPS) as sequence:
        assert sequence.stepper.tape_bytes(LEAF_STEPS) == saved.total + nodes * NODE_BYTES
        assert sequence.stepper.tape_bytes(40) == 8 * sequence.stepper.tape_bytes(LEAF_STEPS)
        assert sequence.backward() == 0


def test_cells_may_write_their_state_in_place():
    def cell(state, inputs, step):
        state *= 0.9
        state += inputs
        return state, (state * weights).sum()

    inputs = torch.randn(11, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    h = torch.ones(3, dtype=torch.float64, requires_grad=True)
    with TorchSequence(cell, inputs, state=h, leaf_steps=4) as sequence:
        loss = sequence.backward()
    state, losses = h, []
    for row in inputs:
        state = 0.9 * state + row
        losses.append((state * weights).sum())
    total = torch.stack(losses).sum()
    assert loss == pytest.approx(total.item(), rel=1e-13)
    assert torch.allclose(h.grad, torch.autograd.grad(total, [h])[0], rtol=1e-12)


def test_a_cell_may_swap_tensors_of_its_state():
    def cell(state, inputs, step):
        a, b = state
        return (b, a), (step + 1) * (a * b + a.square()).sum()

    a, b = (torch.rand(3, dtype=torch.float64).requires_grad_() for _ in range(2))
    with TorchSequence(cell, state=(a, b), num_steps=7, leaf_steps=3) as sequence:
        sequence.backward()
    even, odd = 1 + 3 + 5 + 7, 2 + 4 + 6
    total = ((even + odd) * a * b + even * a.square() + odd * b.square()).sum()
    for tensor, expected in zip((a, b), torch.autograd.grad(total, [a, b]), strict=True):
        assert torch.allclose(tensor.grad, expected, rtol=1e-13)
