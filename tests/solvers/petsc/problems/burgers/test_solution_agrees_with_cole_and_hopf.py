"""A decaying sine agrees with the solution of Cole and Hopf, to second order in space and time."""

import pytest

pytest.importorskip("petsc4py")

import numpy as np
from triads import direct

from solvers.petsc import CrankNicolson
from solvers.petsc.problems import Burgers

NU, END = 0.05, 0.2


def exact(x: np.ndarray) -> np.ndarray:
    """Return the solution from ``2 nu pi sin(pi x) / (2 + cos(pi x))`` (Wood 2006)."""
    decay = np.exp(-(np.pi**2) * NU * END)
    return 2 * NU * np.pi * decay * np.sin(np.pi * x) / (2 + decay * np.cos(np.pi * x))


def error(nodes: int) -> float:
    direct("wave_")
    num_steps = (nodes + 1) // 4
    problem = Burgers(nodes, num_steps, viscosity=NU)
    x = problem.nodes
    problem.controls["initial"][...] = 2 * NU * np.pi * np.sin(np.pi * x) / (2 + np.cos(np.pi * x))
    stepper = CrankNicolson(problem, END / num_steps, options_prefix="wave_")
    stepper.start()
    stepper.advance(0, num_steps)
    return float(np.abs(stepper.state["u"] - exact(x)).max())


def test_second_order():
    errors = [error(n) for n in (31, 63)]
    assert 1.8 < np.log2(errors[0] / errors[1]) < 2.2
