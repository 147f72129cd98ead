"""The LSTM of the benchmarks of `solvers.jax`, and its scans in plain JAX."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def body(params, carry, x):
    """Take one step of an LSTM: ``(params, carry, x) -> (carry, y)``."""
    h, c = carry
    gates = x @ params["inputs"] + h @ params["recurrent"] + params["bias"]
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def loss(params, y):
    """Return the loss of one step."""
    del params
    return jnp.mean(y * y)


def arguments(units: int, batch: int):
    """Return parameters and initial carry, in single precision."""
    rng = np.random.default_rng(0)

    def weights(*shape: int):
        return jnp.asarray(rng.standard_normal(shape) / np.sqrt(units), jnp.float32)

    params = {
        "inputs": weights(units, 4 * units),
        "recurrent": weights(units, 4 * units),
        "bias": weights(4 * units),
    }
    return params, (weights(batch, units), weights(batch, units))


def sequences(num_steps: int, units: int, batch: int):
    """Return random inputs."""
    rng = np.random.default_rng(1)
    return rng.standard_normal((num_steps, batch, units), dtype=np.float32)


def full_scan(params, carry0, xs):
    """Return the summed loss by one scan, of which JAX keeps every step."""

    def step(carry, x):
        carry, y = body(params, carry, x)
        return carry, loss(params, y)

    return jnp.sum(lax.scan(step, carry0, xs)[1])


def segmented_scan(segment: int):
    """Return the same by a scan of scans, of which JAX keeps one carry per segment."""

    def whole(params, carry0, xs):
        def step(carry, x):
            carry, y = body(params, carry, x)
            return carry, loss(params, y)

        @jax.checkpoint
        def leaf(carry, rows):
            carry, losses = lax.scan(step, carry, rows)
            return carry, jnp.sum(losses)

        rows = xs.reshape((-1, segment, *xs.shape[1:]))
        return jnp.sum(lax.scan(leaf, carry0, rows)[1])

    return whole
