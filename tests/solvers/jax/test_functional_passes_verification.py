"""The functional of a call passes `adjoint.verification`, and its controls can be set."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax_full_scan import NUM_STEPS, lstm  # noqa: E402

import solvers.jax  # noqa: E402
from adjoint.steppers import Adopting, Stepper, copy_arrays  # noqa: E402
from adjoint.verification import dot_product_test, taylor_test  # noqa: E402

LEAF_STEPS = 8


@pytest.fixture(scope="module")
def functional():
    with jax.enable_x64(True):
        case = lstm(jnp.float64)
        with solvers.jax.value_and_grad(
            case.body,
            case.loss,
            final_loss=case.final_loss,
            argnums=(0, 1, 2),
            leaf_steps=LEAF_STEPS,
            memory="64 kB",
        ) as value_and_grad:
            yield value_and_grad.functional(*case.given)


def test_taylor_test(functional):
    assert taylor_test(functional).passed


def test_dot_product_test(functional):
    assert dot_product_test(functional.stepper, NUM_STEPS).passed


def test_controls_are_named_by_their_paths(functional):
    stepper = functional.stepper
    assert isinstance(stepper, Stepper)
    assert isinstance(stepper, Adopting)
    params = ["params['bias']", "params['inputs']", "params['recurrent']"]
    assert list(stepper.controls) == [*params, "carry0[0]", "carry0[1]", "xs"]
    assert list(stepper.state) == list(stepper.adjoint) == ["carry[0]", "carry[1]"]
    assert set(stepper.distributed) == {"carry0[0]", "carry0[1]", "xs"}
    assert stepper.per_step == ("xs",)


def test_advance_leaves_a_pinned_state_untouched(functional):
    stepper = functional.stepper
    stepper.start()
    home = {name: array.copy() for name, array in stepper.state.items()}
    first = {name: array.copy() for name, array in home.items()}
    out = {name: array.copy() for name, array in home.items()}
    before = dict(stepper.state)
    stepper.adopt(home)
    stepper.advance(0, 2 * LEAF_STEPS, out=out)
    assert all(stepper.state[name] is out[name] for name in out)
    assert all((home[name] == first[name]).all() for name in home)
    stepper.adopt(home)
    stepper.advance(0, 2 * LEAF_STEPS)
    assert all((home[name] == out[name]).all() for name in home)
    assert not any((first[name] == out[name]).any() for name in home)
    copy_arrays(home, before)
    stepper.adopt(before)


def test_its_tape_is_larger_than_the_carries_of_its_steps(functional):
    """What JAX keeps of a step of an LSTM is more than its carry."""
    stepper = functional.stepper
    carry = sum(array.nbytes for array in stepper.state.values())
    assert stepper.tape_bytes(LEAF_STEPS) > LEAF_STEPS * carry
