"""Recurrent models for JAX, differentiated without any of the code under test.

`full_scan` is one ``lax.scan`` over all steps, which ``jax.value_and_grad`` differentiates keeping
every one. Sequences of unequal length are scanned one by one, each to its own end: no mask.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

NUM_STEPS = 37
BATCH, WIDTH, UNITS = 3, 4, 5


@dataclass(frozen=True)
class Case:
    """A model and its arguments."""

    body: Callable[..., Any]
    loss: Callable[..., Any]
    final_loss: Callable[..., Any]
    params: Any
    carry0: Any
    xs: Any
    targets: Any

    @property
    def given(self) -> tuple[Any, Any, Any, Any]:
        """The arguments of a call."""
        return self.params, self.carry0, self.xs, self.targets

    def changed(self) -> "Case":
        """Return the same with other weights, as after an update."""
        return replace(self, params=jax.tree.map(lambda w: 0.9 * w + 0.01, self.params))


def random(dtype: Any, seed: int = 0) -> Callable[..., Any]:
    """Return a function that makes random arrays of the shapes it is given."""
    rng = np.random.default_rng(seed)
    return lambda *shape: jnp.asarray(0.5 * rng.standard_normal(shape), dtype)


def lstm(dtype: Any) -> Case:
    """Return an LSTM with squared errors at every step, and a weighted final state."""
    make = random(dtype)

    def body(params, carry, x):
        h, c = carry
        gates = x @ params["inputs"] + h @ params["recurrent"] + params["bias"]
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return Case(
        body,
        lambda params, y, target: jnp.sum((y - target) ** 2, axis=-1),
        lambda params, carry: jnp.sum(carry[1] ** 2 * params["bias"][:UNITS]),
        {
            "inputs": make(WIDTH, 4 * UNITS),
            "recurrent": make(UNITS, 4 * UNITS),
            "bias": make(4 * UNITS),
        },
        (make(BATCH, UNITS), make(BATCH, UNITS)),
        make(NUM_STEPS, BATCH, WIDTH),
        make(NUM_STEPS, BATCH, UNITS),
    )


def gru(dtype: Any) -> Case:
    """Return a GRU whose parameters, inputs and results are nested trees."""
    make = random(dtype, 1)

    def body(params, carry, x):
        (signal, drive), h = x, carry["h"]
        weights, candidate = params
        r, z = jnp.split(jax.nn.sigmoid(signal @ weights[0] + h @ weights[1]), 2, axis=-1)
        new = jnp.tanh(signal @ candidate["w"] + (r * h) @ candidate["u"] + drive[:, None])
        h = (1 - z) * new + z * h
        return {"h": h}, {"state": h, "update": z}

    return Case(
        body,
        lambda params, y, target: jnp.mean(y["state"] * target["of"], axis=-1) + y["update"][:, 0],
        lambda params, carry: jnp.sum(jnp.sin(carry["h"])),
        (
            [make(WIDTH, 2 * UNITS), make(UNITS, 2 * UNITS)],
            {"w": make(WIDTH, UNITS), "u": make(UNITS, UNITS)},
        ),
        {"h": make(BATCH, UNITS)},
        (make(NUM_STEPS, BATCH, WIDTH), make(NUM_STEPS, BATCH)),
        {"of": make(NUM_STEPS, BATCH, UNITS)},
    )


def dropped(dtype: Any) -> Case:
    """Return a vanilla cell with dropout and a counter: keys and integers in its carry."""
    make = random(dtype, 2)

    def body(params, carry, x):
        key, now = jax.random.split(carry["key"])
        kept = jax.random.bernoulli(now, 0.8, (BATCH, UNITS))
        h = jnp.tanh(x @ params["w"] + jnp.where(kept, carry["h"], 0) @ params["u"])
        h = jnp.where(carry["count"] % 3 == 0, h * params["scale"], h)
        return {"key": key, "h": h, "count": carry["count"] + 1, "on": ~carry["on"]}, h

    return Case(
        body,
        lambda params, y, target: jnp.sum((y - target) ** 2),
        lambda params, carry: jnp.sum(carry["h"]) * carry["count"],
        {"w": make(WIDTH, UNITS), "u": make(UNITS, UNITS), "scale": make()},
        {
            "key": jax.random.key(7),
            "h": make(BATCH, UNITS),
            "count": jnp.array(0),
            "on": jnp.array(True),
        },
        make(NUM_STEPS, BATCH, WIDTH),
        make(NUM_STEPS, BATCH, UNITS),
    )


CASES = {"lstm": lstm, "gru": gru, "dropped": dropped}


def full_scan(case: Case) -> Callable[..., Any]:
    """Return the summed loss as a function of ``(params, carry0, xs, targets)``."""

    def value(params, carry0, xs, targets):
        def step(carry, row):
            carry, y = case.body(params, carry, row[0])
            return carry, jnp.sum(case.loss(params, y, row[1]))

        carry, losses = lax.scan(step, carry0, (xs, targets))
        return jnp.sum(losses) + case.final_loss(params, carry)

    return value


def one_by_one(case: Case, lengths: list[int]) -> Callable[..., Any]:
    """Return the summed loss of sequences that are scanned each to its own end."""
    whole = full_scan(case)

    def value(params, carry0, xs, targets):
        total = jnp.zeros(())
        for index, length in enumerate(lengths):
            at = slice(index, index + 1)
            first = jax.tree.map(lambda leaf, at=at: leaf[at], carry0)
            rows = [
                jax.tree.map(lambda leaf, at=at, to=length: leaf[:to, at], tree)
                for tree in (xs, targets)
            ]
            total += whole(params, first, *rows)
        return total

    return value


def largest_difference(found: Any, expected: Any) -> float:
    """Return the largest difference over the largest entry, of the leaf where that is largest."""

    def one(a, b):
        if a.dtype == jax.dtypes.float0:
            assert b.dtype == a.dtype
            assert a.shape == b.shape
            return 0.0
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        return float(jnp.max(jnp.abs(a - b)) / jnp.maximum(jnp.max(jnp.abs(b)), 1e-300))

    assert jax.tree.structure(found) == jax.tree.structure(expected)
    return max(jax.tree.leaves(jax.tree.map(one, found, expected)))
