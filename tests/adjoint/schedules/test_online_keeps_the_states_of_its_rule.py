"""The states that Online keeps, and its advances, are those of its rule, tried leaf by leaf."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from online_rules import cost, following_the_rule

from adjoint.schedules import Online
from adjoint.schedules.actions import Advance, Discard, Store
from adjoint.schedules.revolve import beta
from adjoint.simulation.replay import price

LAST = 150


def kept_at_every_end(num_slots):
    """Return {end: states kept if the run ends there}, from the stream of a longer run."""
    kept, found = [], {}
    stream = iter(Online(num_slots))
    while LAST not in found:
        match next(stream):
            case Store(step=step):
                kept.append(step)
            case Discard(step=step):
                kept.remove(step)
            case Advance(start=start, stop=stop):
                found |= dict.fromkeys(range(start + 1, stop + 1), tuple(kept))
    return found


@pytest.mark.parametrize("slots", range(2, 10))
def test_beyond_two_repetitions(slots):
    full = [sum(range(slots + 1, slots + 1 - gap, -1)) for gap in range(slots)]
    found = kept_at_every_end(slots)
    for end, kept in following_the_rule(full, slots, LAST):
        if end >= beta(slots, 2):
            assert found[end] == kept, (slots, end)


@settings(max_examples=150)
@given(st.integers(1, 9), st.integers(1, 600), st.integers(1, 9))
def test_played(slots, steps, leaf):
    leaves = -(-steps // leaf)
    if leaves > LAST:
        leaves, steps = LAST, LAST * leaf
    found = price(Online(slots, leaf_steps=leaf), num_steps=steps)
    kept = kept_at_every_end(slots)[leaves]
    # the last leaf may be shorter: it is advanced over once, and then recorded
    assert found.advances == leaf * (cost(kept, leaves, slots) - leaves) + steps
    assert found.peak_slots == len(kept) == min(slots, leaves)
