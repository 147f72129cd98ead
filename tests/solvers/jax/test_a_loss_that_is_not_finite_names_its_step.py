"""A loss that is not finite is an error that names the step."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

import solvers.jax  # noqa: E402
from adjoint.errors import NonFiniteError  # noqa: E402


def body(params, carry, x):
    return carry + params * x, carry + x


def loss(params, y):
    return jnp.log(y)


def test_the_step_is_named_and_the_next_call_works():
    xs = np.ones(20, np.float32)
    with solvers.jax.value_and_grad(body, loss, leaf_steps=8) as value_and_grad:
        expected = value_and_grad(0.5, 0.0, xs)
        for value in (-1e6, np.inf, np.nan):
            spoilt = xs.copy()
            spoilt[13] = value
            with pytest.raises(NonFiniteError, match=r"the cost became (nan|inf) in step 13:"):
                value_and_grad(0.5, 0.0, spoilt)
        assert value_and_grad(0.5, 0.0, xs) == expected


def test_a_final_carry_that_is_not_finite():
    with (
        solvers.jax.value_and_grad(
            lambda params, carry, _: (params * carry, params), lambda params, y: y, leaf_steps=8
        ) as value_and_grad,
        pytest.raises(NonFiniteError, match="'carry' is not finite in the final state, 20"),
    ):
        value_and_grad(1e10, 1.0, length=20)
