"""A billion steps are planned with hardly more work than a hundred thousand.

Work is counted, not timed, by `call_count`.
"""

import pytest
from call_count import call_count

from adjoint.planning.budget import Budget
from adjoint.planning.planner import choose
from adjoint.schedules.costs import Costs

MODERATE, LONG = 10**5, 10**9


def planning(num_steps, num_slots, costs, leaves, tapes):
    slots = {leaf: num_slots + 1 - leaf for leaf in leaves}
    tape_slots = {leaf: leaf for leaf in leaves} if tapes else {}
    room = Budget(slots, num_steps, tape_slots)
    return lambda: choose(num_steps, costs, room)


@pytest.mark.parametrize(
    ("num_slots", "transfer", "leaves", "tapes"),
    [
        (4, 0.5, (1,), False),
        (4, 200, (1, 2), True),
        (16, 10, (1,), True),
        (16, 10, (1, 2, 4), False),
        (64, 50, (1,), False),
        (64, 50, (1, 2, 4), True),
    ],
)
def test_work(num_slots, transfer, leaves, tapes):
    costs = Costs(advance=1, unreached=1, pull_back=1, write=transfer, read=transfer)
    counts = [call_count(planning(n, num_slots, costs, leaves, tapes)) for n in (MODERATE, LONG)]
    assert counts[1] <= 1.5 * counts[0]
