"""Value and gradient agree with those of JAX for one scan over all steps."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax_full_scan import CASES, full_scan, gru, largest_difference, lstm  # noqa: E402

import solvers.jax  # noqa: E402


@pytest.mark.parametrize("name", CASES)
def test_with_respect_to_everything_and_after_the_weights_change(name):
    with jax.enable_x64(True):
        case = CASES[name](jnp.float64)
        changed, argnums = case.changed(), (0, 1, 2, 3)
        reference = jax.jit(jax.value_and_grad(full_scan(case), argnums, allow_int=True))
        with solvers.jax.value_and_grad(
            case.body,
            case.loss,
            final_loss=case.final_loss,
            argnums=argnums,
            leaf_steps=8,
            memory="100 kB",
        ) as value_and_grad:
            first = value_and_grad(*case.given)
            assert largest_difference(first, reference(*case.given)) < 1e-12
            second = value_and_grad(*changed.given)
            assert largest_difference(second, reference(*changed.given)) < 1e-12
            assert largest_difference(value_and_grad(*case.given), first) == 0


def test_in_single_precision_with_leaves_of_any_size():
    case = lstm(jnp.float32)
    expected = jax.jit(jax.value_and_grad(full_scan(case)))(*case.given)
    for leaf_steps in (1, 100):
        with solvers.jax.value_and_grad(
            case.body, case.loss, final_loss=case.final_loss, leaf_steps=leaf_steps
        ) as value_and_grad:
            assert largest_difference(value_and_grad(*case.given), expected) < 1e-5


def test_of_a_final_loss_only():
    case = gru(jnp.float32)

    def label(params, carry, target):
        return target * case.final_loss(params, carry)

    def value(params):
        carry, _ = jax.lax.scan(lambda c, x: case.body(params, c, x), case.carry0, case.xs)
        return label(params, carry, 3.0)

    with solvers.jax.value_and_grad(case.body, final_loss=label) as value_and_grad:
        found = value_and_grad(case.params, case.carry0, case.xs, final_target=3.0)
    assert largest_difference(found, jax.jit(jax.value_and_grad(value))(case.params)) < 1e-5
