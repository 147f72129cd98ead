"""Without a closed form, a run too long for the table takes at most 1 % more steps."""

import pytest

from adjoint.schedules.mixed import mixed_steps
from adjoint.schedules.mixed_table import TapeTable

LEAVES = 2600


@pytest.mark.parametrize("tape_slots", [2, 3])
@pytest.mark.parametrize("unreached", [0.1, 0.5, 0.9])
def test_against_a_larger_table(tape_slots, unreached):
    table = TapeTable(LEAVES, 4, tape_slots=tape_slots, unreached=unreached)
    for slots in (2, 3, 4):
        for leaves in (2100, 2300, LEAVES):
            best = table.cost(leaves, slots) + 1 - unreached
            found = mixed_steps(leaves, slots, tape_slots, unreached=unreached)
            assert best * (1 - 1e-12) <= found <= 1.01 * best
