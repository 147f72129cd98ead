"""Sequences distributed over ranks have the value and gradients of JAX's scan of all of them."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax import lax  # noqa: E402

import solvers.jax  # noqa: E402
from adjoint.errors import ArgumentError, NonFiniteError, StepperError  # noqa: E402

RANKS = (3,)
NUM_STEPS, UNITS, WHOLE = 11, 3, 6


def body(params, carry, x):
    carry = jnp.tanh(params["w"] * x + carry @ params["u"])
    return carry, carry


def loss(params, y):
    return jnp.sum(y**2, axis=-1)


def final_loss(params, carry):
    return jnp.sum(carry * params["w"])


def arguments(size: int):
    """Return the parameters, one of them transposed, and carry and inputs of the whole batch."""
    rng = np.random.default_rng(0)
    params = {"w": rng.standard_normal(UNITS), "u": rng.standard_normal((UNITS, UNITS)).T / 2}
    carry0 = rng.standard_normal((WHOLE * size, UNITS))
    xs = rng.standard_normal((NUM_STEPS, WHOLE * size, UNITS))
    return params, carry0, xs


def test_value_and_gradients(comm, tmp_path):
    def value(params, carry0, xs):
        carry, ys = lax.scan(lambda carry, x: body(params, carry, x), carry0, xs)
        return jnp.sum(ys**2) + final_loss(params, carry)

    with jax.enable_x64(True):
        params, carry0, xs = arguments(comm.size)
        expected, (of_params, of_carry, of_xs) = jax.jit(
            jax.value_and_grad(value, argnums=(0, 1, 2))
        )(params, carry0, xs)
        mine = slice(WHOLE * comm.rank, WHOLE * (comm.rank + 1))
        with solvers.jax.value_and_grad(
            body,
            loss,
            final_loss=final_loss,
            argnums=(0, 1, 2),
            leaf_steps=4,
            comm=comm,
            memory="32 KiB",
            file=tmp_path / "run.h5",
        ) as value_and_grad:
            found, grads = value_and_grad(params, carry0[mine], xs[:, mine])
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    wanted = of_params, of_carry[mine], of_xs[:, mine]
    for grad, right in zip(jax.tree.leaves(grads), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(grad, right, rtol=0, atol=1e-12 * np.abs(right).max())


def test_wrong_arguments_on_one_rank_are_refused_on_all(comm):
    params, carry0, xs = arguments(1)
    last = comm.rank == comm.size - 1
    with solvers.jax.value_and_grad(body, loss, leaf_steps=4, comm=comm) as value_and_grad:
        with pytest.raises(ArgumentError, match=r"xs has 5 rows: there is none for step 5"):
            value_and_grad(params, carry0, xs[:5] if last else xs, length=NUM_STEPS)
        if comm.size > 1:
            with pytest.raises(ArgumentError, match=r"steps: give the same length="):
                value_and_grad(params, carry0, xs[:5] if last else xs)
        with pytest.raises(StepperError, match="step 0: the body must return a pair"):
            value_and_grad(params, carry0[:1] if last else carry0, xs)
        spoilt = xs.copy()
        spoilt[9] = np.nan if last else 1
        with pytest.raises(NonFiniteError, match="the cost became nan in step 9"):
            value_and_grad(params, carry0, spoilt)
        assert np.isfinite(value_and_grad(params, carry0, xs)[0])
