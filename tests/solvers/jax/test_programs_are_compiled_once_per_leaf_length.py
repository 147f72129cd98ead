"""New weights, data and budgets need no compilation; every length of leaf needs one."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import solvers.jax  # noqa: E402

PARAMS, CARRY0 = {"w": jnp.float32(0.5)}, jnp.zeros(2)
XS = np.ones((20, 2), np.float32)
PROGRAMS = ["jit(run)", "jit(transpose)"]


class Counted:
    """A body that counts how often JAX has traced it."""

    def __init__(self) -> None:
        self.traced = 0

    def __call__(self, params, carry, x):
        self.traced += 1
        carry = jnp.tanh(params["w"] * carry + x)
        return carry, carry


def loss(params, y):
    return jnp.sum(y * y)


@pytest.fixture
def compiled():
    """How many programs XLA has compiled for a leaf."""
    found: list[str] = []

    def listen(event: str, _seconds: float, **about: object) -> None:
        if event.endswith("backend_compile_duration"):
            found.extend(name for name in PROGRAMS if name == about.get("fun_name"))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


def test_weights_and_data(compiled):
    body = Counted()
    with solvers.jax.value_and_grad(body, loss, leaf_steps=8, memory="8 kB") as value_and_grad:
        value_and_grad(PARAMS, CARRY0, XS)
        assert sorted(compiled) == sorted(2 * PROGRAMS)
        traced = body.traced
        value_and_grad({"w": jnp.float32(0.7)}, CARRY0 + 1, 2 * XS)
        value_and_grad({"w": np.array(0.7)}, np.zeros(2), jnp.asarray(XS))
        assert body.traced == traced
        assert len(compiled) == 4


def test_another_number_of_steps(compiled):
    """Only the last leaf is new."""
    with solvers.jax.value_and_grad(Counted(), loss, leaf_steps=8) as value_and_grad:
        value_and_grad(PARAMS, CARRY0, XS)
        value_and_grad(PARAMS, CARRY0, XS[:16])
        assert len(compiled) == 4
        value_and_grad(PARAMS, CARRY0, XS[:12])
        assert len(compiled) == 4
        value_and_grad(PARAMS, CARRY0, XS[:19])
        assert len(compiled) == 6


def test_another_batch(compiled):
    with solvers.jax.value_and_grad(Counted(), loss, leaf_steps=10) as value_and_grad:
        value_and_grad(PARAMS, CARRY0, XS)
        value, _ = value_and_grad(PARAMS, jnp.zeros(3), np.ones((20, 3), np.float32))
        assert len(compiled) == 4
        assert value == pytest.approx(1.5 * float(value_and_grad(PARAMS, CARRY0, XS)[0]), rel=1e-6)
