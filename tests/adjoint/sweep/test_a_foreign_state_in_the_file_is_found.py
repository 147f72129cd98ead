"""Steps of a resumed run from one state of the file to the next are compared with the latter."""

import numpy as np
import pytest
from driven_ring import CrashError, DrivenRing

import adjoint
from adjoint.parallel import status_exchange
from adjoint.schedules import Asynchronous
from adjoint.sweep import journal

NUM_STEPS = 60
START, M = np.linspace(0.2, 1, 6), np.linspace(0.5, 1.5, 6)


class Pushed(DrivenRing):
    """What a number, which is no data of the run, adds in one step."""

    def __init__(self, push, at=None):
        super().__init__(START, M, 0.01, at=at)
        self.push = push

    def step(self, step, state, out):
        super().step(step, state, out)
        out["u"][:] += self.push * (step == PUSHED)


PUSHED = 19


@pytest.mark.parametrize("at", [50, 58])
def test_a_number_changed_between_two_states(at, tmp_path, monkeypatch):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "MIN_GAP", 0)
    options = {
        "schedule": Asynchronous(NUM_STEPS, 3, 8),
        "file": tmp_path / "run.h5",
        "max_lost_share": 1e-6,
    }
    with pytest.raises(CrashError):
        adjoint.gradient(Pushed(0.1, at), NUM_STEPS, **options)
    with pytest.raises(adjoint.ReplayError):
        adjoint.gradient(Pushed(0.0), NUM_STEPS, resume=True, **options)
