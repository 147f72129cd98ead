"""The block that is chosen is the fastest by exact prices, and leaves room for states."""

from math import ceil

import pytest

from adjoint.planning.blocks import BlockCase, best_block, block_sizes
from adjoint.schedules import Revolve
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

NUM_STEPS, STATE = 60, 1000


def case(block, shared, each):
    """Return what a block takes whose steps take `shared`, and `each` for every direction."""
    step = shared + block * each
    costs = Costs(advance=step, pull_back=2 * step)
    return BlockCase(block, costs, (1 + block) * STATE, 0, {1: 0})


def by_replay(block, states, shared, each):
    """Return what one evaluation takes in leaves of one step; None if it does not fit."""
    slots = states // (1 + block)
    if slots < 2 and block > 1:
        return None
    schedule = Revolve(NUM_STEPS, min(slots, NUM_STEPS - 1))
    return price(schedule, case(block, shared, each).costs).makespan


@pytest.mark.parametrize("count", [1, 2, 5, 16])
@pytest.mark.parametrize("states", [4, 12, 34, 150])
@pytest.mark.parametrize(("shared", "each"), [(1.0, 1.5), (1.0, 0.2), (0.1, 1.0), (1.0, 0.02)])
def test_against_the_price_of_every_block(count, states, shared, each):
    memory = states * STATE
    found = best_block(count, NUM_STEPS, memory, case(1, shared, each), case(4, shared, each))
    seconds = {block: by_replay(block, states, shared, each) for block in block_sizes(count)}
    fitting = {b: ceil(count / b) * taken for b, taken in seconds.items() if taken is not None}
    assert fitting[found] <= 1.011 * min(fitting.values())  # within what the planner calls the same


def test_sizes_share_directions_equally():
    assert block_sizes(1) == [1]
    assert block_sizes(16) == [1, 2, 3, 4, 6, 8, 16]
    for count in range(1, 40):
        for block in block_sizes(count):
            blocks = ceil(count / block)
            assert block * blocks - count < blocks


def test_what_is_needed_beside_states_counts():
    small, large = case(1, 1.0, 0.02), case(4, 1.0, 0.02)
    costly = [
        BlockCase(c.block, c.costs, c.state_bytes, c.block * 10 * STATE, c.tape_bytes)
        for c in (small, large)
    ]
    assert best_block(16, NUM_STEPS, 40 * STATE, small, large) > 2
    assert best_block(16, NUM_STEPS, 40 * STATE, *costly) <= 2
