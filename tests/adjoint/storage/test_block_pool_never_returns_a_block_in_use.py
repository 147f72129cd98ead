"""In any order of events a block has one user, and there are never more blocks than capacity."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adjoint.errors import ScheduleError
from adjoint.storage.blocks import BlockPool
from adjoint.storage.engines.transfer import Statistics, Transfer
from adjoint.storage.state_layout import StateLayout

CAPACITY = 4
LAYOUT = StateLayout.of({"u": np.zeros(3)})


class PlannedTransfer(Transfer):
    """A transfer that ends when the test says so, or when it is waited for."""

    def __init__(self):
        super().__init__("write", 0, 0, 0, Statistics())
        self.over = False

    @property
    def done(self):
        return self.over

    def _pause(self, seconds):
        self.over = True


class PoolMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.pool = BlockPool(LAYOUT, CAPACITY)
        self.taken = []
        self.given_back = []
        self.transfers = {}

    def is_in_transfer(self, block):
        return any(not transfer.over for transfer in self.transfers.get(id(block), []))

    @rule()
    def take(self):
        leaving = [block for block in self.given_back if self.is_in_transfer(block)]
        if len(self.taken) == CAPACITY:
            with pytest.raises(ScheduleError, match=f"all {CAPACITY} blocks"):
                self.pool.take()
            return
        must_wait = len(self.taken) + len(leaving) == CAPACITY
        block = self.pool.take()
        assert all(block is not other for other in self.taken)
        assert not self.is_in_transfer(block)
        if must_wait:
            assert block is leaving[0]
        else:
            assert all(self.is_in_transfer(other) for other in leaving)
        self.given_back = [other for other in self.given_back if other is not block]
        self.taken.append(block)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def give_back(self, data):
        block = data.draw(st.sampled_from(self.taken))
        self.taken.remove(block)
        self.pool.give_back(block)
        self.given_back.append(block)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def post(self, data):
        block = data.draw(st.sampled_from(self.taken))
        transfer = PlannedTransfer()
        block.hold(transfer)
        self.transfers.setdefault(id(block), []).append(transfer)

    @precondition(lambda self: self.transfers)
    @rule(data=st.data())
    def finish(self, data):
        transfers = [transfer for posted in self.transfers.values() for transfer in posted]
        data.draw(st.sampled_from(transfers)).over = True

    @invariant()
    def peak_is_within_capacity(self):
        in_transfer = sum(self.is_in_transfer(block) for block in self.given_back)
        assert len(self.taken) <= self.pool.room.peak // LAYOUT.memory_bytes <= CAPACITY
        assert len(self.taken) + in_transfer <= CAPACITY


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_last_given_back_is_first_taken():
    pool = BlockPool(LAYOUT, 3)
    first, second = pool.take(), pool.take()
    pool.give_back(first)
    pool.give_back(second)
    assert pool.take() is second
    assert pool.take() is first


def test_giving_back_twice_is_refused():
    pool = BlockPool(LAYOUT, 3)
    block = pool.take()
    pool.give_back(block)
    with pytest.raises(ScheduleError, match="twice"):
        pool.give_back(block)
