"""Every option of `adjoint.RunOptions` reaches the functional; an unknown one is refused."""

import pytest

torch = pytest.importorskip("torch")

from torch_unrolled import Model  # noqa: E402

import adjoint  # noqa: E402


def test_options_reach_the_functional(monkeypatch):
    given = dict.fromkeys(adjoint.RunOptions.__annotations__) | {"resume": False}
    seen = {}

    def functional(stepper, num_steps, **options):
        seen.update(options)

    monkeypatch.setattr(adjoint, "Functional", functional)
    Model("LSTMCell").sequence(**given)
    assert seen == given


def test_an_option_that_there_is_not():
    with pytest.raises(TypeError, match=r"'memroy'.*memory"):
        Model("LSTMCell").sequence(memroy="1 MiB")
