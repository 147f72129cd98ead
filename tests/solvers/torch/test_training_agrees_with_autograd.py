"""Training reaches the weights that autograd on the whole unroll reaches."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch_unrolled import LENGTHS, NUM_STEPS, Model  # noqa: E402


@pytest.fixture(autouse=True)
def torch_has_a_folder(monkeypatch, tmp_path):
    """The first step of an optimiser imports a compiler, which makes itself a folder."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))


def trained(model, gradient):
    optimizer = torch.optim.Adam(model.differentiated, lr=0.02, weight_decay=0.01)
    losses = []
    for update in range(15):
        optimizer.zero_grad()
        losses.append(gradient(update))
        optimizer.step()
    return losses, [tensor.detach() for tensor in model.differentiated]


@pytest.mark.parametrize("kind", ["own", "LSTM"])
def test_with_adam(kind):
    ours, theirs = Model(kind), Model(kind)

    def unrolled(_):
        loss = theirs.loss()
        loss.backward()
        return loss.item()

    with ours.sequence() as sequence:
        losses, weights = trained(ours, lambda _: sequence.backward())
    expected_losses, expected = trained(theirs, unrolled)
    assert losses == pytest.approx(expected_losses, rel=1e-11)
    assert losses[-1] < 0.9 * losses[0]
    for found, wanted in zip(weights, expected, strict=True):
        assert torch.allclose(found, wanted, rtol=1e-9, atol=1e-11)


def test_with_a_new_batch_at_every_update():
    ours, theirs = Model("GRU"), Model("GRU")
    batches = [Model("GRU", seed=k, lengths=LENGTHS if k % 2 else None) for k in range(15)]

    def ours_of(update):
        batch = batches[update]
        return sequence.backward(inputs=batch.inputs, targets=batch.targets, lengths=batch.lengths)

    def unrolled(update):
        batch = batches[update]
        theirs.inputs, theirs.targets = batch.inputs, batch.targets
        theirs.lengths = batch.lengths
        loss = theirs.loss()
        loss.backward()
        return loss.item()

    with ours.sequence() as sequence:
        losses, weights = trained(ours, ours_of)
    expected_losses, expected = trained(theirs, unrolled)
    assert losses == pytest.approx(expected_losses, rel=1e-11)
    for found, wanted in zip(weights, expected, strict=True):
        assert torch.allclose(found, wanted, rtol=1e-9, atol=1e-11)


def test_a_shorter_batch_ends_early():
    model, short = Model("LSTMCell"), Model("LSTMCell", num_steps=NUM_STEPS - 8)
    with model.sequence() as sequence:
        value = sequence.loss(inputs=short.inputs, targets=short.targets)
    model.inputs, model.targets = short.inputs, short.targets
    assert value == pytest.approx(model.loss().item(), rel=1e-13)


def test_with_an_encoder_that_makes_the_initial_state():
    model = Model("LSTMCell")
    encoder = torch.nn.Linear(2, 6, dtype=torch.float64)
    images = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    twin = copy.deepcopy(encoder)

    model.state = (torch.tanh(twin(images)), twin.weight.T[:1].expand(3, 6))
    expected = torch.autograd.grad(model.loss(), [*twin.parameters()])

    def state():
        return torch.tanh(encoder(images)), encoder.weight.T[:1].expand(3, 6)

    with model.sequence(state=state()) as sequence:
        sequence.backward()
        encoder.zero_grad()
        sequence.backward(state=state())
    for parameter, gradient in zip(encoder.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, rtol=1e-11)


def test_one_tensor_that_is_given_twice_gets_its_gradient_once():
    model = Model("LSTMCell")
    h = model.initial[0]
    model.state = (h, h)
    (expected,) = torch.autograd.grad(model.loss(), [h])
    with model.sequence() as sequence:
        sequence.backward()
    assert torch.allclose(h.grad, expected, rtol=1e-12)
