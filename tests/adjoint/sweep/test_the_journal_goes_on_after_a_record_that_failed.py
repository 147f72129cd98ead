"""A record that cannot be written is a gap in the journal, which goes on; no bit changes."""

import errno
import logging
import os

import numpy as np
import pytest
from coupled_pendulums import CoupledPendulums

import adjoint
from adjoint.parallel import communicator, status_exchange
from adjoint.schedules import Revolve
from adjoint.storage.file_format import FileSpec, JournalLayout
from adjoint.storage.journal_file import JournalFile
from adjoint.storage.opening import create_file
from adjoint.storage.state_layout import StateLayout
from adjoint.sweep.journal import Journal

NUM_STEPS = 300
SCHEDULE = Revolve(NUM_STEPS, 5)


class Killed(BaseException):
    """Ends a run where it is, as a kill does."""


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.001)
    monkeypatch.setattr("adjoint.sweep.journal.MIN_GAP", 0)


def failing(monkeypatch, method, numbers):
    """Make these calls of a method of the journal's file, the first being 1, fail."""
    calls, whole = [], getattr(JournalFile, method)

    def called(self, *given):
        calls.append(given[0])
        if len(calls) in numbers:
            raise OSError(errno.ENOSPC, "no space left")
        return whole(self, *given)

    monkeypatch.setattr(JournalFile, method, called)
    return calls


def evaluate(path, *, resume=False, killed_at=None):
    class Pendulums(CoupledPendulums):
        def pull_back(self, start, stop):
            if killed_at is not None and start <= killed_at:
                raise Killed
            super().pull_back(start, stop)

    stepper = Pendulums(3, NUM_STEPS, pause=0.0002)
    options = {} if path is None else {"file": path, "resume": resume, "max_lost_share": 0.01}
    return adjoint.gradient(stepper, NUM_STEPS, schedule=SCHEDULE, **options)


def require_same(result, expected):
    assert result.cost == expected.cost
    for name, gradient in expected.gradient.items():
        assert result.gradient[name].tobytes() == gradient.tobytes()


@pytest.mark.parametrize("numbers", [{1}, {3}, {2, 3, 5}])
def test_records_follow(tmp_path, monkeypatch, caplog, numbers):
    calls = failing(monkeypatch, "write", numbers)
    with caplog.at_level(logging.WARNING, "adjoint"):
        result = evaluate(tmp_path / "run.h5")
    assert result.report.journal_records == len(calls) - len(numbers) > 5
    assert not result.report.journal_failure
    assert "no space left" in caplog.text
    require_same(result, evaluate(None))


def test_a_journal_that_never_recovers_says_so(tmp_path, monkeypatch):
    failing(monkeypatch, "write", range(4, 10_000))
    result = evaluate(tmp_path / "run.h5")
    assert "no space left" in result.report.journal_failure
    assert "journal failed" in str(result.report)
    require_same(result, evaluate(None))


@pytest.mark.parametrize("method", ["write", "write_rows"])
def test_what_is_resumed_after_a_gap_has_the_same_bits(tmp_path, monkeypatch, method):
    path = tmp_path / "run.h5"
    with monkeypatch.context() as faulty:
        calls = failing(faulty, method, {4, 5, 9, 12})
        with pytest.raises(Killed):
            evaluate(path, killed_at=70)
        assert len(calls) > 12
    result = evaluate(path, resume=True)
    assert result.report.resumed_from.startswith("reverse")
    require_same(result, evaluate(None))


def test_no_two_attempts_have_the_same_number_or_spoil_the_last_whole_record(tmp_path, monkeypatch):
    stepper, comm = CoupledPendulums(3, NUM_STEPS), communicator(None)
    per_step = JournalLayout.of(
        stepper.state, stepper.adjoint, stepper.accumulators, stepper.per_step
    )
    spec = FileSpec(StateLayout.of(stepper.state), "", per_step)
    numbers = failing(monkeypatch, "write", {3, 4, 7})
    with create_file(tmp_path / "run.h5", comm, spec, 1) as file:
        journal, reader = (
            Journal(JournalFile(file.placement), stepper, comm, share=0.05) for _ in range(2)
        )
        journal.begin()
        whole = None
        for step in range(1, 9):
            before = journal.records
            journal.save_forward(step, 0.0, float(step))
            whole = step if journal.records > before else whole
            assert reader.find()[0].header.step == whole
        journal.close()
        reader.close()
    assert len(set(numbers)) == len(numbers) == 9
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("move", [os.unlink, lambda path: os.replace(path, f"{path}.elsewhere")])
def test_a_file_that_is_removed_during_the_run_is_noticed(tmp_path, caplog, move):
    path = tmp_path / "run.h5"

    class Removing(CoupledPendulums):
        def turn(self, cost):
            move(path)
            return super().turn(cost)

    with caplog.at_level(logging.WARNING, "adjoint"):
        result = adjoint.gradient(Removing(3, NUM_STEPS), NUM_STEPS, schedule=SCHEDULE, file=path)
    assert "has been removed or replaced" in result.report.journal_failure
    assert "has been removed or replaced" in caplog.text
    expected = evaluate(None)
    np.testing.assert_array_equal(result.cost, expected.cost)
