"""A kill loses at most the share of time that was asked for, and the journal takes little time."""

import pytest
from coupled_pendulums import CoupledPendulums

from adjoint.parallel import communicator
from adjoint.storage.file_format import JournalLayout
from adjoint.sweep.journal import MIN_GAP, Journal

NUM_STEPS = 400


class Paper:
    """A journal file that keeps nothing."""

    def __init__(self, stepper):
        self.layout = JournalLayout.of(
            stepper.state, stepper.adjoint, stepper.accumulators, stepper.per_step
        )
        self.numbers = []

    class placement:  # noqa: N801
        accepted_steps = 0

    def require_name(self):
        pass

    def write(self, number, header, arrays):
        self.numbers.append(number)

    def write_rows(self, field, start, rows):
        return 0


@pytest.fixture
def journal():
    stepper = CoupledPendulums(3, NUM_STEPS)
    journal = Journal(Paper(stepper), stepper, communicator(None), share=0.05)
    journal.describe({}, {})
    journal.begin()
    journal._longest = 0.0
    return journal


def test_the_gap_is_a_share_of_the_time_so_far(journal):
    elapsed, gaps = 1.0, []
    journal.save_forward(1, 0.0, elapsed)
    journal._longest = 0.0
    for _ in range(200):
        last = elapsed
        while not journal.due(elapsed):
            elapsed += 0.001
        gaps.append((elapsed - last) / elapsed)
        journal.save_forward(1, 0.0, elapsed)
        journal._longest = 0.0
    assert max(gaps) < 0.05
    assert elapsed > 1.05**190


def test_records_that_take_long_are_written_rarely(journal):
    journal.save_forward(1, 0.0, 10.0)
    journal._longest = 1.0
    assert not journal.due(10.0 + MIN_GAP - 0.1)
    assert journal.due(10.0 + MIN_GAP + 0.1)
