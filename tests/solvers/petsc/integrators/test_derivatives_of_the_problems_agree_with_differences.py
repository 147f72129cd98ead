"""Jacobians and products of every problem are the derivatives of its right-hand side and costs."""

import pytest

pytest.importorskip("petsc4py")

import numpy as np
from numpy.testing import assert_allclose
from plates import line, plate
from reactions import reaction

PROBLEMS = {"heat": plate, "Burgers": line, "Gray-Scott": reaction}
TIME = 0.3


@pytest.fixture(params=PROBLEMS.values(), ids=PROBLEMS)
def problem(request):
    problem = request.param()
    problem.prepare(problem.controls)
    return problem


def vector(problem, rng):
    u = problem.template.duplicate()
    u.setArray(rng.random(u.getLocalSize()))
    return u


def row(problem):
    return {k: c[0] if k in problem.per_step else c for k, c in problem.controls.items()}


def rhs(problem, values, m) -> np.ndarray:
    u, f = problem.template.duplicate(), problem.template.duplicate()
    u.setArray(values)
    problem.rhs(TIME, u, m, f)
    return f.getArray().copy()


def central(function, x: np.ndarray, direction: np.ndarray, h: float = 1e-5) -> np.ndarray:
    return (function(x + h * direction) - function(x - h * direction)) / (2 * h)


def test_jacobian(problem, rng):
    u, m = vector(problem, rng), row(problem)
    direction, found = vector(problem, rng), u.duplicate()
    problem.rhs_jacobian(TIME, u, m, problem.matrix, problem.matrix)
    problem.matrix.mult(direction, found)
    expected = central(lambda x: rhs(problem, x, m), u.getArray(), direction.getArray())
    assert_allclose(found.getArray(), expected, rtol=1e-7, atol=1e-7)


def test_state_product_is_that_with_the_jacobian(problem, rng):
    u, w, m = vector(problem, rng), vector(problem, rng), row(problem)
    found, expected = u.duplicate(), u.duplicate()
    problem.rhs_state_vjp(TIME, u, m, w, found)
    problem.rhs_jacobian(TIME, u, m, problem.matrix, problem.matrix)
    problem.matrix.multTranspose(w, expected)
    assert_allclose(found.getArray(), expected.getArray(), rtol=1e-12, atol=1e-12)


def test_control_product(problem, rng):
    u, w = vector(problem, rng), vector(problem, rng)
    gradient = {name: np.zeros_like(value) for name, value in row(problem).items()}
    problem.rhs_control_vjp(TIME, u, row(problem), w, gradient)
    for name, grown in gradient.items():
        if name == "initial":
            continue
        direction = rng.standard_normal(grown.shape)

        def weighed(x, name=name):
            m = {**row(problem), name: x}
            problem.prepare(m)
            return w.getArray() @ rhs(problem, u.getArray(), m)

        expected = central(weighed, row(problem)[name], direction)
        assert_allclose(np.vdot(grown, direction), expected, rtol=1e-7, atol=1e-9, err_msg=name)


def test_costs(problem, rng):
    u, m = vector(problem, rng), row(problem)
    direction = vector(problem, rng)
    costs = {
        "running": (
            lambda x: problem.running_cost(TIME, x, m),
            lambda a, g: problem.running_cost_vjp(TIME, u, m, 1.0, a, g),
        ),
        "terminal": (
            lambda x: problem.terminal_cost(x, m),
            lambda a, g: problem.terminal_cost_vjp(u, m, a, g),
        ),
    }
    if problem.observation_times:
        costs["observed"] = (
            lambda x: problem.observation_cost(1, x, m),
            lambda a, g: problem.observation_cost_vjp(1, u, m, a, g),
        )
    for name, (cost, cost_vjp) in costs.items():
        found = u.duplicate()
        found.set(0.0)
        cost_vjp(found, {key: np.zeros_like(value) for key, value in m.items()})

        def priced(values, cost=cost):
            x = u.duplicate()
            x.setArray(values)
            return cost(x)

        expected = central(priced, u.getArray(), direction.getArray())
        assert_allclose(found.dot(direction), expected, rtol=1e-7, atol=1e-9, err_msg=name)
