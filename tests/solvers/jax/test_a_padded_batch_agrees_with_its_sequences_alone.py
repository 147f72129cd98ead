"""A padded batch of unequal lengths has the values and gradients of its sequences alone."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax_full_scan import NUM_STEPS, UNITS, largest_difference, lstm, one_by_one  # noqa: E402

import solvers.jax  # noqa: E402

LENGTHS = [NUM_STEPS - 8, 5, 16]
LONGEST = max(LENGTHS)


def test_value_and_gradient_with_any_padding():
    with jax.enable_x64(True):
        case = lstm(jnp.float64)
        params, carry0, xs, targets = case.given
        reference = jax.jit(jax.value_and_grad(one_by_one(case, LENGTHS), argnums=(0, 1)))
        ended = jnp.arange(NUM_STEPS)[:, None, None] >= jnp.array(LENGTHS)[:, None]
        with solvers.jax.value_and_grad(
            case.body, case.loss, final_loss=case.final_loss, argnums=(0, 1), leaf_steps=8
        ) as value_and_grad:
            found = value_and_grad(*case.given, lengths=LENGTHS)
            assert largest_difference(found, reference(*case.given)) < 1e-12
            other = jnp.where(ended, 1e3, xs)
            again = value_and_grad(params, carry0, other, targets, lengths=LENGTHS)
            assert largest_difference(again, found) == 0
            cut = xs[:LONGEST], targets[:LONGEST]
            again = value_and_grad(params, carry0, *cut, lengths=LENGTHS, length=NUM_STEPS)
            assert largest_difference(again, found) == 0


def test_inputs_have_no_gradient_after_their_end():
    case = lstm(jnp.float32)
    with solvers.jax.value_and_grad(case.body, case.loss, argnums=2) as value_and_grad:
        _, gradient = value_and_grad(*case.given, lengths=LENGTHS)
    for index, length in enumerate(LENGTHS):
        assert gradient[:length, index].any(axis=-1).all()
        assert not gradient[length:, index].any()


def test_leaves_of_the_carry_with_other_batch_axes_or_none():
    """Layers before the batch, and a counter that steps on while any sequence is alive."""
    case = lstm(jnp.float32)

    def body(params, carry, x):
        layers, count = carry
        after, y = case.body(params, (layers[0], layers[1]), x)
        return (jnp.stack(after), count + 1), y

    def final(params, carry):
        return carry[1].astype(float) + jnp.sum(carry[0][1] ** 2 * params["bias"][:UNITS])

    carry0 = jnp.stack(case.carry0), jnp.array(0)
    with (
        solvers.jax.value_and_grad(
            body, case.loss, final_loss=final, batch_axes=(1, None)
        ) as stacked,
        solvers.jax.value_and_grad(case.body, case.loss, final_loss=case.final_loss) as plain,
    ):
        value, grads = stacked(case.params, carry0, case.xs, case.targets, lengths=LENGTHS)
        expected, expected_grads = plain(*case.given, lengths=LENGTHS)
    assert float(value) == pytest.approx(float(expected) + LONGEST, rel=1e-6)
    assert largest_difference(grads, expected_grads) < 1e-5
