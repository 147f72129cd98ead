"""A TS whose method is changed after construction is refused when an evaluation starts."""

import pytest

pytest.importorskip("petsc4py")
from petsc_oscillator import Oscillator

from adjoint.errors import StepperError

CHANGES = {
    "type": ("rk 4", lambda ts: ts.setType("cn")),
    "type without an adjoint": ("cn", lambda ts: ts.setType("bdf")),
    "Runge-Kutta method": ("rk 4", lambda ts: ts.setRKType("3")),
    "theta": ("theta", lambda ts: ts.setTheta(0.7)),
    "endpoint": ("theta", lambda ts: ts.setThetaEndpoint(True)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_stepper_does_not_start(what):
    method, change = CHANGES[what]
    problem = Oscillator(method)
    stepper = problem.stepper()
    stepper.start()
    change(problem.ts)
    with pytest.raises(StepperError, match="was changed"):
        stepper.start()
