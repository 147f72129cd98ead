"""No reversal takes fewer steps than the table: a search over all of them finds none."""

import pytest
from shortest_reversal import cheapest

from adjoint.schedules.mixed_table import TapeTable


@pytest.mark.parametrize("unreached", [0, 0.5, 1])
@pytest.mark.parametrize("tape_slots", [1, 2])
@pytest.mark.parametrize(("leaves", "max_slots"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 2), (6, 1)])
def test_searched(leaves, max_slots, tape_slots, unreached):
    table = TapeTable(leaves, max_slots, tape_slots=tape_slots, unreached=unreached)
    # the search advances to the end of the last leaf, for the terminal cost
    last = 1 - unreached
    for slots in range(max_slots + 1):
        for in_file in (False, True):
            found = cheapest(leaves, slots, tape_slots, unreached, initial_in_file=in_file)
            steps = found[0] if found else float("inf")
            assert table.cost(leaves, slots, in_file) + last == steps, (slots, in_file)
