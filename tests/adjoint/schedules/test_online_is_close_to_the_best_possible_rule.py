"""Online exceeds Revolve by at most a little more than the best possible rule does.

All rules are tried. Discarding a kept state once the end is known does not help, either.
"""

import pytest
from online_rules import cost, least_guarantee, t

from adjoint.schedules import Online
from adjoint.schedules.online_placement import placements
from adjoint.schedules.revolve import minimal_advances
from adjoint.simulation.replay import price


def excess(advances, end, num_slots):
    return advances - t(end, num_slots)


@pytest.mark.parametrize(
    ("slots", "last", "ours", "best"),
    [(2, 40, 30, 22), (2, 90, 64, 59), (3, 50, 13, 13), (3, 60, 21, 13), (4, 24, 4, 4)],
)
def test_the_largest_excess(slots, last, ours, best):
    found = max(
        excess(price(Online(slots), num_steps=end).advances, end, slots)
        for end in range(1, last + 1)
    )
    assert found == ours

    def loss(kept, end):
        return excess(cost(kept, end, slots), end, slots)

    assert least_guarantee(slots, last, loss) == best


@pytest.mark.parametrize("slots", [2, 3, 5, 8])
def test_discarding_a_kept_state_at_the_end_does_not_help(slots):
    kept = [0]
    for leaf, _discarded in placements(kept, slots):
        if leaf > 150:
            break
        for i in range(1, len(kept)):
            without = [*kept[:i], *kept[i + 1 :]]
            assert cost(kept, leaf, slots) <= cost(without, leaf, slots), (kept, leaf)


# slots -> (end, per cent) of the largest excess, for ends up to 1,000 and up to 10,000
LARGEST = {
    3: [(125, 7.2), (1153, 4.5)],
    10: [(290, 4.3), (1001, 3.5)],
    50: [(101, 1.4), (1327, 0.2)],
}


@pytest.mark.parametrize("slots", LARGEST)
def test_long_runs(slots):
    for end, per_cent in LARGEST[slots]:
        optimum = minimal_advances(end, slots)
        found = price(Online(slots), num_steps=end).advances
        assert 1 + (per_cent - 0.1) / 100 < found / optimum < 1 + per_cent / 100
