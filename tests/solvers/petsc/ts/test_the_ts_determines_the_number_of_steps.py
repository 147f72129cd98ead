"""If only the TS determines the number of steps, the gradient is that of the steps it took."""

import numpy as np
import pytest

pytest.importorskip("petsc4py")
from petsc_oscillator import Oscillator

import adjoint
from adjoint.schedules import Revolve

ADAPTIVE = {"ts_adapt_type": "basic", "ts_rtol": 1e-4, "ts_atol": 1e-4}
CASES = [("rk 3bs", ADAPTIVE), ("cn", ADAPTIVE), ("rk 4", {}), ("beuler", {})]


def stepper(method: str, options: dict):
    problem = Oscillator(method, size=0.3, options=options, quadrature=True)
    problem.ts.setMaxTime(2.0)
    return problem.stepper()


@pytest.mark.parametrize(("method", "options"), CASES)
def test_gradient(method, options, tmp_path):
    ended = stepper(method, options)
    found = adjoint.gradient(ended, None, memory="40 kB", file=tmp_path / "run.h5")
    rows = ended.accepted_steps
    assert rows[-1].sum() >= 2.0
    known = stepper(method, options)
    known.accept_steps(rows)
    expected = adjoint.gradient(known, len(rows), schedule=Revolve(len(rows), 3))
    assert found.cost == expected.cost
    for name, array in expected.gradient.items():
        assert found.gradient[name].tobytes() == array.tobytes(), name


def test_each_evaluation_adapts_its_own_steps():
    with adjoint.Functional(stepper("rk 3bs", ADAPTIVE), None, memory="40 kB") as functional:
        lengths = []
        for start in ((1.2, -0.4), (0.1, 0.0), (1.2, -0.4)):
            functional.value_and_gradient({"initial": np.array(start)})
            lengths.append(len(functional.stepper.accepted_steps))
    assert lengths[0] == lengths[2] != lengths[1]
