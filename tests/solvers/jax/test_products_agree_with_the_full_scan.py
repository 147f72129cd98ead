"""Hessian and Gauss-Newton products agree with those that JAX computes of one scan of all steps."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
from jax import lax  # noqa: E402
from jax_full_scan import CASES, full_scan  # noqa: E402

import adjoint  # noqa: E402
from adjoint.errors import StepperError  # noqa: E402
from adjoint.schedules import Revolve  # noqa: E402
from solvers.jax import value_and_grad  # noqa: E402

ARGNUMS = {"lstm": (0, 1, 2, 3), "gru": (0, 1, 2), "dropped": (0, 2)}


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def run(case, argnums, **options):
    """Return the functional of a case, and its argument trees flat by control."""
    scan = value_and_grad(
        case.body, case.loss, final_loss=case.final_loss, argnums=argnums, leaf_steps=5, **options
    )
    return scan, scan.functional(*case.given)


def linearised(case, argnums):
    """Return the cost of linearised outputs, as a function of a move of the arguments."""

    def outputs(*moving):
        params, carry0, xs, _ = whole(case, argnums, moving)
        return lax.scan(lambda carry, x: case.body(params, carry, x), carry0, xs)

    given = [case.given[number] for number in argnums]
    (carry, ys), linear = jax.linearize(outputs, *given)

    def cost(*moves):
        end, rows = linear(*moves)
        there = jax.tree.map(moved_by, (carry, ys), (end, rows))
        moved = [jax.tree.map(jnp.add, a, b) for a, b in zip(given, moves, strict=True)]
        params, _, _, targets = whole(case, argnums, moved)
        losses = jax.vmap(lambda y, t: jnp.sum(case.loss(params, y, t)))(there[1], targets)
        return jnp.sum(losses) + case.final_loss(params, there[0])

    return cost, [jax.tree.map(jnp.zeros_like, each) for each in given]


def moved_by(array, move):
    return array if move.dtype == jax.dtypes.float0 else array + move


def whole(case, argnums, moving):
    arguments = list(case.given)
    for number, tree in zip(argnums, moving, strict=True):
        arguments[number] = tree
    return arguments


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("gauss_newton", [False, True])
def test_products(name, gauss_newton):
    case, argnums = CASES[name](jnp.float64), ARGNUMS[name]
    _, functional = run(case, argnums, memory="1 MB")
    stepper = functional.stepper
    rng = np.random.default_rng(3)
    given = {k: rng.standard_normal((2, *c.shape)) for k, c in stepper.controls.items()}
    cost, gradient = functional.value_and_gradient()
    found = functional.second_order(given, gauss_newton=gauss_newton)
    assert found.cost == cost
    if gauss_newton:
        function, point = linearised(case, argnums)
    else:
        value = full_scan(case)
        assert all(np.array_equal(found.gradient[k], g) for k, g in gradient.items())
        point = [case.given[number] for number in argnums]

        def function(*moving):
            return value(*whole(case, argnums, moving))

    for index in range(2):
        along = {k: each[index] for k, each in given.items()}
        moves = [stepper.gradient(number, along) for number in argnums]
        slopes = jax.grad(function, argnums=tuple(range(len(argnums))))
        expected = jax.jvp(slopes, tuple(point), tuple(moves))[1]
        here = {k: product[index] for k, product in found.products.items()}
        mine = [stepper.gradient(number, here) for number in argnums]
        for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * float(jnp.abs(b).max()))


def test_of_a_padded_batch():
    case, lengths = CASES["lstm"](jnp.float64), [20, 37, 11]
    scan = value_and_grad(case.body, case.loss, leaf_steps=5)
    functional = scan.functional(case.params, case.carry0, case.xs, case.targets, lengths=lengths)
    along = jax.tree.map(jnp.ones_like, case.params)
    given = {f"params['{name}']": np.ones(leaf.shape) for name, leaf in case.params.items()}

    def value(params):
        total = 0.0
        for index, length in enumerate(lengths):
            one = slice(index, index + 1)
            first = jax.tree.map(lambda a, one=one: a[one], case.carry0)
            step = lambda carry, x: case.body(params, carry, x)  # noqa: E731
            _, ys = lax.scan(step, first, case.xs[:length, one])
            total += jnp.sum(case.loss(params, ys, case.targets[:length, one]))
        return total

    found = functional.hessian_product(given)
    newton = functional.gauss_newton_product(given)
    expected = jax.jvp(jax.grad(value), (case.params,), (along,))[1]
    for name, product in expected.items():
        np.testing.assert_allclose(
            found[f"params['{name}']"], product, rtol=0, atol=1e-12 * float(jnp.abs(product).max())
        )
    assert sum(float(np.sum(each)) for each in newton.values()) > 0


def test_complex_leaves_are_refused():
    scan = value_and_grad(lambda w, c, x: (c * w, c), lambda w, y: jnp.abs(y) ** 2)
    functional = scan.functional(jnp.array(0.5 + 1j), jnp.array(1 + 0j), length=4)
    with pytest.raises(StepperError, match="is complex: second derivatives of a scan need real"):
        functional.hessian_product({"params": np.array(1 + 0j)})


def test_bits_do_not_depend_on_block_or_schedule():
    case = CASES["lstm"](jnp.float64)
    found = []
    for schedule, block in ((Revolve(37, 3, leaf_steps=5), 1), (None, 3)):
        _, functional = run(case, (0,), schedule=schedule)
        given = {
            k: np.random.default_rng(1).standard_normal((3, *c.shape))
            for k, c in functional.stepper.controls.items()
        }
        found.append(functional.second_order(given, block=block).products)
        assert isinstance(functional, adjoint.Functional)
    for name, product in found[0].items():
        assert np.array_equal(product, found[1][name])
