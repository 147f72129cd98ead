"""A cost or state that is not finite on one rank is in no record; once mended, the run resumes."""

import numpy as np
import pytest
from coupled_pendulums import CoupledPendulums

import adjoint
from adjoint.errors import NonFiniteError
from adjoint.parallel import status_exchange
from adjoint.schedules import Asynchronous
from adjoint.storage.journal_file import JournalFile
from adjoint.sweep import journal

RANKS = (1, 2, 3)
NUM_STEPS = 90
FAULT = 40


class Faulty(CoupledPendulums):
    """On the last rank the cost, or the state that it depends on, is not finite from `FAULT` on."""

    fault = ""

    def step_cost(self, step, state):
        cost = super().step_cost(step, state)
        return np.nan if self.fault == "cost" and step >= FAULT else cost

    def step(self, step, state, out):
        super().step(step, state, out)
        if self.fault == "state" and step == FAULT:
            out["v"][1] = np.inf


@pytest.fixture
def written(monkeypatch):
    """Note the step, cost and arrays of every record that this rank writes."""
    records = []
    write = JournalFile.write

    def noting(self, number, header, arrays):
        records.append((header.step, header.cost, [array.copy() for _, array in arrays]))
        return write(self, number, header, arrays)

    monkeypatch.setattr(JournalFile, "write", noting)
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "MIN_GAP", 0)
    return records


def run(comm, file, fault):
    stepper = Faulty(3, NUM_STEPS, comm)
    stepper.fault = fault if comm.rank == comm.size - 1 else ""
    with np.errstate(invalid="ignore", over="ignore"):
        return adjoint.gradient(
            stepper,
            NUM_STEPS,
            comm=comm,
            schedule=Asynchronous(NUM_STEPS, 6, 5),
            file=file,
            resume=True,
            max_lost_share=1e-9,
        )


@pytest.mark.parametrize("fault", ["cost", "state"])
def test_a_run_that_failed_is_resumed(comm, tmp_path, written, fault):
    file = tmp_path / "run.h5"
    for _ in range(2):  # again, with the same fault
        with pytest.raises(NonFiniteError):
            run(comm, file, fault)
    resumed = run(comm, file, "")
    assert resumed.report.resumed_from.startswith("forward")
    assert len(written) > 10
    for _, cost, arrays in written:
        assert np.isfinite(cost)
        assert all(np.isfinite(array).all() for array in arrays)
    expected = adjoint.gradient(Faulty(3, NUM_STEPS, comm), NUM_STEPS, comm=comm)
    assert resumed.cost == expected.cost
    for name, array in expected.gradient.items():
        np.testing.assert_array_equal(resumed.gradient[name], array)
