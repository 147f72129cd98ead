"""What ranks say in a beat is heard in the next, at the same step on every rank."""

from itertools import pairwise

import numpy as np
import pytest

from adjoint.parallel import communicator, status_exchange
from adjoint.parallel.status_exchange import MOST_GROWTH, MOST_WRITES, RankStatus, StatusExchange


class Pending:
    """A reduction that is done when it is asked for."""

    def __init__(self, values, asked):
        self.values, self.asked = values, asked

    def progress(self):
        pass

    def result(self):
        self.asked.append(self.values)
        return self.values


class TwoRanks:
    """This rank, and one that always says the same."""

    def __init__(self, other):
        self.other = other
        self.asked = []

    def begin_largest(self, values):
        return Pending(np.maximum(values, self.other.packed()), self.asked)


def test_nothing_is_heard_in_the_first_beat():
    beats = StatusExchange(communicator(None), 1)
    assert beats.beat(RankStatus(elapsed=1.0, alarm=1.0)) == RankStatus()
    assert beats.beat(RankStatus(elapsed=2.0)).alarm == 1.0
    assert beats.finish().elapsed == 2.0
    assert beats.finish() == RankStatus()


def test_the_largest_of_each_number_is_heard():
    comm = TwoRanks(RankStatus(write_seconds=3.0, lost_first=-4.0, lost_last=4.0))
    beats = StatusExchange(comm, 1)
    beats.beat(RankStatus(write_seconds=2.0, backlog=5.0, lost_first=-9.0, lost_last=9.0))
    assert comm.asked == []
    heard = beats.beat(RankStatus())
    assert (heard.write_seconds, heard.backlog) == (3.0, 5.0)
    # The writes 4 to 9 hold all that failed: what lies between may be dropped as well.
    assert (-heard.lost_first, heard.lost_last) == (4.0, 9.0)


def test_beats_lie_on_the_grid():
    beats = StatusExchange(communicator(None), 3)
    beats.note_steps(2)
    assert not beats.is_due
    assert beats.steps_left() == 1
    beats.note_steps(1)
    assert beats.is_due
    beats.beat(RankStatus())
    assert beats.steps_left() == 3


def test_the_spacing_follows_the_time_they_take():
    beats = StatusExchange(communicator(None), 1)
    elapsed = 0.0
    for _ in range(60):
        steps = max(1, beats.steps_left())
        beats.note_steps(steps)
        elapsed += 0.001 * steps
        beats.beat(RankStatus(elapsed=elapsed))
    assert beats.steps_left() == pytest.approx(1000 * status_exchange.EXCHANGE_SECONDS, rel=0.1)


def test_the_spacing_grows_by_no_more_than_a_factor():
    beats = StatusExchange(communicator(None), 1)
    lengths = []
    for k in range(6):
        lengths.append(beats.steps_left())
        beats.note_steps(lengths[-1])
        beats.beat(RankStatus(elapsed=1e-6 * (k + 1)))
    assert all(b <= MOST_GROWTH * a for a, b in pairwise(lengths))
    assert lengths[-1] > lengths[0]


def test_many_writes_make_a_beat_due():
    beats = StatusExchange(communicator(None), 1000)
    for _ in range(MOST_WRITES):
        assert not beats.is_due
        beats.note_write()
    assert beats.is_due
    beats.beat(RankStatus())
    assert not beats.is_due
