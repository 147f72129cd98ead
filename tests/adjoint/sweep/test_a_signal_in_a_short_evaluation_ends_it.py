"""A signal is honoured by the evaluation in which it arrives, however short; nothing is lost.

The evaluation ends before the ranks exchange their status, so that only its end is left to see to
the signal. Resumed, it has the bits of one that was not interrupted.
"""

import os
import signal

import numpy as np
import pytest
from coupled_pendulums import CoupledPendulums

import adjoint
from adjoint.errors import RunInterruptedError
from adjoint.schedules import Asynchronous, Online, Revolve, Spilling, StoreAll
from adjoint.schedules.costs import Costs
from adjoint.sweep.file_tier import FileTier

NUM_STEPS = 60

SCHEDULES = {
    "asynchronous": Asynchronous(NUM_STEPS, 6, 7),
    "spilling": Spilling(NUM_STEPS, 5, 6.0, costs=Costs(write=6.0, read=6.0)),
    "revolve": Revolve(NUM_STEPS, 4),
    "store all": StoreAll(NUM_STEPS, leaf_steps=8),
}


class Signalled(CoupledPendulums):
    """Sends itself a signal in call number `at` of its step and its transpose."""

    def __init__(self, at=None, number=signal.SIGTERM):
        super().__init__(5, NUM_STEPS)
        self.at, self.number, self.calls = at, number, 0

    def wait(self):
        self.calls += 1
        if self.calls == self.at:
            os.kill(os.getpid(), self.number)


@pytest.fixture(autouse=True)
def _no_exchange(monkeypatch):
    monkeypatch.setattr(FileTier, "after_steps", lambda self: None)


def assert_same(result, expected):
    assert result.cost == expected.cost
    for name, array in expected.gradient.items():
        np.testing.assert_array_equal(result.gradient[name], array)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("at", [1, 55, 100])
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_evaluation_ends_and_is_resumed(name, at, number, tmp_path):
    options = {"schedule": SCHEDULES[name], "file": tmp_path / "run.h5"}
    expected = adjoint.gradient(Signalled(), NUM_STEPS)
    with pytest.raises(RunInterruptedError, match="resume=True"):
        adjoint.gradient(Signalled(at, number), NUM_STEPS, **options)
    assert signal.getsignal(number) == signal.SIG_DFL
    again = Signalled()
    resumed = adjoint.gradient(again, NUM_STEPS, resume=True, **options)
    assert_same(resumed, expected)
    assert resumed.report.resumed_from == "reverse, step 0"
    assert again.calls < NUM_STEPS // 4, "only a stretch between two states is compared"


def test_a_run_of_unknown_length_is_resumed(tmp_path):
    class Open(Signalled):
        position = 0

        @property
        def finished(self):
            return self.position == NUM_STEPS

        def start(self):
            super().start()
            self.position = 0

        def advance(self, start, stop, **options):
            self.position = min(stop, NUM_STEPS)
            return super().advance(start, self.position, **options)

    options = {"schedule": Online(5), "file": tmp_path / "run.h5"}
    expected = adjoint.gradient(Open(), None, schedule=Online(5))
    with pytest.raises(RunInterruptedError):
        adjoint.gradient(Open(90), None, **options)
    assert_same(adjoint.gradient(Open(), None, resume=True, **options), expected)


def test_a_functional_goes_on_after_it(tmp_path):
    stepper = Signalled(40)
    options = {"schedule": SCHEDULES["spilling"], "file": tmp_path / "run.h5"}
    with adjoint.Functional(stepper, NUM_STEPS, **options) as functional:
        with pytest.raises(RunInterruptedError):
            functional.value_and_gradient()
        cost, _ = functional.value_and_gradient()
    assert cost == adjoint.gradient(Signalled(), NUM_STEPS).cost
