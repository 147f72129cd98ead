"""The gradient is that of dolfinx-adjoint 0.4.0, whose figures are stored.

`tests/benchmarks/fenicsx_against_dolfinx_adjoint.py --store` prints them: costs, and products of
gradients with smooth functions, and their norms.
"""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from diffusion_forms import Diffusion, projections

import adjoint

LINEAR = {
    "source": [
        1.3045870626086389,
        -0.08590614429192878,
        -0.48582995554901554,
        0.016997240801944574,
        -0.1084372009560299,
        0.22221776889375983,
    ],
    "start": [
        1.1582448798236566,
        -0.0684072587327112,
        -0.43235573940723077,
        0.012066256050237735,
        -0.09474328013937426,
        0.19586736129650525,
    ],
}

NONLINEAR = {
    "coefficient": [
        0.0013743355348246572,
        0.0003366042331937151,
        -0.00042178582714970874,
        -2.061185570430063e-05,
        -4.2747889436068785e-05,
        0.0002636853997748246,
    ],
    "start": [
        -0.0010726168694747073,
        -2.023960462071603e-05,
        0.0003905986915898857,
        3.542454719212512e-05,
        8.859010688095355e-05,
        0.00017800236276078313,
    ],
}

CASES = {
    "linear": (500, None, 0.7033401124940603, LINEAR, 1e-12),
    "nonlinear": (100, 4, 0.24983744812719338, NONLINEAR, 1e-11),
}


@pytest.mark.parametrize("kind", CASES)
def test_gradient(kind):
    num_steps, degree, cost, expected, tolerance = CASES[kind]
    problem = Diffusion(kind, 6, num_steps, degree)
    found = adjoint.gradient(problem.stepper(), num_steps, memory="40 kB")
    assert abs(found.cost / cost - 1) < tolerance
    for name, stored in expected.items():
        figures = np.array(projections(problem, found.gradient[name]))
        # A smooth function of 49 nodes is no longer than 7.
        assert abs(figures - stored).max() < tolerance * 7 * stored[-1], name
