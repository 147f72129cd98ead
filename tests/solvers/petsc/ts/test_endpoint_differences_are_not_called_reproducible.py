"""With an endpoint, a Jacobian by differences has other bits under another schedule."""

import pytest

pytest.importorskip("petsc4py")
from petsc_oscillator import Oscillator, set_options

ENDPOINT = {"ts_theta_theta": 0.6, "ts_theta_endpoint": True}


@pytest.mark.parametrize("option", ["snes_fd", "snes_fd_color"])
@pytest.mark.parametrize(
    ("kind", "more", "reproducible"),
    [("cn", {}, False), ("theta", ENDPOINT, False), ("theta", {}, True), ("beuler", {}, True)],
)
def test_only_methods_without_an_endpoint_are(kind, more, reproducible, option):
    stepper = Oscillator(kind, options={option: True, **more}, sparse=True).stepper()
    assert stepper.reproducible == reproducible


def teardown_module():
    set_options({})
