"""Makespan over ideal is what event simulation of the scheme as first written down gave, or less.

For runs of `n` steps, `S` slots, and reads and writes of `w`, with ``u_b = 2 u_f``; *ideal* is what
keeping every state would take, ``(n - 1) u_f + n u_b``.
"""

import pytest
from baselines import makespan
from random_configurations import Configuration

from adjoint.planning.planner import compare

TOLERANCE = 1.01

# (S, w / u_f): at 10^3 and at 10^4 steps
TARGETS = {
    (4, 0.5): (1.000, 1.000),
    (4, 10): (1.463, 1.466),
    (4, 50): (1.890, 1.905),
    (4, 200): (2.424, 2.519),
    (16, 10): (1.295, 1.299),
    (16, 50): (1.499, 1.542),
    (16, 200): (1.593, 1.692),
    (64, 50): (1.305, 1.325),
    (64, 200): (1.310, 1.491),
}

# the same at 10^4 steps where recording takes a step, and a tape may be kept in a slot
TARGETS_WITH_TAPES = {
    (4, 200): 2.41,
    (16, 10): 1.02,
    (64, 50): 1.02,
    (16, 50): 1.25,
    (64, 200): 1.25,
}


def over_ideal(num_steps, num_slots, transfer, *, with_tapes=False):
    case = Configuration(num_steps, num_slots, transfer, transfer, 2.0, with_tapes)
    schedule = compare(num_steps, case.costs, case.budget)[0].schedule
    return makespan(schedule, case) / (num_steps - 1 + 2 * num_steps)


@pytest.mark.parametrize(("place", "num_steps"), [(0, 1_000), (1, 10_000)])
@pytest.mark.parametrize(("num_slots", "transfer"), TARGETS)
def test_states_alone(num_slots, transfer, place, num_steps):
    target = TARGETS[num_slots, transfer][place]
    assert over_ideal(num_steps, num_slots, transfer) <= TOLERANCE * target


@pytest.mark.parametrize(("num_slots", "transfer"), TARGETS_WITH_TAPES)
def test_with_tapes(num_slots, transfer):
    target = TARGETS_WITH_TAPES[num_slots, transfer]
    assert over_ideal(10_000, num_slots, transfer, with_tapes=True) <= target
