"""Interrupted on all ranks, at different steps, a `Functional` begins afresh, and is right.

So it never waits for an exchange that the other ranks have not come to.
"""

import numpy as np
import pytest

import adjoint
from adjoint.parallel import status_exchange
from adjoint.schedules import Asynchronous

RANKS = (2, 3)
NUM_STEPS = 20


class Decay(adjoint.FunctionStepper):
    """``u' = u (1 - m / 100)`` on each rank; interrupted once.

    The first rank is in step `at`, the others are in the next.
    """

    at = None

    def __init__(self, comm):
        self.comm = comm
        super().__init__({"u": np.arange(1.0, 5.0) + comm.rank}, {"m": np.array(2.0)})

    def step(self, step, state, out):
        if self.at is not None and step == self.at + (self.comm.rank > 0):
            self.at = None
            raise KeyboardInterrupt
        out["u"] = state["u"] * (1 - self.controls["m"] / 100)

    def step_vjp(self, step, state, adjoint, gradient):
        gradient["m"] -= state["u"] @ adjoint["u"] / 100
        adjoint["u"] *= 1 - self.controls["m"] / 100

    def terminal_cost(self, state):
        return float(state["u"].sum())

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += 1


@pytest.mark.parametrize("engine", ["thread", "mpi"])
@pytest.mark.parametrize("at", [2, NUM_STEPS - 8])
def test_the_next_one_is_right(comm, tmp_path, monkeypatch, engine, at):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.0)
    stepper = Decay(comm)
    total = comm.allreduce(stepper.state["u"].size + float(np.sum(np.arange(4) + comm.rank)))
    with adjoint.Functional(
        stepper,
        NUM_STEPS,
        comm=comm,
        schedule=Asynchronous(NUM_STEPS, 4, 3),
        file=tmp_path / "run.h5",
        engine=engine,
    ) as functional:
        for _ in range(2):
            stepper.at = at
            with pytest.raises(KeyboardInterrupt):
                functional.value_and_gradient()
            cost, gradient = functional.value_and_gradient()
            assert cost == pytest.approx(total * 0.98**NUM_STEPS)
            slope = -NUM_STEPS / 100 * total * 0.98 ** (NUM_STEPS - 1)
            assert gradient["m"] == pytest.approx(slope)
