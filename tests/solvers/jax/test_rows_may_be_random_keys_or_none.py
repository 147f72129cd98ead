"""Rows may be PRNG keys, in an array or from a function, or None."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402

import solvers.jax  # noqa: E402

NUM_STEPS = 10
KEYS = jax.random.split(jax.random.key(3), NUM_STEPS)


def body(params, carry, key):
    carry = params * carry + jax.random.normal(key)
    return carry, carry


def loss(params, y):
    return y * y


def test_an_array_and_a_function_of_keys():
    def value(params):
        return jnp.sum(lax.scan(lambda c, x: body(params, c, x), 1.0, KEYS)[1] ** 2)

    expected = jax.jit(jax.value_and_grad(value))(0.9)
    with solvers.jax.value_and_grad(body, loss, leaf_steps=5) as value_and_grad:
        for keys in (KEYS, lambda start, stop: KEYS[start:stop]):
            found = value_and_grad(0.9, 1.0, keys, length=NUM_STEPS)
            assert [float(a) for a in found] == pytest.approx([float(b) for b in expected])


def test_no_rows():
    with solvers.jax.value_and_grad(
        lambda params, carry, _: (params * carry, params * carry), loss, leaf_steps=5
    ) as value_and_grad:
        value, gradient = value_and_grad(0.9, 1.0, length=NUM_STEPS)
    powers = range(2, 2 * NUM_STEPS + 1, 2)
    assert float(value) == pytest.approx(sum(0.9**k for k in powers), rel=1e-6)
    assert float(gradient) == pytest.approx(sum(k * 0.9 ** (k - 1) for k in powers), rel=1e-6)
