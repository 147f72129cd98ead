"""Every option of `adjoint.RunOptions` reaches the functional; an unknown one is refused."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax_full_scan import lstm  # noqa: E402

import adjoint  # noqa: E402
from solvers.jax.scan import value_and_grad  # noqa: E402


def test_options_reach_the_functional(monkeypatch):
    given = dict.fromkeys(adjoint.RunOptions.__annotations__) | {"resume": False}
    seen = {}

    class ReachedError(Exception):
        pass

    def functional(stepper, num_steps, **options):
        seen.update(options)
        raise ReachedError

    monkeypatch.setattr(adjoint, "Functional", functional)
    case = lstm(jnp.float32)
    found = value_and_grad(case.body, case.loss, **given)
    with found, pytest.raises(ReachedError):
        found(*case.given)
    assert seen == given


def test_an_option_that_there_is_not():
    with pytest.raises(TypeError, match=r"'memroy'.*memory"):
        value_and_grad(lambda params, carry, x: (carry, x), lambda params, y: 0.0, memroy="1 MiB")
