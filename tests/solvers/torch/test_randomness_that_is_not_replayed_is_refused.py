"""Numbers that are not drawn from torch's global generator are noticed at whatever step."""

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_unrolled import NUM_STEPS, Model  # noqa: E402

from adjoint.errors import StepperError  # noqa: E402
from adjoint.schedules import Revolve  # noqa: E402

SCHEDULE = Revolve(NUM_STEPS, 2, leaf_steps=5)
GENERATOR = torch.Generator().manual_seed(4)
DRAWS = {
    "numpy": lambda: np.random.default_rng().random(),
    "random": random.random,
    "generator": lambda: torch.rand((), generator=GENERATOR, dtype=torch.float64),
}


@pytest.mark.parametrize("draw", list(DRAWS))
@pytest.mark.parametrize("first", [0, 6, 14])
@pytest.mark.parametrize("where", ["state", "loss"])
def test_in_a_cell_with_its_own_loss(where, first, draw):
    model = Model("GRUCell")

    def step(state, row, k):
        factor = 1 + DRAWS[draw]() if k == first else 1.0
        state = model.module(row, state * (factor if where == "state" else 1))
        return state, (state * (factor if where == "loss" else 1)).sum()

    model.cell = step
    given = {"loss": None, "targets": None, "modules": model.module, "schedule": SCHEDULE}
    # A state drawn again shows first in the losses of the leaf after it, which is reversed before.
    seen = first - first % 5 if where == "loss" or first == 0 else r"\d+"
    with (
        model.sequence(**given) as sequence,
        pytest.raises(StepperError, match=rf"\[{seen}, .*taken again.*NumPy"),
    ):
        sequence.backward()


@pytest.mark.parametrize("draw", list(DRAWS))
def test_in_a_loss_of_rows(draw):
    model = Model("GRUCell")
    calls = []

    def loss(outputs, targets):
        calls.append(None)
        return outputs.square().sum(1) * (1 + DRAWS[draw]() if len(calls) > 12 else 1)

    with (
        model.sequence(loss=loss, schedule=SCHEDULE) as sequence,
        pytest.raises(StepperError, match=r"taken again|grouped with"),
    ):
        for _ in range(3):
            sequence.backward()
