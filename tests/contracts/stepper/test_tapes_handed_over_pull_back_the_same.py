"""Tapes that are handed over, copied, and given to another stepper give the same gradient.

That is what happens to a tape in the file of a run that is killed and resumed.
"""

from itertools import pairwise

import numpy as np
import pytest
from every_stepper import every_stepper
from stepper_by_hand import assert_same, copied, garbage, gradient_by_hand

from adjoint.steppers import Capabilities, copy_arrays


@pytest.mark.parametrize("case", every_stepper(shows_tapes=True))
def test_in_another_stepper(case, make, stepper, ends):
    expected = gradient_by_hand(make(), case.num_steps, tuple(ends[2:-1:2]))
    ranges = list(pairwise([0, *ends[2:-1:2], case.num_steps]))
    memory, has = stepper.tape_memory, Capabilities.of(stepper)
    kept, cost = {}, 0.0
    for start, stop in ranges:
        cost = stepper.record(start, stop, cost=cost, reach_stop=True)
        pieces = stepper.release_tape(start, stop)
        assert len(pieces) == has.tape_pieces(stop - start)
        kept[start, stop] = [copied(piece) for piece in pieces]
        for piece in pieces:
            copy_arrays(garbage(piece), piece)
        memory.give_back(pieces)
    cost = stepper.turn(cost)
    other = make()
    other.start()
    copy_arrays(stepper.adjoint, other.adjoint)
    copy_arrays(stepper.accumulators, other.accumulators)
    for start, stop in reversed(ranges):
        pieces = other.tape_memory.take(len(kept[start, stop]))
        for piece, arrays in zip(pieces, kept[start, stop], strict=True):
            copy_arrays(arrays, piece)
        other.restore_tape(start, stop, pieces)
        other.pull_back(start, stop)
    other.finish()
    assert np.array_equal(cost, expected[0])
    assert_same(other.accumulators, expected[1])
