"""Autocast and no_grad, active where `backward` is called, apply to all steps and their replays."""

import pytest

torch = pytest.importorskip("torch")

from torch_unrolled import LEAF_STEPS, NUM_STEPS, Model, gradients_of, relative_error  # noqa: E402

from adjoint.errors import ArgumentError  # noqa: E402


def cast():
    return torch.autocast("cpu", dtype=torch.bfloat16)


@pytest.mark.parametrize(
    ("kind", "leaf_steps", "tolerance"),
    [
        ("function", NUM_STEPS, 1e-6),
        ("function", LEAF_STEPS, 0.03),
        ("LSTMCell", LEAF_STEPS, 0.03),
        ("own", LEAF_STEPS, 0.03),
    ],
)
def test_a_gradient_under_autocast_is_that_of_the_unroll_under_autocast(
    kind, leaf_steps, tolerance
):
    """One leaf is the unroll. Several are summed in float32, where autograd sums in bfloat16."""
    model = Model(kind, torch.float32)
    full, _ = model.gradients()
    with cast():
        expected_loss = model.loss()
    expected = torch.autograd.grad(expected_loss, model.differentiated)
    with model.sequence(leaf_steps=leaf_steps) as sequence, cast():
        loss, found = gradients_of(sequence, model)
        assert sequence.loss() == loss
    assert loss == pytest.approx(expected_loss.item(), rel=1e-6)
    assert loss != pytest.approx(full, rel=1e-6)
    assert relative_error(found, expected) < tolerance


def test_states_may_be_of_bfloat16():
    model = Model("LSTM", torch.float32)
    model.state = tuple(tensor.detach().bfloat16() for tensor in model.initial)
    parameters = [*model.module.parameters(), *model.read_out.parameters()]
    with cast():
        loss = model.loss()
    expected = torch.autograd.grad(loss, parameters)
    with model.sequence() as sequence, cast():
        assert sequence.backward() == pytest.approx(loss.item(), rel=1e-5)
    assert relative_error([p.grad for p in parameters], expected) < 0.02


def test_autocast_has_no_effect_on_later_evaluations():
    model = Model("LSTMCell", torch.float32)
    with model.sequence() as sequence:
        before = sequence.backward()
        with cast():
            between = sequence.backward()
        assert sequence.backward() == before != between


def test_under_no_grad_there_is_a_value_but_no_gradient():
    model = Model("GRU")
    with model.sequence() as sequence:
        with torch.no_grad():
            assert sequence.loss() == pytest.approx(model.loss().item(), rel=1e-12)
            with pytest.raises(ArgumentError, match="no_grad"):
                sequence.backward()
        assert all(tensor.grad is None for tensor in model.differentiated)
        assert sequence.backward() == sequence.loss()
