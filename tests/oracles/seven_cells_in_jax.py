"""`seven_cells` written again in JAX, and its dense second derivatives in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from seven_cells import H


def cost_of(states, given):
    """Return the cost of states 0 to n."""
    a, w = given["a"], given["w"]
    running = w**2 * jnp.sum(states[:-1] ** 4 * a) / 4
    end = states[-1]
    return running + jnp.sum(a**2 * (end - 1) ** 2 * jnp.exp(end)) / 2


def states_of(given):
    """Return states 0 to n."""
    a = given["a"]

    def step(u, f):
        bent = jnp.roll(u, 1) - 2 * u + jnp.roll(u, -1)
        after = u + H * (a * bent - u**3 + a * u * f + jnp.sin(f))
        return after, after

    first = jnp.sin(given["b"]) + given["b"] ** 2 / 4
    return jnp.concatenate([first[None], lax.scan(step, first, given["f"])[1]])


def dense_matrices(given):
    """Return the dense Hessian and Gauss-Newton matrix by JAX, in double precision."""
    with jax.enable_x64(True):
        names = list(given)
        flat, _ = ravel_pytree([jnp.asarray(given[name]) for name in names])
        _, back = ravel_pytree([jnp.asarray(given[name]) for name in names])

        def named(x):
            return dict(zip(names, back(x), strict=True))

        def cost(x):
            return cost_of(states_of(named(x)), named(x))

        states, tangents = jax.linearize(lambda x: states_of(named(x)), flat)

        def linearised(d):
            return cost_of(states + tangents(d), named(flat + d))

        hessian = jax.jit(jax.hessian(cost))(flat)
        gauss_newton = jax.jit(jax.hessian(linearised))(jnp.zeros_like(flat))
        return np.asarray(hessian), np.asarray(gauss_newton)
