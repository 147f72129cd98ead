"""H-Revolve costs what the programs of its authors find.

They count a step that is taken again to be reversed, and we do not: n steps more.
"""

import pytest

from adjoint.schedules import DiskRevolve, HRevolve

# (steps, slots, file slots, write = read) -> steps forward and transfers. Herrmann and Pallez 2020.
PUBLISHED = {
    (50, 3, 5, 2): 180,
    (100, 5, 5, 2): 357,
    (100, 3, 10, 5): 425,
    (100, 2, 100, 2): 390,
}


@pytest.mark.parametrize("case", PUBLISHED)
def test_two_tiers(case):
    steps, slots, places, transfer = case
    costs = [(transfer, transfer)]
    two = HRevolve(steps, [(slots, 0, 0), (places, *costs[0])])
    one = DiskRevolve(steps, slots, write=transfer, read=transfer, file_states=places)
    assert two.tally.price(costs) + steps == PUBLISHED[case]
    assert one.tally == two.tally


# The same program, called with forward and reverse cost in their right places.
@pytest.mark.parametrize(("u_f", "u_b", "expected"), [(1, 5, 606), (5, 1, 1271)])
def test_forward_and_reverse_costs_are_not_mistaken_for_each_other(u_f, u_b, expected):
    steps, transfer = 61, 20
    tally = HRevolve(steps, [(3, 0, 0), (20, transfer / u_f, transfer / u_f)]).tally
    moved = transfer * (tally.writes[0] + tally.reads[0])
    assert u_f * tally.advances + moved + steps * (u_f + u_b) == expected


# That program's optima for more tiers, (capacity, write, read) of each; it was run for them.
MORE_TIERS = [
    (60, [(2, 0, 0), (3, 1, 2), (4, 5, 6)], 189),
    (120, [(1, 0, 0), (5, 0.5, 1), (6, 4, 8)], 415),
    (90, [(3, 0, 0), (2, 1, 1), (2, 3, 3), (5, 9, 9)], 258),
]


@pytest.mark.parametrize(("steps", "tiers", "expected"), MORE_TIERS)
def test_more_tiers(steps, tiers, expected):
    assert HRevolve(steps, tiers).tally.price([tier[1:] for tier in tiers[1:]]) == expected
