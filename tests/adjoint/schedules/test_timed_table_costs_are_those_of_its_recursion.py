"""Without transfers the table is that of Maddison's recursion; with them, that in exact numbers."""

from fractions import Fraction
from functools import cache
from math import inf

import pytest
from mixed_dynamic_program import fewest

from adjoint.schedules.spilling import timed_table
from adjoint.schedules.spilling.timed_table import SEND, TimedTable

LEAVES, SLOTS = 14, 4


@pytest.fixture
def whole(monkeypatch):
    """Have the table worked out where it is of no use, too."""
    monkeypatch.setattr(timed_table, "REACH", (1.0,))
    monkeypatch.setattr(timed_table, "BUSY_REACH", (1.0,))


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize(("tape_slots", "unreached"), [(1, 1.0), (2, 1.0), (1, 0.5), (3, 0.25)])
def test_where_no_read_is_wanted(tape_slots, unreached):
    pull_back, extra = 2.0, 0.25
    table = TimedTable(
        LEAVES,
        SLOTS,
        tape_slots=tape_slots,
        unreached=unreached,
        extra=extra,
        pull_back=pull_back,
        read=1e6,
        write=1e6,
    )
    expected = fewest(LEAVES, SLOTS, tape_slots, Fraction(unreached))
    for leaves in range(1, LEAVES + 1):
        steps, _ = expected[leaves, SLOTS]
        cost, _move = table.look(leaves, 0, inf)
        assert cost == pytest.approx(float(steps) + leaves * (pull_back + extra))


def by_recursion(slots, read, pull_back):
    """Return H(l, k, a) and D(l, k, a) of the module, whose times are all multiples of one."""
    leaf = 1 + pull_back

    @cache
    def memory(leaves, locked, ahead):
        free = slots - locked - (ahead < read)
        if locked > slots or leaves == 1:
            return leaf if free >= 0 and locked <= slots else inf
        after_tape = min(read, ahead + pull_back)
        taped = leaf + memory(leaves - 1, locked + 1, after_tape)
        return min([taped, *(kept(i, leaves, locked, ahead, memory) for i in range(1, leaves))])

    def kept(i, leaves, locked, ahead, left):
        cost = left(i, locked, ahead)
        if cost == inf:
            return inf
        return i + memory(leaves - i, locked + 1, min(read, ahead + cost)) + cost

    @cache
    def file(leaves, locked, ahead):
        if leaves == 1:
            return memory(1, locked, ahead)
        taped = leaf + memory(leaves - 1, locked + 1, min(read, ahead + pull_back))
        found = [taped, *(kept(i, leaves, locked, ahead, file) for i in range(1, leaves))]
        for i in range(1, leaves):
            right, left = memory(leaves - i, locked, 0), file(i, locked, ahead)
            if right >= read and ahead + left >= read:
                found.append(i + right + left)
        return min(found)

    return memory, file


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("slots", [2, 3, 4, 5])
@pytest.mark.parametrize("read", [5, 10, 25])
def test_where_reads_hold_slots(slots, read):
    memory, file = by_recursion(slots, read, 1)
    table = TimedTable(
        LEAVES,
        slots,
        tape_slots=1,
        unreached=1.0,
        extra=0.0,
        pull_back=1.0,
        read=float(read),
        write=1e6,
    )
    for leaves in range(1, LEAVES + 1):
        for ahead in [0, read // 2, read]:
            assert table.look(leaves, 1, ahead)[0] == memory(leaves, 1, ahead)
            assert table.look(leaves, 1, ahead, in_file=True)[0] == file(leaves, 1, ahead)
            # where no slot is locked, a state may be sent to the file besides
            assert table.look(leaves, 0, ahead)[0] <= memory(leaves, 0, ahead)


def test_with_few_slots_and_a_slow_file_a_state_is_sent_in_the_reverse_sweep():
    given = {"tape_slots": 1, "unreached": 1.0, "extra": 0.0, "pull_back": 1.0}
    table = TimedTable(200, 4, read=200.0, write=200.0, **given)
    moves = {table.look(leaves, 0, inf, may_send=True)[1] for leaves in range(100, 200)}
    assert SEND in moves
    assert SEND not in {table.look(leaves, 0, inf)[1] for leaves in range(100, 200)}
