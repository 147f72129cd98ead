"""With the same leaves, every schedule, budget and replay gives the same bits."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax_full_scan import NUM_STEPS, dropped, lstm  # noqa: E402

import adjoint  # noqa: E402
import solvers.jax  # noqa: E402
from adjoint.schedules import Revolve, StoreAll  # noqa: E402
from adjoint.verification import replay_test  # noqa: E402

LEAF_STEPS = 4


def bits(stepper, **options):
    """Return cost and gradient, as bytes."""
    result = adjoint.gradient(stepper, NUM_STEPS, **options)
    return result.cost, {name: array.tobytes() for name, array in result.gradient.items()}


@pytest.mark.parametrize("model", [lstm, dropped])
def test_gradients_and_replays(model, tmp_path):
    case = model(jnp.float32)
    kept = StoreAll(NUM_STEPS, leaf_steps=LEAF_STEPS)
    with solvers.jax.value_and_grad(
        case.body,
        case.loss,
        final_loss=case.final_loss,
        argnums=(0, 1, 2),
        leaf_steps=LEAF_STEPS,
        schedule=kept,
    ) as value_and_grad:
        stepper = value_and_grad.functional(*case.given).stepper
        expected = bits(stepper, schedule=kept)
        assert bits(stepper, schedule=Revolve(NUM_STEPS, 2, leaf_steps=LEAF_STEPS)) == expected
        assert bits(stepper, memory="32 kB") == expected
        assert bits(stepper, memory="32 kB", file=tmp_path / "run.h5") == expected
        assert replay_test(stepper, NUM_STEPS).passed


def test_states_of_sixteen_bits(tmp_path):
    """No type of NumPy's own holds a bfloat16; it is kept, written and read all the same."""
    case = lstm(jnp.bfloat16)
    kept = StoreAll(NUM_STEPS, leaf_steps=1)
    with solvers.jax.value_and_grad(
        case.body, case.loss, leaf_steps=1, schedule=kept
    ) as value_and_grad:
        stepper = value_and_grad.functional(*case.given).stepper
        expected = bits(stepper, schedule=kept)
        assert bits(stepper, memory="32 kB", file=tmp_path / "run.h5") == expected
