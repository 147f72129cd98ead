"""A state whose structure, shape, dtype or device changes is refused, with the step."""

import pytest

torch = pytest.importorskip("torch")

from adjoint.errors import ArgumentError, StepperError  # noqa: E402
from solvers.torch import TorchSequence  # noqa: E402

H = torch.zeros(2, 3, dtype=torch.float64)
WEIGHT = torch.nn.Linear(1, 1)

CHANGES = {
    "shape": (lambda h: h[:, :2], r"shape \(2, 2\)"),
    "dtype": (lambda h: h.float(), "torch.float32"),
    "device": (lambda h: h.to("meta"), "on meta"),
    "structure": (lambda h: (h, h), r"\(tensor, tensor\)"),
    "nothing": (lambda h: None, "NoneType"),
}


@pytest.mark.parametrize("step", [0, 7])
@pytest.mark.parametrize("change", CHANGES)
def test_it_names_the_step(change, step):
    function, message = CHANGES[change]

    def cell(state, inputs, k):
        h, c = state
        return (function(h) if k == step else h, c), c.sum()

    with (
        TorchSequence(cell, state=(H, H), num_steps=9, leaf_steps=4) as sequence,
        pytest.raises(StepperError, match=f"{message}.*step {step}|step {step}.*{message}"),
    ):
        sequence.loss()


def test_of_a_fused_module_it_names_the_last_step():
    module = torch.nn.LSTM(2, 3, proj_size=2, dtype=torch.float64)
    inputs = torch.zeros(7, 2, 2, dtype=torch.float64)
    state = (torch.zeros(1, 2, 2, dtype=torch.float64), H[None])
    with TorchSequence(module, inputs, final_loss=lambda s: s[1].sum(), state=state) as sequence:
        assert sequence.loss() == sequence.backward()
        with pytest.raises(ArgumentError, match="another batch size"):
            sequence.loss(state=(state[0].float(), state[1]))


@pytest.mark.parametrize("state", [(), [], {"h": H}, (H, None), (H, H.to("meta")), H.to_sparse()])
def test_a_state_that_cannot_be_stored(state):
    with pytest.raises(ArgumentError, match="state"):
        TorchSequence(lambda *a: a, state=state, num_steps=3)


def test_a_module_on_another_device():
    module = torch.nn.GRUCell(2, 3, device="meta")
    with pytest.raises(ArgumentError, match=r"cell.weight_ih is on meta"):
        TorchSequence(module, torch.zeros(3, 2, 2), state=H, loss=lambda o: o)
