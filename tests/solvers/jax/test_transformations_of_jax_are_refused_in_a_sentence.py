"""Inside jit, grad or vmap, the function is refused by an error that says what to do."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

import solvers.jax  # noqa: E402
from adjoint.errors import ArgumentError  # noqa: E402

XS = jnp.linspace(0.1, 1.0, 6)


def body(params, carry, x):
    carry = jnp.sin(params * carry + x)
    return carry, carry


@pytest.mark.parametrize(
    "transformed",
    [
        lambda f: jax.jit(f)(0.7, 1.0, XS),
        lambda f: jax.jit(lambda lengths: f(0.7, jnp.ones(1), XS, lengths=lengths))(jnp.array([4])),
        lambda f: jax.grad(lambda scale: f(0.7, 1.0, scale * XS)[0])(2.0),
        lambda f: jax.vmap(lambda start: f(0.7, start, XS)[0])(jnp.ones(2)),
    ],
    ids=["jit", "jit of lengths", "grad", "vmap"],
)
def test_the_error_says_what_to_do(transformed):
    with solvers.jax.value_and_grad(body, lambda params, y: y * y, leaf_steps=2) as f:
        with pytest.raises(ArgumentError, match=r"outside of jax\.jit, .*argnums="):
            transformed(f)
        assert jnp.isfinite(f(0.7, 1.0, XS)[0])
