"""Numbers that are not drawn from torch's global generator are noticed at whatever step."""

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_unrolled import NUM_STEPS, Model  # noqa: E402

from adjoint.errors import StepperError  # noqa: E402
from adjoint.schedules import Revolve, StoreAll  # noqa: E402

SCHEDULE = Revolve(NUM_STEPS, 2, leaf_steps=5)
GENERATOR = torch.Generator().manual_seed(4)
DRAWS = {
    "numpy": lambda: np.random.default_rng().random(),
    "random": random.Random().random,
    "generator": lambda: torch.rand((), generator=GENERATOR, dtype=torch.float64),
}
GLOBAL = {
    "numpy.random": np.random.exponential,
    "random": lambda: random.gauss(0, 1),
}


def drawing_once(draw, first, where):
    """Return a model that draws a number in one step, for its state or for its loss."""
    model = Model("GRUCell")

    def step(state, row, k):
        factor = 1 + draw() if k == first else 1.0
        state = model.module(row, state * (factor if where == "state" else 1))
        return state, (state * (factor if where == "loss" else 1)).sum()

    model.cell = step
    return model


@pytest.mark.parametrize("draw", list(DRAWS))
@pytest.mark.parametrize("first", [0, 6, 14])
@pytest.mark.parametrize("where", ["state", "loss"])
def test_in_a_cell_with_its_own_loss(where, first, draw):
    model = drawing_once(DRAWS[draw], first, where)
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


def once_everything_fits(model, **given):
    """Return a sequence whose steps are taken once: nothing is compared."""
    schedule = StoreAll(NUM_STEPS, leaf_steps=5)
    return model.sequence(schedule=schedule, modules=[model.module, model.read_out], **given)


@pytest.mark.parametrize("name", list(GLOBAL))
@pytest.mark.parametrize("first", [3, 6, NUM_STEPS - 1])
@pytest.mark.parametrize("where", ["state", "loss"])
def test_a_global_generator_may_not_be_drawn_from_in_a_single_step(where, first, name):
    model = drawing_once(GLOBAL[name], first, where)
    leaf = first - first % 5
    with (
        once_everything_fits(model, loss=None, targets=None) as sequence,
        pytest.raises(StepperError, match=rf"\[{leaf}, .* drew numbers from {name},"),
    ):
        sequence.backward()


@pytest.mark.parametrize("name", list(GLOBAL))
def test_nor_in_the_losses(name):
    model = Model("GRUCell")
    refused = pytest.raises(StepperError, match=f"drew numbers from {name},")
    loss = model.read_out

    def rows(outputs, targets):
        return loss(outputs, targets) * (1 + GLOBAL[name]())

    with refused, once_everything_fits(model, loss=rows) as sequence:
        sequence.backward()
    with (
        refused,
        once_everything_fits(model, final_loss=lambda h: h.sum() * GLOBAL[name]()) as sequence,
    ):
        sequence.backward()


def test_numbers_of_numpy_by_another_global_generator_are_seen():
    before = np.random.get_bit_generator()
    np.random.set_bit_generator(np.random.PCG64(3))
    try:
        test_nor_in_the_losses("numpy.random")
    finally:
        np.random.set_bit_generator(before)


def test_global_generators_may_be_used_between_calls_and_are_left_alone():
    model = Model("GRUCell")
    with once_everything_fits(model) as sequence:
        sequence.loss()
        for _ in range(2):
            numbers = [draw() for draw in GLOBAL.values()]
            states = random.getstate(), np.random.get_bit_generator().state
            sequence.backward()
            left = [draw() for draw in GLOBAL.values()]
            random.setstate(states[0])
            np.random.get_bit_generator().state = states[1]
            assert left == [draw() for draw in GLOBAL.values()] != numbers
