"""Several functionals of one stepper may be evaluated in turns."""

import numpy as np
import pytest
from pendulums import CopiedPendulums, Pendulums

import adjoint
from adjoint.schedules import Mixed, Revolve, StoreAll

NUM_STEPS = 40

SCHEDULES = [
    StoreAll(NUM_STEPS, leaf_steps=3),
    Revolve(NUM_STEPS, 3, leaf_steps=2),
    Mixed(NUM_STEPS, 12, 2, leaf_steps=2),
    None,
]


@pytest.mark.parametrize("kind", [Pendulums, CopiedPendulums])
@pytest.mark.parametrize("second", SCHEDULES, ids=repr)
@pytest.mark.parametrize("first", SCHEDULES, ids=repr)
def test_in_turns(kind, first, second):
    expected = adjoint.gradient(kind(2, NUM_STEPS), NUM_STEPS)
    stepper = kind(2, NUM_STEPS)
    options = [{} if each is None else {"schedule": each} for each in (first, second)]
    with adjoint.Functional(stepper, NUM_STEPS, **options[0]) as one:
        for _ in range(3):
            results = [one.value_and_gradient()]
            with adjoint.Functional(stepper, NUM_STEPS, **options[1]) as other:
                results += [other.value_and_gradient(), one.value_and_gradient()]
                results += [other.value_and_gradient()]
            results.append(one.value_and_gradient())
            for cost, gradient in results:
                assert cost == expected.cost
                for name, array in expected.gradient.items():
                    np.testing.assert_array_equal(gradient[name], array, strict=True)
