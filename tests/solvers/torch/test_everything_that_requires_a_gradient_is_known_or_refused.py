"""A tensor that requires a gradient and would get none is found wherever it is first used."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch_unrolled import HIDDEN, NUM_STEPS, Model  # noqa: E402

from adjoint.errors import StepperError  # noqa: E402
from adjoint.schedules import Revolve, StoreAll  # noqa: E402

SCHEDULES = [Revolve(NUM_STEPS, 2, leaf_steps=5), StoreAll(NUM_STEPS, leaf_steps=5)]


def own_loss(first, forgotten):
    model = Model("GRUCell")

    def step(state, row, k):
        state = model.module(row, state)
        return state, forgotten(state).square().sum() if k == first else state.sum()

    model.cell = step
    return model


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("first", [0, 7, NUM_STEPS - 1])
def test_a_module_that_one_step_uses(first, schedule):
    forgotten = nn.Linear(HIDDEN, 2, dtype=torch.float64)
    model = own_loss(first, forgotten)
    given = {"loss": None, "targets": None, "schedule": schedule}
    with model.sequence(modules=model.module, **given) as sequence:
        where = rf"\[{first - first % 5}, "
        with pytest.raises(StepperError, match=where + r".*shape \(2,.*modules="):
            sequence.backward()
        assert model.module.weight_hh.grad is None
    with model.sequence(modules=[model.module, forgotten], **given) as sequence:
        sequence.backward()
    assert forgotten.weight.grad.any()


@pytest.mark.parametrize("kind", ["module", "tensor"])
def test_what_only_the_final_loss_uses(kind):
    model = Model("GRUCell")
    layer = nn.Linear(HIDDEN, 1, dtype=torch.float64)
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    used = layer if kind == "module" else lambda state: weight * state
    with (
        model.sequence(
            loss=None, targets=None, final_loss=lambda state: used(state).sum()
        ) as sequence,
        pytest.raises(StepperError, match="the final loss used a tensor of shape"),
    ):
        sequence.backward()


def test_a_tensor_that_is_computed_before_the_run():
    model = Model("GRUCell")
    scale = model.module.bias_hh.sum().exp()
    with (
        model.sequence(loss=lambda out, _: (out * scale).sum(1), modules=model.module) as sequence,
        pytest.raises(StepperError, match="computed before"),
    ):
        sequence.backward()
