"""After a loss, the sweep continues from live state and slots, or else from the initial state."""

import numpy as np
import pytest
from pendulums import CopiedPendulums, Pendulums

from adjoint.parallel import communicator
from adjoint.schedules import Spilling
from adjoint.schedules.costs import Costs
from adjoint.storage.blocks import BlockPool
from adjoint.storage.state_layout import StateLayout
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import AdoptingBuffers, CopyingBuffers
from adjoint.sweep.resume import Recovery
from adjoint.sweep.state import SweepState

NUM_STEPS, NUM_SLOTS = 40, 3

COSTS = Costs(advance=1.0, pull_back=1.0, write=5.0, read=5.0)


@pytest.fixture(params=[(Pendulums, AdoptingBuffers), (CopiedPendulums, CopyingBuffers)])
def recovery(request):
    """A sweep at step 20 with the states 0 and 10 in slots, and nothing in the file."""
    kind, buffers = request.param
    stepper = kind(3, NUM_STEPS)
    stepper.start()
    slots = buffers(stepper, BlockPool(StateLayout.of(stepper.state), NUM_SLOTS + 1))
    for step in (0, 10):
        slots.store(step)
        slots.advance(step, step + 10, None)
    return Recovery(
        stepper,
        slots,
        FileStore(None, None),
        communicator(None),
        SweepState(NUM_STEPS, position=20, frontier=20),
        Spilling(NUM_STEPS, NUM_SLOTS, 8.0, costs=COSTS),
        COSTS,
    )


def copies(arrays):
    return {name: array.copy() for name, array in arrays.items()}


def assert_equal(arrays, expected):
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name])


def test_the_forward_sweep_continues_with_its_slots(recovery):
    live = copies(recovery.stepper.state)
    recovery.start_over()
    assert sorted(recovery.buffers.slots) == [0, 10]
    assert recovery.state.position == 20
    assert_equal(recovery.stepper.state, live)


def test_the_reverse_sweep_releases_slots_that_it_has_passed(recovery):
    recovery.state.adjoint_at = 10
    recovery.start_over()
    assert sorted(recovery.buffers.slots) == [0]


@pytest.mark.parametrize(("adjoint_at", "kept"), [(None, []), (18, [0, 10])])
def test_without_the_initial_state_it_is_made_again(adjoint_at, kept, recovery):
    stepper = recovery.stepper
    recovery.buffers.discard(0)
    recovery.state.adjoint_at = adjoint_at
    for number, arrays in enumerate((stepper.adjoint, stepper.accumulators)):
        for array in arrays.values():
            array[...] = number + 1.5
    adjoint, gradients = copies(stepper.adjoint), copies(stepper.accumulators)
    recovery.start_over()
    assert recovery.state.position == 0
    assert recovery.state.frontier == 20
    assert sorted(recovery.buffers.slots) == kept
    assert_equal(stepper.adjoint, adjoint)
    assert_equal(stepper.accumulators, gradients)
    state = copies(stepper.state)
    stepper.start()
    assert_equal(state, stepper.state)
