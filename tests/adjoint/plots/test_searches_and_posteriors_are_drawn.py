"""A search is drawn as its least cost so far, a posterior as bands or as a picture."""

import numpy as np
import pytest
from inverse_problems import Logarithms

import adjoint
from adjoint.errors import ArgumentError
from adjoint.inverse import Gaussian, Inversion, Unknown, laplace

matplotlib = pytest.importorskip("matplotlib.figure")
plots = pytest.importorskip("adjoint.plots.inversion")


@pytest.fixture
def axes():
    return matplotlib.Figure().subplots()


def test_a_search(axes):
    with adjoint.Functional(Logarithms(), 1) as functional:
        found = Inversion(functional, [Unknown("x")]).minimise("BFGS")
    assert found.non_finite
    plots.draw_history(axes, found.history)
    (line,) = axes.get_lines()
    numbers, costs = line.get_data()
    assert len(numbers) == len(found.history) - found.non_finite
    assert (np.diff(costs) <= 0).all()
    assert costs[-1] == found.cost


@pytest.mark.parametrize("shape", [(4,), (2, 2), (1, 2, 2)])
def test_a_posterior(axes, shape):
    class Reshaped(Logarithms):
        weights = np.arange(1.0, 5.0)

        def __init__(self):
            adjoint.FunctionStepper.__init__(self, {"u": np.ones(4)}, {"x": np.full(shape, 8.0)})

        def initial_state(self, out):
            out["u"][:] = self.controls["x"].ravel()

        def initial_state_vjp(self, adjoint, gradient):
            gradient["x"] += adjoint["u"].reshape(shape)

    prior = Gaussian(8.0, factor=np.eye(4))
    with adjoint.Functional(Reshaped(), 1) as functional:
        inversion = Inversion(functional, [Unknown("x", prior=prior)])
        posterior = laplace(inversion, inversion.initial, rank=4)
    if len(shape) == 3:
        with pytest.raises(ArgumentError, match="one or two axes"):
            plots.draw_posterior(axes, posterior)
        return
    plots.draw_posterior(axes, posterior)
    assert len(axes.collections) == (2 if len(shape) == 1 else 0)
    assert len(axes.images) == len(shape) - 1
    with pytest.raises(ArgumentError, match="not 'y'"):
        plots.draw_posterior(axes, posterior, "y")
