"""The gradient on ranks is the sum over all their sequences, with a file or without."""

import pytest

torch = pytest.importorskip("torch")

from torch_unrolled import LEAF_STEPS, NUM_STEPS, Model, relative_error  # noqa: E402

from adjoint.errors import NonFiniteError  # noqa: E402
from adjoint.schedules import Multistage, StoreAll  # noqa: E402
from solvers.torch import TorchSequence  # noqa: E402

RANKS = (2,)


def bytes_of(tensors):
    return [tensor.detach().numpy().tobytes() for tensor in tensors]


def model_of(rank, kind="LSTM", dtype=torch.float32):
    """Return a model with the same weights on all ranks, and sequences of other length on each."""
    model = Model(kind, dtype)
    own = Model(kind, dtype, num_steps=NUM_STEPS - 6 * rank, batch=2 + rank, seed=1 + rank)
    model.inputs, model.targets = own.inputs, own.targets
    model.initial, model.state = own.initial, own.state
    return model


def weights_of(model):
    return [*model.module.parameters(), *model.read_out.parameters()]


def test_the_gradient_is_the_sum_of_all_sequences(comm):
    models = [model_of(rank, "own", torch.float64) for rank in range(comm.size)]
    expected_loss = sum(model.loss().item() for model in models)
    gradients = [torch.autograd.grad(model.loss(), weights_of(model)) for model in models]
    expected = [torch.stack(parts).sum(0) for parts in zip(*gradients, strict=True)]
    own = models[comm.rank]
    expected_own = torch.autograd.grad(own.loss(), own.initial)
    with own.sequence(comm=comm) as sequence:
        assert sequence.num_steps == NUM_STEPS
        assert sequence.backward() == pytest.approx(expected_loss, rel=1e-12)
    assert relative_error([weight.grad for weight in weights_of(own)], expected) < 1e-12
    assert relative_error([tensor.grad for tensor in own.initial], expected_own) < 1e-12


def test_gradients_of_parameters_behind_the_initial_state_are_summed(comm):
    learned = torch.nn.Parameter(torch.full((6,), 0.1, dtype=torch.float64))
    totals = []
    for rank in range(comm.size):
        model = model_of(rank, "GRUCell", torch.float64)
        model.state = learned.expand(2 + rank, 6)
        totals.append(torch.autograd.grad(model.loss(), [learned])[0])
    model = model_of(comm.rank, "GRUCell", torch.float64)
    with model.sequence(comm=comm, state=learned.expand(2 + comm.rank, 6)) as sequence:
        sequence.backward()
    assert torch.allclose(learned.grad, torch.stack(totals).sum(0), rtol=1e-12)
    assert len({bytes_of([learned.grad])[0], *comm.allgather(bytes_of([learned.grad])[0])}) == 1


def test_a_parameter_that_one_rank_uses_gets_its_gradient_on_all(comm):
    last = comm.size - 1
    extra = torch.nn.Linear(6, 1, dtype=torch.float64)
    torch.nn.init.constant_(extra.weight, 0.5)
    torch.nn.init.zeros_(extra.bias)

    def cell(state, inputs, step):
        state = torch.tanh(state + inputs)
        return state, extra(state).sum() if comm.rank == last else None

    inputs = torch.ones(7, 2, 6, dtype=torch.float64)
    with TorchSequence(
        cell, inputs, state=inputs[0], modules=extra, leaf_steps=LEAF_STEPS, comm=comm
    ) as sequence:
        sequence.backward()
    assert extra.bias.grad.item() == 14
    assert all(found == 14 for found in comm.allgather(extra.bias.grad.item()))


def test_a_loss_that_is_not_finite_on_one_rank_is_an_error_on_all(comm):
    model = model_of(comm.rank, "GRUCell", torch.float64)
    if comm.rank == comm.size - 1:
        model.inputs[13] = torch.nan
    with model.sequence(comm=comm) as sequence, pytest.raises(NonFiniteError) as refused:
        sequence.backward()
    assert f"nan in step 13 on rank {comm.size - 1}" in str(refused.value)


@pytest.mark.parametrize("engine", ["mpi", "thread"])
def test_the_states_of_all_ranks_are_in_one_file(comm, engine, tmp_path):
    found = []
    file = tmp_path / f"states-{engine}.h5"
    in_file = Multistage(NUM_STEPS, 1, 3, leaf_steps=LEAF_STEPS)
    for options in (
        {"schedule": StoreAll(NUM_STEPS, leaf_steps=LEAF_STEPS)},
        {"schedule": in_file, "file": file, "engine": engine},
    ):
        model = model_of(comm.rank)
        with model.sequence(comm=comm, **options) as sequence:
            sequence.backward()
            written = sequence.report.bytes_written
        found.append(bytes_of([weight.grad for weight in weights_of(model)]))
    assert found[0] == found[1]
    assert written > 0
    assert file.exists()
