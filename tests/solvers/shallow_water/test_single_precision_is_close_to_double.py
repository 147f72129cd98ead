"""In float32 everything is float32, and cost and gradient are those of float64 to its precision."""

import numpy as np
from basins import NUM_STEPS, basin
from stepper_by_hand import gradient_by_hand


def test_cost_and_gradient():
    cost, gradient = gradient_by_hand(basin(), NUM_STEPS)
    stepper = basin(dtype=np.float32)
    rough_cost, rough = gradient_by_hand(stepper, NUM_STEPS)
    held = (stepper.state, stepper.adjoint, stepper.controls, stepper.accumulators)
    assert {array.dtype for arrays in held for array in arrays.values()} == {np.dtype(np.float32)}
    assert 0 < abs(rough_cost / cost - 1) < 1e-4
    for name, field in gradient.items():
        assert np.linalg.norm(rough[name] - field) < 1e-4 * np.linalg.norm(field), name
