"""The most by which Online exceeds Revolve is little more than that of the best rule there is.

All rules are tried. Nor would it help to leave out any of the kept states once the end is known.
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
def test_no_kept_state_is_better_left_out(slots):
    kept = [0]
    for leaf, _given_up in placements(kept, slots):
        if leaf > 150:
            break
        for i in range(1, len(kept)):
            without = [*kept[:i], *kept[i + 1 :]]
            assert cost(kept, leaf, slots) <= cost(without, leaf, slots), (kept, leaf)


# slots -> (end, per cent), for the ends up to 1,000 and up to 10,000 at which the excess is largest
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
