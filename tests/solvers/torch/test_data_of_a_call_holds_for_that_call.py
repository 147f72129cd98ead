"""Inputs, targets, state and lengths given to one call do not reach the next, refused or not."""

import pytest

torch = pytest.importorskip("torch")

from torch_unrolled import HIDDEN, LENGTHS, NUM_STEPS, Model, gradients_of  # noqa: E402

from adjoint.errors import ArgumentError, NonFiniteError  # noqa: E402


def other():
    return Model("GRUCell", num_steps=NUM_STEPS - 4, seed=1)


def good(sequence):
    batch = other()
    sequence.loss(inputs=batch.inputs, targets=batch.targets)


def padded(sequence):
    batch = Model("GRUCell", seed=2)
    sequence.backward(inputs=batch.inputs, targets=batch.targets, lengths=LENGTHS)


def state(sequence):
    sequence.backward(state=torch.ones(3, HIDDEN, dtype=torch.float64))


def too_long(sequence):
    with pytest.raises(ArgumentError, match="sequence 1 has 24 steps"):
        sequence.backward(lengths=(9, NUM_STEPS + 1, 16))


def too_few_targets(sequence):
    with pytest.raises(ArgumentError, match="targets has 7 rows"):
        sequence.loss(targets=other().targets[:7])


def another_form(sequence):
    with pytest.raises(ArgumentError, match=r"another batch size|each of 2 sequences"):
        sequence.backward(state=torch.ones(2, HIDDEN, dtype=torch.float64))


def not_finite(sequence):
    with pytest.raises(NonFiniteError):
        sequence.backward(inputs=torch.full_like(other().inputs, torch.nan), targets=None)


@pytest.mark.parametrize(
    "call", [good, padded, state, too_long, too_few_targets, another_form, not_finite]
)
@pytest.mark.parametrize("lengths", [None, (23, 4, 11)])
def test_the_next_call_is_as_before(call, lengths):
    model = Model("GRUCell", lengths=lengths)
    if call is not_finite:
        model.read_out.forward = lambda outputs, targets=None: outputs.sum(1)
    with model.sequence() as sequence:
        loss, gradients = gradients_of(sequence, model)
        expected = loss, [None if g is None else g.clone() for g in gradients]
        call(sequence)
        found = gradients_of(sequence, model)
        if call is not not_finite:
            assert sequence.loss(targets=model.targets) == expected[0]
    assert found[0] == expected[0]
    for gradient, wanted in zip(found[1], expected[1], strict=True):
        assert (gradient is None) == (wanted is None)
        assert gradient is None or torch.equal(gradient, wanted)


def test_inputs_without_lengths_are_equally_long():
    model, batch = Model("GRUCell", lengths=LENGTHS), Model("GRUCell", seed=3)
    with model.sequence() as sequence:
        found = sequence.loss(inputs=batch.inputs, targets=batch.targets)
    model.inputs, model.targets, model.lengths = batch.inputs, batch.targets, None
    assert found == pytest.approx(model.loss().item(), rel=1e-13)
