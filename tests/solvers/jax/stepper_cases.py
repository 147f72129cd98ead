"""Scans of JAX, for the stepper contract."""

# ruff: noqa: PLC0415 (JAX may be absent)

from stepper_case import Case


def jax_scan():
    """Return an LSTM in leaves of 3 steps, everything differentiated."""
    import jax.numpy as jnp
    from jax_full_scan import lstm

    from solvers.jax import value_and_grad

    case = lstm(jnp.float32)
    scan = value_and_grad(
        case.body, case.loss, final_loss=case.final_loss, argnums=(0, 1, 2), leaf_steps=3
    )
    return scan.functional(*case.given).stepper


STEPPERS = {"jax": Case(jax_scan, 37, needs=("jax",))}
