"""A run is resumed only from states of the same controls and data; else it begins afresh.

The reference is a gradient worked out by hand (`driven_ring`).
"""

import logging

import numpy as np
import pytest
from driven_ring import CrashError, DrivenRing, by_hand

import adjoint
from adjoint.parallel import status_exchange
from adjoint.schedules import Asynchronous
from adjoint.sweep import journal

NUM_STEPS = 120
SCHEDULE = Asynchronous(NUM_STEPS, 4, 7)
START, M, SOURCE = np.linspace(0.2, 1, 12), np.linspace(0.5, 1.5, 12), np.linspace(0, 0.02, 12)

FORWARD, REVERSE, ENDED = 60, 190, None
"""When the first run crashes: in the forward sweep, in the reverse sweep, never."""


@pytest.fixture(autouse=True)
def _records_and_exchanges_are_frequent(monkeypatch):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "MIN_GAP", 0)


def run(file, stepper, *, schedule=SCHEDULE):
    """Return the result, resumed if that is possible; None if the stepper crashes."""
    try:
        return adjoint.gradient(
            stepper, NUM_STEPS, schedule=schedule, file=file, resume=True, max_lost_share=1e-6
        )
    except CrashError:
        return None


def assert_right(result, start=START, m=M, source=SOURCE):
    cost, gradient = by_hand(start, m, source, NUM_STEPS)
    np.testing.assert_allclose(result.cost, cost, rtol=1e-12)
    np.testing.assert_allclose(result.gradient["m"], gradient, rtol=1e-11)


@pytest.mark.parametrize("at", [FORWARD, REVERSE, ENDED])
@pytest.mark.parametrize("what", ["start", "m", "source"])
def test_what_changed_is_named_and_the_run_begins_afresh(what, at, tmp_path, caplog):
    given = {"start": START, "m": M, "source": SOURCE}
    run(tmp_path / "run.h5", DrivenRing(**given, at=at))
    given[what] = 1.25 * given[what]
    with caplog.at_level(logging.WARNING, "adjoint"):
        result = run(tmp_path / "run.h5", DrivenRing(**given))
    assert_right(result, **given)
    assert result.report.resumed_from == ""
    name = {"start": "_initial['u']", "m": "the controls", "source": "source"}[what]
    assert f"the run begins afresh: the one in the file had other values of {name}" in caplog.text


@pytest.mark.parametrize("at", [FORWARD, REVERSE])
def test_what_did_not_change_is_resumed(at, tmp_path):
    run(tmp_path / "run.h5", DrivenRing(START, M, SOURCE, at=at))
    result = run(tmp_path / "run.h5", stepper := DrivenRing(START, M, SOURCE.copy()))
    assert_right(result)
    assert result.report.resumed_from
    afresh = DrivenRing(START, M, SOURCE)
    run(tmp_path / "other.h5", afresh)
    assert stepper.taken < afresh.taken


@pytest.mark.parametrize("second", [10, FORWARD, REVERSE])
@pytest.mark.parametrize("first", [FORWARD, REVERSE, ENDED])
def test_states_of_an_older_run_are_not_taken_for_those_of_a_newer_one(first, second, tmp_path):
    file, other = tmp_path / "run.h5", 1.1 * M
    run(file, DrivenRing(START, M, SOURCE, at=first))
    run(file, DrivenRing(START, other, SOURCE, at=second))
    assert_right(run(file, DrivenRing(START, other, SOURCE)), m=other)


class Hidden(DrivenRing):
    """Its source is a number that no hash sees."""

    def __init__(self, *given, rate=0.0, **options):
        super().__init__(*given, **options)
        self.rate = rate

    def driven_by(self):
        return self.rate


@pytest.mark.parametrize("at", [FORWARD, REVERSE])
def test_steps_that_give_other_states_are_noticed(at, tmp_path, caplog):
    run(tmp_path / "run.h5", Hidden(START, M, SOURCE, at=at, rate=0.01))
    with caplog.at_level(logging.WARNING, "adjoint"):
        result = run(tmp_path / "run.h5", Hidden(START, M, SOURCE, rate=0.02))
    assert_right(result, source=0.02)
    assert result.report.resumed_from == ""
    assert "its steps no longer give the states that are in the file" in caplog.text


class Named(Hidden):
    """Names the number as part of its data."""

    def fingerprint(self):
        return {**super().fingerprint(), "rate": self.rate}


def test_a_fingerprint_adds_to_what_is_compared(tmp_path, caplog):
    run(tmp_path / "run.h5", Named(START, M, SOURCE, at=REVERSE, rate=0.01))
    with caplog.at_level(logging.WARNING, "adjoint"):
        assert_right(run(tmp_path / "run.h5", Named(START, M, SOURCE, rate=0.02)), source=0.02)
    assert "afresh: the one in the file had other values of rate" in caplog.text


class Working(DrivenRing):
    """Computes in an array of its own."""

    def __init__(self, *given, **options):
        super().__init__(*given, **options)
        self.work = np.zeros(len(START))

    def driven_by(self):
        self.work += 1
        return self.source


def test_work_arrays_do_not_keep_a_run_from_being_resumed(tmp_path):
    stepper = Working(START, M, SOURCE)
    options = {"schedule": SCHEDULE, "file": tmp_path / "run.h5", "max_lost_share": 1e-6}
    with adjoint.Functional(stepper, NUM_STEPS, **options) as functional:
        functional.value_and_gradient()
        stepper.at = stepper.taken + FORWARD
        with pytest.raises(CrashError):
            functional.value_and_gradient()
    result = run(tmp_path / "run.h5", Working(START, M, SOURCE))
    assert_right(result)
    assert result.report.resumed_from.startswith("forward")
