"""A kill loses at most the share of time that was asked for, and the journal takes little time."""

import pytest
from coupled_pendulums import CoupledPendulums

import adjoint
from adjoint.parallel import communicator, status_exchange
from adjoint.schedules import Revolve
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


def test_a_journal_that_cannot_be_written_ends_and_the_run_continues(monkeypatch, tmp_path):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.001)
    failing = []

    def write(self, number, header, arrays):
        if number > 2:
            failing.append(number)
            raise OSError(28, "no space left")

    monkeypatch.setattr("adjoint.storage.journal_file.JournalFile.write", write)
    monkeypatch.setattr("adjoint.sweep.journal.MIN_GAP", 0)
    stepper = CoupledPendulums(3, NUM_STEPS, pause=0.0002)
    schedule = Revolve(NUM_STEPS, 5)
    result = adjoint.gradient(
        stepper, NUM_STEPS, schedule=schedule, file=tmp_path / "run.h5", max_lost_share=0.01
    )
    assert failing == [3]
    assert "no space left" in result.report.journal_failure
    assert "journal failed" in str(result.report)
    expected = adjoint.gradient(CoupledPendulums(3, NUM_STEPS), NUM_STEPS, schedule=schedule)
    assert result.cost == expected.cost
