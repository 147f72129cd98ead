"""A status that ranks send is received combined in the next exchange, at the same step on all."""

from itertools import pairwise

import numpy as np
import pytest

from adjoint.parallel import communicator, status_exchange
from adjoint.parallel.status_exchange import MAX_GROWTH, MAX_WRITES, RankStatus, StatusExchange


class Pending:
    """A reduction that is done when its result is asked for."""

    def __init__(self, values, asked):
        self.values, self.asked = values, asked

    def progress(self):
        pass

    def result(self):
        self.asked.append(self.values)
        return self.values


class TwoRanks:
    """This rank, and one that always sends the same status."""

    def __init__(self, other):
        self.other = other
        self.asked = []

    def begin_largest(self, values):
        return Pending(np.maximum(values, self.other.packed()), self.asked)


def test_the_first_exchange_receives_nothing():
    exchange = StatusExchange(communicator(None), 1)
    assert exchange.exchange(RankStatus(elapsed=1.0, has_error=1.0), 0) == RankStatus()
    assert exchange.exchange(RankStatus(elapsed=2.0), 0).has_error == 1.0
    assert exchange.finish().elapsed == 2.0
    assert exchange.finish() == RankStatus()


def test_the_largest_of_each_number_is_received():
    comm = TwoRanks(RankStatus(write_seconds=3.0, lost_first=-4.0, lost_last=4.0))
    exchange = StatusExchange(comm, 1)
    exchange.exchange(RankStatus(write_seconds=2.0, backlog=5.0, lost_first=-9.0, lost_last=9.0), 0)
    assert comm.asked == []
    received = exchange.exchange(RankStatus(), 0)
    assert (received.write_seconds, received.backlog) == (3.0, 5.0)
    # All that have failed are among the writes 4 to 9; those between may be dropped as well.
    assert received.lost_writes == range(4, 10)
    assert list(RankStatus().lost_writes) == []


def test_exchanges_are_due_on_the_grid():
    exchange = StatusExchange(communicator(None), 3)
    assert exchange.due == 3
    exchange.exchange(RankStatus(), 3)
    assert exchange.due == 6
    exchange.exchange(RankStatus(), 7)
    assert exchange.due == 9


def test_the_spacing_follows_the_time_that_steps_take():
    exchange = StatusExchange(communicator(None), 1)
    taken = 0
    for _ in range(60):
        taken = exchange.due
        exchange.exchange(RankStatus(elapsed=0.001 * taken), taken)
    assert exchange.due - taken == pytest.approx(1000 * status_exchange.EXCHANGE_SECONDS, rel=0.1)


def test_the_spacing_grows_at_most_by_a_factor():
    exchange = StatusExchange(communicator(None), 1)
    lengths, taken = [], 0
    for k in range(6):
        lengths.append(exchange.due - taken)
        taken = exchange.due
        exchange.exchange(RankStatus(elapsed=1e-6 * (k + 1)), taken)
    assert all(b <= MAX_GROWTH * a for a, b in pairwise(lengths))
    assert lengths[-1] > lengths[0]


def test_many_writes_make_an_exchange_due():
    exchange = StatusExchange(communicator(None), 1000)
    for _ in range(MAX_WRITES):
        assert exchange.due == 1000
        exchange.count_write()
    assert exchange.due == 0
    exchange.exchange(RankStatus(), 10)
    assert exchange.due == 1000
