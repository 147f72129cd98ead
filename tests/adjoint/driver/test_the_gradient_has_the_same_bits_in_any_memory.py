"""Whatever memory is allowed, and so whatever is planned, cost and gradient have the same bits.

The reference keeps every tape and is driven by hand: no schedule, no planner, no driver.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pendulums import CopiedPendulums, Pendulums
from stepper_by_hand import gradient_by_hand

import adjoint

PENDULUMS = 20
STATE = 2 * 8 * PENDULUMS + 2 * 64


class Retaken(Pendulums):
    """Steps that are said to be needed for their tape: then tapes are kept where they fit."""

    needs_last_state = True


KINDS = [Pendulums, CopiedPendulums, Retaken]


@settings(max_examples=60)
@given(st.sampled_from(KINDS), st.integers(1, 120), st.floats(2, 200), st.integers(1, 3))
def test_in_memory(kind, num_steps, states, evaluations):
    cost, expected = gradient_by_hand(kind(PENDULUMS, num_steps), num_steps)
    stepper, memory = kind(PENDULUMS, num_steps), int(states * STATE)
    with adjoint.Functional(stepper, num_steps, memory=memory) as functional:
        for _ in range(evaluations):
            found, gradient = functional.value_and_gradient()
            assert found == cost
            for name, array in expected.items():
                np.testing.assert_array_equal(gradient[name], array, strict=True)
            assert functional.report.memory_bytes <= memory
