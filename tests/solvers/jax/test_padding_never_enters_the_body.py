"""With any padding, and infinite slopes in the body, the gradient is that of sequences alone."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax import lax  # noqa: E402
from jax_full_scan import largest_difference  # noqa: E402

import solvers.jax  # noqa: E402
from adjoint.errors import StepperError  # noqa: E402

LENGTHS = [19, 2, 0, 11]
NUM_STEPS, BATCH, UNITS = 26, len(LENGTHS), 3
SLOPES = {
    "tanh": jnp.tanh,
    "unit vector": lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True),
    "square root": lambda x: x * jnp.sqrt(jnp.sum(x * x, -1, keepdims=True)),
    "reciprocal": lambda x: 1e-3 / x,
}


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def data(fill):
    """Return inputs and targets; only those of live sequences are not `fill`."""
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((2, NUM_STEPS, BATCH, UNITS))
    ended = np.arange(NUM_STEPS)[:, None] >= np.array(LENGTHS)
    rows[:, ended] = fill
    return rows, rng.standard_normal((UNITS, UNITS)) / 2, rng.standard_normal((BATCH, UNITS))


def body_of(slope):
    def body(params, carry, x):
        h, key = carry
        # The state, too, has an infinite slope: at zero, where sequence 2 begins and ends.
        h = jnp.tanh(slope(x * params["scale"]) + h @ params["weights"])
        h = h / jnp.sqrt(1e-300 + jnp.sum(h * h, -1, keepdims=True))
        return (h, key), h

    return body


def loss(params, out, target):
    return params["scale"] * jnp.sum(jnp.abs(out - target) ** 1.5, -1)


@pytest.mark.parametrize("fill", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("slope", list(SLOPES))
def test_the_gradient_is_that_of_each_sequence_alone(slope, fill):
    (xs, targets), weights, start = data(fill)
    start[2] = 0
    params = {"weights": jnp.asarray(weights), "scale": jnp.asarray(1.3)}
    body = body_of(SLOPES[slope])

    def alone(params, start):
        total = 0.0
        for index, length in enumerate(LENGTHS):
            one = slice(index, index + 1)
            carry = start[one], jax.random.split(jax.random.key(0), 1)
            step = lambda carry, x: body(params, carry, x)  # noqa: E731
            outputs = lax.scan(step, carry, xs[:length, one])[1]
            total += jnp.sum(loss(params, outputs, targets[:length, one]))
        return total

    expected = jax.value_and_grad(alone, argnums=(0, 1))(params, jnp.asarray(start))
    keys = jax.random.split(jax.random.key(0), BATCH)
    with solvers.jax.value_and_grad(body, loss, argnums=(0, 1), leaf_steps=4) as value_and_grad:
        value, (of_params, (of_start, _)) = value_and_grad(
            params, (jnp.asarray(start), keys), xs, targets, lengths=LENGTHS
        )
    assert largest_difference((value, (of_params, of_start)), expected) < 1e-12


def test_sequences_that_depend_on_each_other_are_refused():
    (xs, targets), weights, start = data(0.0)
    lengths = [NUM_STEPS, 5, 7, 11]

    def mixing(params, carry, x):
        h = jnp.tanh(x + (carry - jnp.mean(carry, 0)) @ params["weights"])
        return h, h

    params = {"weights": weights, "scale": 1.0}
    with (
        solvers.jax.value_and_grad(mixing, loss) as value_and_grad,
        pytest.raises(StepperError, match="must not depend on the others"),
    ):
        value_and_grad(params, start, xs, targets, lengths=lengths)


def test_rows_for_all_sequences_that_look_like_one_for_each_are_refused():
    (xs, targets), weights, start = data(0.0)
    shared = np.random.default_rng(1).standard_normal((NUM_STEPS, BATCH))

    def body(params, carry, x):
        h = jnp.tanh(x[0] + jnp.sum(x[1] ** 2) + carry @ params["weights"])
        return h, h

    params = {"weights": weights, "scale": 1.0}
    with (
        solvers.jax.value_and_grad(body, loss) as value_and_grad,
        pytest.raises(StepperError, match="one entry for each sequence"),
    ):
        value_and_grad(params, start, (xs, shared), targets, lengths=[NUM_STEPS, 5, 7, 11])
