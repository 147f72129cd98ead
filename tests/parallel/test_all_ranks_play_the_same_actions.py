"""Whatever each rank's transfers take, all ranks advance, keep and read the same states.

Steps are collective: ranks that decided by their own measurements would take different ones.
"""

import hashlib

import numpy as np
import pytest
from coupled_pendulums import CoupledPendulums
from throttled_engine import Throttle

import adjoint
from adjoint.parallel import status_exchange
from adjoint.schedules import Asynchronous, Spilling, StoreAll, TapesInFile
from adjoint.schedules.costs import Costs
from adjoint.simulation.timeline import Track

RANKS = (2,)

NUM_STEPS = 400

PAUSE = 0.0002

COSTS = Costs(advance=PAUSE, pull_back=PAUSE, write=4 * PAUSE, read=4 * PAUSE)

SLOW = Costs(advance=PAUSE, unreached=PAUSE, pull_back=PAUSE, write=10 * PAUSE, read=10 * PAUSE)

THROTTLES = {
    "one slow rank": Throttle(0.005, 0.004, only_rank=1),
    "a bandwidth that drops": Throttle(0.001, 0.001, after_writes=10, factor=8),
    "one rank whose bandwidth drops": Throttle(0.001, 0.002, after_writes=5, factor=6, only_rank=0),
}

QUICK = Costs(
    advance=PAUSE,
    unreached=PAUSE,
    pull_back=PAUSE,
    write=0.1 * PAUSE,
    read=0.1 * PAUSE,
    piece_write=0.1 * PAUSE,
    piece_read=0.1 * PAUSE,
)

SCHEDULES = {
    "Spilling": Spilling(NUM_STEPS, 6, 4.0, costs=COSTS),
    "Spilling, tapes": Spilling(NUM_STEPS, 8, 5.0, costs=COSTS, tape_slots=1),
    "Spilling, few slots": Spilling(NUM_STEPS, 4, 20.0, costs=SLOW, tape_slots=1),
    "Asynchronous": Asynchronous(NUM_STEPS, 5, 20),
    "tapes in the file": TapesInFile(NUM_STEPS, 9, 1, costs=QUICK),
}


@pytest.fixture(autouse=True)
def _exchange_often(monkeypatch):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.004)


@pytest.fixture(scope="module")
def expected(comm):
    stepper = CoupledPendulums(20, NUM_STEPS, comm)
    return adjoint.gradient(stepper, NUM_STEPS, comm=comm, schedule=StoreAll(NUM_STEPS))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("throttle", THROTTLES)
def test_whatever_transfers_take(schedule, throttle, comm, tmp_path, expected):
    result = adjoint.gradient(
        CoupledPendulums(20, NUM_STEPS, comm, pause=PAUSE),
        NUM_STEPS,
        comm=comm,
        schedule=SCHEDULES[schedule],
        file=tmp_path / "run.h5",
        engine=THROTTLES[throttle],
        trace=tmp_path / "run.json",
    )
    assert result.cost == expected.cost
    for name, array in expected.gradient.items():
        np.testing.assert_array_equal(result.gradient[name], array)
    assert result.report.lost_states == ()
    played = [
        (e.name, e.start_step, e.stop_step) for e in result.timeline if e.track == Track.COMPUTATION
    ]
    digests = comm.allgather(hashlib.sha256(repr(played).encode()).hexdigest())
    assert len(set(digests)) == 1
    if schedule == "Spilling" and comm.rank == 0:
        assert result.report.cost_changes > 0
