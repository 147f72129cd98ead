"""Costs that are not finite, shown to every method of SciPy and TAO."""

from contextlib import suppress

import numpy as np
import pytest
from inverse_problems import Logarithms

import adjoint
from adjoint.errors import ArgumentError, NonFiniteError
from adjoint.inverse import Inversion, Unknown
from adjoint.inverse.optional import with_petsc
from adjoint.inverse.search import Barrier

with suppress(ArgumentError):  # MPI's pipes are open before the first test
    with_petsc("petsc", "this")

FIRST_ORDER = ("L-BFGS-B", "BFGS", "CG", "TNC", "SLSQP")
OF_TAO = ("tao:lmvm", "tao:blmvm", "tao:cg", "tao:bqnls", "tao:bncg")


@pytest.fixture
def inversion():
    with adjoint.Functional(Logarithms(), 1, memory="1 MiB") as functional:
        yield Inversion(functional, [Unknown("x")])


@pytest.mark.parametrize("method", FIRST_ORDER)
def test_scipy_finds_the_minimum(inversion, method):
    found = inversion.minimise(method)
    assert found.x == pytest.approx(np.ones(4), abs=2e-2)
    assert found.cost == pytest.approx(10.0, rel=1e-4)
    assert found.non_finite == sum(not each.finite for each in found.history)
    assert inversion.functional.stepper.controls["x"] == pytest.approx(found.x)


@pytest.mark.needs("petsc4py")
@pytest.mark.parametrize("method", OF_TAO)
def test_tao_finds_the_minimum(inversion, method):
    found = inversion.minimise(method, gatol=1e-6, grtol=0.0)
    assert found.x == pytest.approx(np.ones(4), abs=1e-3)
    found.tao.destroy()


def test_some_costs_were_not_finite(inversion):
    """Else the tests above would show nothing."""
    assert inversion.minimise("BFGS").non_finite > 0


def test_a_first_cost_that_is_not_finite_is_an_error(inversion):
    with pytest.raises(NonFiniteError):
        inversion.minimise(initial=-np.ones(4))


def test_thirty_in_a_row_end_the_search(inversion):
    barrier = Barrier(inversion)
    cost, gradient = barrier(np.ones(4))
    for _ in range(29):
        far, back = barrier(-np.ones(4))
        assert far > 1000 * cost
        assert (back == -gradient).all()
    with pytest.raises(NonFiniteError, match="30 evaluations in a row"):
        barrier(-np.ones(4))


def test_a_method_that_does_not_exist_is_refused(inversion):
    with pytest.raises(ArgumentError, match="there is no method 'Nelder-Mead'"):
        inversion.minimise("Nelder-Mead")
