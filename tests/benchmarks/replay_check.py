"""What it costs to compare steps that are taken again with the first time (`check_replays`).

    python tests/benchmarks/replay_check.py [--repeats 7]

Each row plays Revolve with 20 slots with and without the check, in turn; the best processor time of
each counts. *Share* is what the check adds to the time without it, *each* what it adds per action.

nothing        an 8-byte state, and steps that do nothing: the driver alone
decay          an 8-byte state, and steps of three operations of NumPy on it
shallow water  states of 25 kB to 8 MB; above 1 MiB a sample of the state is hashed
"""

import argparse
import time

import numpy as np
from closed_basin import closed_basin
from driver_overhead import Empty

import adjoint
from adjoint.schedules import Revolve

SLOTS = 20


class Decay(adjoint.FunctionStepper):
    """``u[k+1] = u[k] - rate u[k]^2``, and the sum of the states as the cost."""

    def __init__(self) -> None:
        super().__init__({"u": np.ones(1)}, {"rate": np.full(1, 1e-3)})

    def step(self, step, state, out):
        u = state["u"]
        out["u"][:] = u - self.controls["rate"] * u * u

    def step_vjp(self, step, state, adjoint, gradient):
        u = state["u"]
        gradient["rate"] -= u * u * adjoint["u"]
        adjoint["u"] *= 1 - 2 * self.controls["rate"] * u

    def step_cost(self, step, state):
        return float(state["u"][0])

    def step_cost_vjp(self, step, state, adjoint, gradient):
        adjoint["u"] += 1


def seconds(functional: adjoint.Functional) -> float:
    """Return the processor time of one gradient."""
    began = time.process_time()
    functional.value_and_gradient()
    return time.process_time() - began


def measure(name: str, stepper, num_steps: int, leaf_steps: int, repeats: int) -> None:
    schedule = Revolve(num_steps, SLOTS, leaf_steps=leaf_steps)
    best = [1e9, 1e9]
    actions = compared = 0
    for _ in range(repeats):
        for check in (False, True):
            options = {"schedule": schedule, "check_replays": check}
            with adjoint.Functional(stepper, num_steps, **options) as functional:
                best[check] = min(best[check], seconds(functional))
                actions, compared = functional.report.actions, functional.report.compared_states
    without, more = best[0], best[1] - best[0]
    nbytes = sum(array.nbytes for array in stepper.state.values())
    print(
        f"{name:14}{nbytes / 1e6:9.3g}{leaf_steps:6}{compared / actions:10.2f}"
        f"{1e6 * without / actions:12.2f}{1e6 * more / actions:9.2f}{more / without:9.1%}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    print(
        f"{'':14}{'state MB':>9}{'leaf':>6}{'compared':>10}{'µs an action':>12}{'each':>9}"
        f"{'share':>9}"
    )
    measure("nothing", Empty(), 20_000, 1, repeats)
    for leaf in (1, 16):
        measure("decay", Decay(), 5000, leaf, repeats)
    for megabytes in (0.025, 0.25, 1, 2, 8):
        steps = int(min(2000, 800 / megabytes))
        for leaf in (1, 4):
            measure("shallow water", closed_basin(int(1e6 * megabytes)), steps, leaf, repeats)


if __name__ == "__main__":
    main()
