"""Products of steps in UFL have the same bits in any memory, with a file, and in blocks."""

import pytest

pytest.importorskip("dolfinx")

import form_problems
import numpy as np
from form_problems import NUM_STEPS

import adjoint
from adjoint.schedules import Asynchronous, Revolve, StoreAll

SCHEDULES = [
    Revolve(NUM_STEPS, 2),
    StoreAll(NUM_STEPS, leaf_steps=3),
    Asynchronous(NUM_STEPS, 2, 3),
]


def directions(stepper, count):
    random = np.random.default_rng(1)
    return {n: random.standard_normal((count, *c.shape)) for n, c in stepper.controls.items()}


@pytest.mark.parametrize("gauss_newton", [False, True])
@pytest.mark.parametrize("problem", ["p_laplacian", "rows", "two_levels", "semi_implicit"])
def test_bits(problem, gauss_newton, tmp_path):
    stepper = getattr(form_problems, problem)()
    given = directions(stepper, 2)

    def products(schedule, block):
        file = {"file": tmp_path / "run.h5"} if isinstance(schedule, Asynchronous) else {}
        with adjoint.Functional(stepper, NUM_STEPS, schedule=schedule, **file) as functional:
            return functional.second_order(given, gauss_newton=gauss_newton, block=block)

    kept = products(StoreAll(NUM_STEPS), 2)
    for schedule in SCHEDULES:
        for block in (1, 2):
            found = products(schedule, block)
            assert found.cost == kept.cost
            for name, expected in kept.products.items():
                assert found.products[name].tobytes() == expected.tobytes(), (schedule, name)


def test_cost_and_gradient_are_those_of_the_plain_run():
    stepper = form_problems.p_laplacian()
    plain = adjoint.gradient(stepper, NUM_STEPS)
    with adjoint.Functional(stepper, NUM_STEPS) as functional:
        found = functional.second_order(directions(stepper, 1))
    assert found.cost == plain.cost
    for name, expected in plain.gradient.items():
        assert found.gradient[name].tobytes() == expected.tobytes()


def test_gauss_newton_products_are_hessian_products_where_the_state_is_linear_in_the_controls():
    stepper = form_problems.two_levels()
    given = {"start": directions(stepper, 1)["start"]}
    with adjoint.Functional(stepper, NUM_STEPS) as functional:
        hessian = functional.second_order(given)
        gauss_newton = functional.second_order(given, gauss_newton=True)
    assert gauss_newton.gradient is None
    np.testing.assert_allclose(
        gauss_newton.products["start"], hessian.products["start"], rtol=1e-10, atol=1e-14
    )


def test_a_misfit_without_curvature_is_refused_by_its_name():
    stepper = form_problems.rows()
    misfit = stepper._step.given.misfits[0]

    class Bare:
        steps, value, add_gradient = misfit.steps, misfit.value, misfit.add_gradient

    stepper._step.given.misfits[0] = Bare()
    refusal = pytest.raises(adjoint.StepperError, match="Bare has no second derivative")
    with adjoint.Functional(stepper, NUM_STEPS) as functional, refusal:
        functional.second_order(directions(stepper, 1))
