"""`TorchSequence.backward` fills ``.grad`` as autograd does on the whole unroll."""

import pytest

torch = pytest.importorskip("torch")

from torch_unrolled import KINDS, LENGTHS, Model, gradients_of, relative_error  # noqa: E402

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["equal", "unequal"])
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_first_second_and_after_the_weights_change(kind, dtype, lengths):
    model = Model(kind, dtype, lengths=lengths)
    with model.sequence() as sequence:
        for _ in range(3):
            expected_loss, expected = model.gradients()
            loss, found = gradients_of(sequence, model)
            assert loss == pytest.approx(expected_loss, rel=TOLERANCES[dtype])
            assert relative_error(found, expected) < TOLERANCES[dtype]
            with torch.no_grad():
                for tensor in model.differentiated[:-1]:
                    tensor.mul_(1.05)


@pytest.mark.parametrize("leaf_steps", [1, 4, 23, 64])
@pytest.mark.parametrize("kind", ["own", "LSTM"])
def test_with_leaves_of_every_size(kind, leaf_steps):
    model = Model(kind, lengths=LENGTHS)
    with model.sequence(leaf_steps=leaf_steps) as sequence:
        assert relative_error(gradients_of(sequence, model)[1], model.gradients()[1]) < 1e-12


@pytest.mark.parametrize("lengths", [(0, 7, 7), (5, 5, 5), (0, 0, 1)])
@pytest.mark.parametrize("kind", ["GRUCell", "GRU"])
def test_with_sequences_that_end_early(kind, lengths):
    model = Model(kind, lengths=lengths)
    model.inputs[max(lengths) :] = torch.nan
    model.inputs[min(lengths) :, lengths.index(min(lengths))] = torch.nan
    model.targets[max(lengths) :] = -1
    live = Model(kind, lengths=lengths)
    live.lengths = lengths
    with model.sequence() as sequence:
        loss, found = gradients_of(sequence, model)
    kept = [index for index, length in enumerate(lengths) if length]
    expected = sum_of_sequences(live, kept)
    assert loss == pytest.approx(expected[0], rel=1e-12)
    assert relative_error(found, expected[1]) < 1e-12


def sum_of_sequences(model, kept):
    model.lengths = tuple(model.lengths[index] for index in kept)
    model.inputs, model.targets = model.inputs[:, kept], model.targets[:, kept]
    whole = model.initial
    axis = 1 if model.fused else 0
    model.initial = [tensor[:, kept] if axis else tensor[kept] for tensor in whole]
    loss = model.loss()
    parameters = [*model.module.parameters(), *model.read_out.parameters(), *whole]
    return loss.item(), torch.autograd.grad(loss, parameters)


def test_it_adds_to_present_gradients():
    model = Model("LSTMCell")
    with model.sequence() as sequence:
        _, once = gradients_of(sequence, model)
        once = [gradient.clone() for gradient in once]
        sequence.backward()
    for tensor, gradient in zip(model.differentiated, once, strict=True):
        assert torch.equal(tensor.grad, 2 * gradient)


def test_the_final_state_is_that_of_the_unroll():
    model = Model("LSTM", lengths=LENGTHS)
    with model.sequence() as sequence:
        sequence.loss()
    for index, length in enumerate(LENGTHS):
        one = slice(index, index + 1)
        first = tuple(tensor[:, one] for tensor in model.initial)
        _, last = model.module(model.inputs[:length, one], first)
        for found, expected in zip(sequence.final_state, last, strict=True):
            assert torch.allclose(found[:, one], expected, rtol=1e-12)
