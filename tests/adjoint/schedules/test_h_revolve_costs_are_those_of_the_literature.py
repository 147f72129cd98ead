"""H-Revolve costs what its authors' programs find.

They count a step that is taken again to be reversed and we do not: n steps more.
"""

import pytest

from adjoint.schedules import DiskRevolve, HRevolve

# (steps, slots, file places, write = read) -> steps forward and transfers. Herrmann and Pallez
# 2020, doi:10.1145/3378672.
PUBLISHED = {
    (50, 3, 5, 2): 180,
    (100, 5, 5, 2): 357,
    (100, 3, 10, 5): 425,
    (100, 2, 100, 2): 390,
}


@pytest.mark.parametrize("case", PUBLISHED)
def test_optima(case):
    steps, slots, places, transfer = case
    tally = HRevolve(steps, slots, places, write=transfer, read=transfer).tally
    assert tally.price(transfer, transfer) + steps == PUBLISHED[case]
    disk = DiskRevolve(steps, slots, write=transfer, read=transfer, max_file_states=places)
    assert disk.tally == tally


# The same program, called with forward and reverse cost in their right places.
@pytest.mark.parametrize(("u_f", "u_b", "expected"), [(1, 5, 606), (5, 1, 1271)])
def test_forward_and_reverse_costs_are_not_confused(u_f, u_b, expected):
    steps, transfer = 61, 20
    tally = HRevolve(steps, 3, 20, write=transfer / u_f, read=transfer / u_f).tally
    moved = transfer * (tally.writes + tally.reads)
    assert u_f * tally.advances + moved + steps * (u_f + u_b) == expected
