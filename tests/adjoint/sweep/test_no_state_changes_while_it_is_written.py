"""The live state is not changed while a transfer of its memory is under way."""

import numpy as np
import pytest
from pendulums import Pendulums

from adjoint.storage.blocks import BlockPool
from adjoint.storage.state_layout import StateLayout
from adjoint.sweep.buffers import AdoptingBuffers


class Write:
    """A transfer of a block that ends when somebody waits for it."""

    is_overdue = False

    def __init__(self, block):
        self.block, self.done, self.written = block, False, None

    def settle(self):
        self.written, self.done = self.block.bytes.copy(), True


@pytest.fixture
def buffers():
    stepper = Pendulums(2, 10)
    stepper.start()
    made = AdoptingBuffers(stepper, BlockPool(StateLayout.of(stepper.state), 2))
    stepper.start()
    return made


def test_a_slot_that_is_given_up_for_its_block(buffers):
    buffers.store(0)
    block = buffers.slots[0]
    before, write = block.bytes.copy(), Write(block)
    block.hold(write)
    buffers.discard(0)
    buffers.advance(0, 1, None)
    np.testing.assert_array_equal(write.written, before)


def test_a_run_that_begins_after_one_that_was_cut_short(buffers):
    block = buffers._live
    read = Write(block)
    block.hold(read)
    buffers.begin()
    assert read.done
