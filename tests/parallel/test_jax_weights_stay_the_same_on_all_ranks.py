"""Weights stay bitwise equal on all ranks over a hundred updates of data-parallel training."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import solvers.jax  # noqa: E402

RANKS = (2,)
NUM_STEPS, UPDATES, RATE = 12, 100, 0.05
BATCH, UNITS = 2, 4


def body(params, carry, x):
    carry = jnp.tanh(x @ params["inputs"] + carry @ params["recurrent"] + params["bias"])
    return carry, carry


def loss(params, y, target):
    return jnp.mean((y - target) ** 2, axis=-1)


def test_bitwise_after_a_hundred_updates(comm):
    rng = np.random.default_rng(0)
    params = {
        "inputs": jnp.asarray(rng.standard_normal((UNITS, UNITS)) / 2, jnp.float32),
        "recurrent": jnp.asarray(rng.standard_normal((UNITS, UNITS)) / 2, jnp.float32),
        "bias": jnp.zeros(UNITS),
    }
    own = np.random.default_rng(1 + comm.rank)
    xs = own.standard_normal((NUM_STEPS + comm.rank, BATCH, UNITS), dtype=np.float32)
    targets = 0.3 * np.roll(xs, 1, axis=0)
    lengths = [NUM_STEPS + comm.rank, 7]
    costs = []
    with solvers.jax.value_and_grad(
        body, loss, leaf_steps=5, memory="1 MiB", comm=comm
    ) as value_and_grad:
        for _ in range(UPDATES):
            cost, grads = value_and_grad(
                params, jnp.zeros((BATCH, UNITS)), xs, targets, lengths=lengths
            )
            costs.append(float(cost))
            params = jax.tree.map(lambda w, g: w - RATE * g, params, grads)
    assert costs[-1] < 0.8 * costs[0]
    assert comm.allgather(costs) == [costs] * comm.size
    for name, weights in params.items():
        bits = comm.allgather(np.asarray(weights).tobytes())
        assert bits == [bits[0]] * comm.size, name
