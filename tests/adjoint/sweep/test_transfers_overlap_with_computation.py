"""A transfer much slower than a step delays neither the forward nor the reverse sweep.

The engine here is slow in steps, not in seconds: a transfer is done once the stepper has taken or
pulled back a given number of steps more. A computation that waited for it would wait for ever, so
waiting is an error.
"""

import numpy as np
import pytest
from pendulums import CopiedPendulums, Pendulums

from adjoint.parallel import communicator
from adjoint.schedules import Asynchronous
from adjoint.storage.blocks import BlockPool
from adjoint.storage.engines.transfer import Statistics, Transfer
from adjoint.storage.state_layout import StateLayout
from adjoint.storage.store import FileStore
from adjoint.sweep.buffers import AdoptingBuffers, CopyingBuffers
from adjoint.sweep.sweep import Sweep

NUM_STEPS, INTERVAL = 120, 10


class Clock:
    """Counts the steps that were computed, in either direction."""

    now = 0


class SlowTransfer(Transfer):
    """Moves nothing before its time, then everything."""

    def __init__(self, clock, due, move, *identity):
        super().__init__(*identity)
        self.clock, self.due, self.move = clock, due, move
        self.moved = False

    @property
    def done(self):
        if not self.moved and self.clock.now >= self.due:
            self.move()
            self.moved = True
        return self.moved

    def _pause(self, seconds):
        raise AssertionError(f"the computation waited for the transfer of state {self.step}")


class SlowEngine:
    """Keeps rows in a dictionary. Until a read is done, its block holds no state."""

    stalled = None

    def __init__(self, clock, write_steps, read_steps):
        self.statistics = Statistics()
        self.clock, self.write_steps, self.read_steps = clock, write_steps, read_steps
        self.rows = {}
        self.posted = []

    def write(self, row, block, step, cost):
        def move():
            self.rows[row] = block.bytes.copy()

        return self.post("write", move, self.write_steps, row, block, step)

    def read(self, row, block, step):
        block.bytes[:] = 255

        def move():
            block.bytes[:] = self.rows[row]

        return self.post("read", move, self.read_steps, row, block, step)

    def post(self, what, move, duration, row, block, step):
        due = self.clock.now + duration
        transfer = SlowTransfer(self.clock, due, move, what, row, step, 0, self.statistics)
        block.hold(transfer)
        self.posted.append((step, self.clock.now))
        return transfer

    def progress(self):
        pass

    def take_failed(self):
        return []

    def close(self):
        pass


class Rows:
    """Rows without a file."""

    has_room = True
    usable_rows = 10**6

    def __init__(self):
        self.taken = 0

    def take_row(self):
        self.taken += 1
        return self.taken

    def give_back_row(self, row):
        pass

    def close(self):
        pass


def counted(kind, clock):
    class Counted(kind):
        def advance(self, start, stop, **options):
            clock.now += stop - start
            return super().advance(start, stop, **options)

    stepper = Counted(3, NUM_STEPS)
    pull_back = stepper.pull_back

    def counting(start, stop):
        clock.now += stop - start
        pull_back(start, stop)

    stepper.pull_back = counting
    return stepper


def sweep(kind, buffers, num_slots, write_steps, read_steps):
    clock = Clock()
    stepper = counted(kind, clock)
    schedule = Asynchronous(NUM_STEPS, num_slots, INTERVAL)
    engine = SlowEngine(clock, write_steps, read_steps)
    pool = BlockPool(StateLayout.of(stepper.state), schedule.num_slots + 1)
    stepper.start()
    held = buffers(stepper, pool)
    run = Sweep(stepper, NUM_STEPS, held, FileStore(Rows(), engine), communicator(None))
    run.run(schedule)
    return stepper, engine


@pytest.mark.parametrize(
    ("kind", "buffers"), [(Pendulums, AdoptingBuffers), (CopiedPendulums, CopyingBuffers)]
)
def test_transfers_of_a_whole_interval_are_hidden(kind, buffers):
    stepper, engine = sweep(kind, buffers, 8, write_steps=3 * INTERVAL // 2, read_steps=INTERVAL)
    assert engine.statistics.wait_seconds == 0
    assert len(engine.posted) >= NUM_STEPS // INTERVAL - 1
    expected, _ = sweep(kind, buffers, 8, write_steps=0, read_steps=0)
    for name, array in expected.accumulators.items():
        assert np.array_equal(stepper.accumulators[name], array)


def test_waiting_is_noticed():
    with pytest.raises(AssertionError, match="waited for"):
        sweep(Pendulums, AdoptingBuffers, 8, write_steps=100 * INTERVAL, read_steps=INTERVAL)
