"""The table has the costs of its recursion, split by split, and decisions that attain them."""

from fractions import Fraction

import pytest
from mixed_dynamic_program import fewest

from adjoint.schedules.mixed_table import TapeTable

LEAVES, SLOTS = 32, 7


@pytest.mark.parametrize("tape_slots", [1, 2, 3, 9])
@pytest.mark.parametrize("unreached", [0, Fraction(1, 3), Fraction(3, 4), 1])
def test_every_entry(tape_slots, unreached):
    expected = fewest(LEAVES, SLOTS, tape_slots, unreached)
    table = TapeTable(LEAVES, SLOTS, tape_slots=tape_slots, unreached=float(unreached))
    for (leaves, slots), costs in expected.items():
        for in_file, cost in enumerate(costs):
            here = (leaves, slots, in_file)
            assert table.cost(*here) == pytest.approx(float(cost), rel=1e-13), here
            assert cost_of_decision(table, expected, *here) == pytest.approx(float(cost)), here


def cost_of_decision(table, costs, leaves, slots, in_file):
    decision = table.decision(leaves, slots, in_file)
    if decision < 0:
        return float("inf")
    if leaves == 1:
        assert decision == 0
        return table.unreached
    if decision == 0:
        return float(1 + costs[leaves - 1, slots - table.tape_slots][0])
    right = costs[leaves - decision, slots if in_file else slots - 1][0]
    return float(decision + right + costs[decision, slots][in_file])


def test_rows_agree_with_look_ups():
    table = TapeTable(20, 5, tape_slots=2, unreached=0.5)
    for leaves in range(1, 21):
        for slots in range(6):
            assert table.costs[slots][leaves] == table.cost(leaves, slots)
            assert table.decisions[slots][leaves] == table.decision(leaves, slots)
            assert table.file_costs[slots][leaves] == table.cost(leaves, slots, in_file=True)
            assert table.file_decisions[slots][leaves] == table.decision(leaves, slots, True)


def test_slots_that_cannot_be_used_are_left_out():
    table = TapeTable(6, 1000, tape_slots=3)
    assert table.max_slots == len(table.costs) - 1 == 15
    assert table.cost(6, 1000) == table.cost(6, 15) == 6
    assert table.cost(2, 1000) == 2
    with pytest.raises(IndexError):
        TapeTable(6, 10, tape_slots=3).cost(6, 11)
