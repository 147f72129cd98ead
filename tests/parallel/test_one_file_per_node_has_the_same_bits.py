"""``file_per_node=True``: the ranks of a node share a file; here every second rank is on a node."""

import numpy as np
import pytest
from coupled_pendulums import CoupledPendulums

import adjoint
from adjoint.parallel import communication, status_exchange
from adjoint.schedules import Spilling, StoreAll
from adjoint.schedules.costs import Costs
from adjoint.sweep import journal

RANKS = (3,)

NUM_STEPS = 120

SCHEDULE = Spilling(NUM_STEPS, 4, 8.0, costs=Costs(advance=1.0, pull_back=2.0, write=6.0, read=6.0))


class CrashError(Exception):
    """Stands for a kill, on all ranks at once."""


class Crashing(CoupledPendulums):
    crash_at = None
    taken = 0

    def wait(self):
        self.taken += 1
        if self.taken == self.crash_at:
            raise CrashError


@pytest.fixture(autouse=True)
def _two_nodes(monkeypatch):
    def on_this_node(self):
        node = self.mpi.Split(self.rank % 2, self.rank)
        try:
            return communication.communicator(node)
        finally:
            node.Free()

    monkeypatch.setattr(communication._ManyProcesses, "on_this_node", on_this_node)
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "MIN_GAP", 0)


def assert_same(result, expected):
    assert result.cost == expected.cost
    for name, array in expected.gradient.items():
        np.testing.assert_array_equal(result.gradient[name], array)


@pytest.mark.parametrize("engine", ["thread", "mpi"])
def test_same_bits_and_resumed(engine, comm, tmp_path):
    expected = adjoint.gradient(
        Crashing(50, NUM_STEPS, comm), NUM_STEPS, comm=comm, schedule=StoreAll(NUM_STEPS)
    )
    options = {
        "comm": comm,
        "schedule": SCHEDULE,
        "file": tmp_path / "run.h5",
        "engine": engine,
        "file_per_node": True,
        "max_lost_share": 1e-6,
    }
    crashing = Crashing(50, NUM_STEPS, comm)
    crashing.crash_at = 260
    with pytest.raises(CrashError):
        adjoint.gradient(crashing, NUM_STEPS, **options)
    comm.Barrier()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["run-from-rank-0.h5", "run-from-rank-1.h5"]
    resumed = adjoint.gradient(Crashing(50, NUM_STEPS, comm), NUM_STEPS, resume=True, **options)
    assert_same(resumed, expected)
    assert resumed.report.resumed_from.startswith("reverse")
