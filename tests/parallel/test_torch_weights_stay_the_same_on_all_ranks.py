"""Weights stay bitwise equal on all ranks over a hundred updates of data-parallel training."""

import pytest

torch = pytest.importorskip("torch")

from torch_unrolled import Model  # noqa: E402

RANKS = (2,)


@pytest.fixture(autouse=True)
def torch_has_a_folder(monkeypatch, tmp_path):
    """The first step of an optimiser imports a compiler, which makes itself a folder."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))


def bytes_of(tensors):
    return [tensor.detach().numpy().tobytes() for tensor in tensors]


def model_of(rank):
    """Return a model with the same weights on all ranks, and sequences of other length on each."""
    model = Model("GRUCell", torch.float32)
    model.read_out.layer = torch.nn.Sequential(torch.nn.Dropout(0.2), model.read_out.layer)
    own = Model("GRUCell", torch.float32, num_steps=23 - 6 * rank, batch=2 + rank, seed=1 + rank)
    model.inputs, model.targets = own.inputs, own.targets
    model.initial, model.state = own.initial, own.state
    return model


def weights_of(model):
    return [*model.module.parameters(), *model.read_out.parameters()]


def test_after_100_updates_with_adam(comm):
    model = model_of(comm.rank)
    torch.manual_seed(comm.rank)
    optimizer = torch.optim.Adam(weights_of(model), lr=0.01)
    first = bytes_of(weights_of(model))
    losses = []
    with model.sequence(comm=comm, leaf_steps=12) as sequence:
        for _ in range(100):
            optimizer.zero_grad()
            losses.append(sequence.backward())
            optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    everywhere = comm.allgather((losses, bytes_of(weights_of(model))))
    assert all(found == everywhere[0] for found in everywhere)
    assert everywhere[0][1] != first
