"""Hessian and Gauss-Newton products of every cell agree with JAX, through the unrolled run."""

import numpy as np
import pytest
from recurrent_unrolled import Problem, copied, distance, products_by_jax

import adjoint
from adjoint.errors import StepperError
from adjoint.schedules import Revolve
from solvers.recurrent import SquaredError

pytestmark = pytest.mark.needs("jax")

NUM_STEPS = 7

PROBLEMS = {
    "tanh": Problem("tanh", 2, lengths=(7, 3, 5)),
    "gru": Problem("gru", classes=5, lengths=(6, 0, 2)),
    "lstm": Problem("lstm", 2),
}


def directions(network):
    rng = np.random.default_rng(6)
    return {name: rng.standard_normal((2, *c.shape)) for name, c in network.controls.items()}


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_products(problem):
    network = problem.network()
    given = directions(network)
    with adjoint.Functional(
        network, NUM_STEPS, schedule=Revolve(NUM_STEPS, 2, leaf_steps=3)
    ) as functional:
        plain = functional.value_and_gradient()
        hessian = functional.second_order(given)
        newton = functional.second_order(given, gauss_newton=True)
    assert hessian.cost == newton.cost == plain[0]
    for name, gradient in plain[1].items():
        assert np.array_equal(hessian.gradient[name], gradient)
    for index in range(2):
        along = {name: each[index] for name, each in given.items()}
        expected = products_by_jax(problem, copied(network), along)
        for found, right in zip((hessian, newton), expected, strict=True):
            assert distance({k: p[index] for k, p in found.products.items()}, right) < 1e-12


def test_inputs_have_products_with_a_row_per_step():
    problem = PROBLEMS["lstm"]
    inputs = problem.data()["inputs"]
    network = problem.network(inputs=inputs, input_gradient=np.zeros_like(inputs))
    given = {"inputs": np.random.default_rng(1).standard_normal(inputs.shape)}
    weights = copied(network)
    along = {name: given.get(name, np.zeros(w.shape)) for name, w in weights.items()}
    with adjoint.Functional(network, NUM_STEPS) as functional:
        found = functional.hessian_product(given)
    assert distance(found, products_by_jax(problem, weights, along)[0]) < 1e-12


def test_a_leaf_that_the_driver_chooses_is_that_of_the_gradient():
    networks = [PROBLEMS["lstm"].network(leaf_steps=None) for _ in range(2)]
    options = {"memory": "100 kB"}
    with adjoint.Functional(networks[0], NUM_STEPS, **options) as functional:
        cost, gradient = functional.value_and_gradient()
    with adjoint.Functional(networks[1], NUM_STEPS, **options) as functional:
        found = functional.second_order(directions(networks[1]))
        assert functional.value_and_gradient()[0] == found.cost == cost
    for name, each in gradient.items():
        assert np.array_equal(found.gradient[name], each)


def test_a_loss_without_a_twin_is_named():
    class Distance(SquaredError):  # noqa: N818 (no exception)
        twin = None

    network = PROBLEMS["lstm"].network(final_loss=Distance(3, 2), final_targets=np.zeros((3, 2)))
    with (
        adjoint.Functional(network, NUM_STEPS) as functional,
        pytest.raises(StepperError, match="Distance has no second derivatives: write twin"),
    ):
        functional.hessian_product({"h0": np.zeros(network.controls["h0"].shape)})
