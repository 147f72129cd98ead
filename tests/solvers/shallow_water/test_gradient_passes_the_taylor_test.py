"""The cost minus its first-order Taylor polynomial vanishes with the square of the step."""

import numpy as np
import pytest
from basins import NUM_STEPS, basin
from stepper_by_hand import cost_by_hand, gradient_by_hand

AMPLITUDES = {"elevation": 0.4, "bathymetry": 2.0, "friction": 0.04}


@pytest.mark.parametrize("control", AMPLITUDES)
@pytest.mark.parametrize("open_sides", [(), ("west", "east", "south", "north")])
def test_order_is_two(control, open_sides, rng):
    stepper = basin(open_sides=open_sides)
    cost, gradient = gradient_by_hand(stepper, NUM_STEPS)
    field = stepper.controls[control]
    centre = field.copy()
    direction = AMPLITUDES[control] * rng.uniform(-1, 1, field.shape)
    slope = float(np.vdot(gradient[control], direction))
    assert slope != 0
    remainders = []
    for halvings in range(4):
        step = 0.5**halvings
        field[...] = centre + step * direction
        remainders.append(abs(cost_by_hand(stepper, NUM_STEPS) - cost - step * slope))
    orders = np.log2(np.divide(remainders[:-1], remainders[1:]))
    assert (orders > 1.95).all(), orders
