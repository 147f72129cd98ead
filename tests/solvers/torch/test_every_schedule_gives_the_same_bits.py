"""With the same leaves, a gradient has the same bits under every schedule, with a file or not."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch_unrolled import LEAF_STEPS, LENGTHS, NUM_STEPS, Model, gradients_of  # noqa: E402

from adjoint.schedules import Asynchronous, Mixed, Multistage, Revolve, StoreAll  # noqa: E402

SCHEDULES = [
    Revolve(NUM_STEPS, 1, leaf_steps=LEAF_STEPS),
    Revolve(NUM_STEPS, 3, leaf_steps=LEAF_STEPS),
    Asynchronous(NUM_STEPS, 2, 10, leaf_steps=LEAF_STEPS),
    Multistage(NUM_STEPS, 1, 2, leaf_steps=LEAF_STEPS),
]


def model_with_dropout(kind, dtype):
    model = Model(kind, dtype, lengths=LENGTHS)
    if model.fused:
        model.module.dropout = 0.4
    model.read_out.layer = nn.Sequential(nn.Dropout(0.3), model.read_out.layer)
    return model


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "own"])
def test_under_every_schedule(kind, dtype, tmp_path):
    model = model_with_dropout(kind, dtype)
    expected = evaluated(model, StoreAll(NUM_STEPS, leaf_steps=LEAF_STEPS))
    assert len({evaluated(model, None), expected}) == 1
    for schedule in SCHEDULES:
        file = tmp_path if schedule.file_states else None
        assert evaluated(model, schedule, file) == expected, schedule


def test_schedules_that_keep_tapes():
    model = model_with_dropout("LSTM", torch.float32)
    with model.sequence() as sequence:
        tape, state = sequence.stepper.tape_bytes(LEAF_STEPS), sequence.stepper.state.values()
    slots = -(-tape // sum(array.nbytes for array in state))
    kept = Mixed(NUM_STEPS, 3 * slots + 2, slots, leaf_steps=LEAF_STEPS)
    expected = evaluated(model, StoreAll(NUM_STEPS, leaf_steps=LEAF_STEPS))
    assert evaluated(model, kept) == expected


def evaluated(model, schedule, file=None):
    torch.manual_seed(5)
    with model.sequence(schedule=schedule, file=file) as sequence:
        loss, found = gradients_of(sequence, model)
    return loss, *(gradient.numpy().tobytes() for gradient in found)
