"""What a gradient adds to the resident memory of a forward run: each in a process of its own.

    python resident_memory.py FAMILY MEMORY KEPT

Prints the peak (``VmHWM``) of a forward run of the family, or with MEMORY, in bytes, of three
gradients after it; KEPT is the number of slots with which tapes are kept, 0 for the planner's
choice. States are of about 1 MB, but for the family with small tapes.
"""

# ruff: noqa: PLC0415 (modules that may be absent are imported by the families that need them)

import json
import sys
from pathlib import Path

import numpy as np

import adjoint
from adjoint.schedules import Mixed
from adjoint.steppers import Scratch

NUM_STEPS = 120


class Wave(adjoint.FunctionStepper):
    """The wave equation on a ring, in two time levels."""

    def __init__(self):
        start = np.exp(-((np.linspace(-1, 1, 65_000) * 20) ** 2))
        super().__init__({"now": start, "before": start}, {"c": np.array(0.4)})

    def step(self, step, state, out):
        now = state["now"]
        out["before"][:] = now
        around = np.roll(now, 1) + np.roll(now, -1) - 2 * now
        out["now"][:] = 2 * now - state["before"] + self.controls["c"] * around

    def step_vjp(self, step, state, adjoint, gradient):
        now, a = state["now"], adjoint["now"].copy()
        gradient["c"] += (np.roll(now, 1) + np.roll(now, -1) - 2 * now) @ a
        around = np.roll(a, 1) + np.roll(a, -1) - 2 * a
        adjoint["now"][:] = 2 * a + self.controls["c"] * around + adjoint["before"]
        adjoint["before"][:] = -a

    def terminal_cost(self, state):
        return 0.5 * float(state["now"] @ state["now"])

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["now"] += state["now"]


class Ghosted(Wave):
    """The same, with its live state in memory of its own."""

    writes_ghosts = True


class Stages(adjoint.FunctionStepper):
    """``u' = -m u`` for three numbers by Heun's method, whose tapes are the stages of each step."""

    num_steps = 30_000

    def __init__(self):
        super().__init__({"u": np.ones(3)}, {"m": np.array(0.1)})
        self.tapes, self.stages = {}, Scratch(lambda: {"x": np.zeros(3)})

    @property
    def tape_memory(self):
        return self.stages

    def tape_bytes(self, steps, *, kept=False):
        return 2 * steps * 24

    def step(self, step, state, out):
        self.take(state["u"], np.empty(3), np.empty(3), out["u"])

    def take(self, u, first, second, out):
        first[:] = u
        second[:] = u * (1 - 1e-4 * self.controls["m"])
        out[:] = u - 0.5e-4 * self.controls["m"] * (first + second)

    def step_vjp(self, step, state, adjoint, gradient):
        raise NotImplementedError

    def record(self, start, stop, *, cost=None, reach_stop):
        u = self.state["u"]
        tape = self.tapes[start, stop] = self.stages.take(2 * (stop - start))
        for first, second in zip(tape[::2], tape[1::2], strict=True):
            self.take(u, first["x"], second["x"], u)
        return cost

    def pull_back(self, start, stop):
        tape, h, m = self.tapes.pop((start, stop)), 1e-4, self.controls["m"]
        for first in reversed(tape[::2]):
            a, u = self.adjoint["u"], first["x"]
            self.accumulators["m"] -= a @ u * h * (1 - h * m)
            a *= 1 - h * m + 0.5 * h**2 * m**2
        self.stages.give_back(tape)

    def terminal_cost(self, state):
        return float(state["u"].sum())

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"] += 1


def shallow_water():
    from closed_basin import closed_basin

    return closed_basin(1_000_000)


def recurrent():
    from solvers.recurrent import GRU, RecurrentNetwork, SquaredError

    inputs = np.random.default_rng(0).random((NUM_STEPS, 250, 4))
    targets = np.zeros((NUM_STEPS, 250, 1))
    loss = SquaredError(250, 1)
    return RecurrentNetwork(
        GRU, 4, 250, batch=250, inputs=inputs, loss=loss, targets=targets, leaf_steps=2
    )


def torch_cell():
    import torch

    from solvers.torch import TorchSequence

    cell = torch.nn.LSTMCell(4, 250)
    inputs = torch.zeros(NUM_STEPS, 500, 4)
    state = (torch.zeros(500, 250), torch.zeros(500, 250))

    def step(state, row, step):
        h, c = cell(row, state)
        return (h, c), h.sum()

    return TorchSequence(step, inputs, state=state, modules=[cell], leaf_steps=2).stepper


def petsc():
    from solvers.petsc import RungeKutta, tableaux
    from solvers.petsc.problems import GrayScott

    return RungeKutta(GrayScott((250, 250)), 0.1, tableaux.RUNGE_KUTTA_4)


FAMILIES = {
    "function": Wave,
    "function, copied": Ghosted,
    "stages": Stages,
    "shallow water": shallow_water,
    "recurrent": recurrent,
    "torch": torch_cell,
    "petsc": petsc,
}


def main(family: str, memory: int, kept: int) -> None:
    stepper = FAMILIES[family]()
    num_steps, reported = getattr(stepper, "num_steps", NUM_STEPS), 0
    with adjoint.Functional(stepper, num_steps) as functional:
        functional.value()
    leaf = getattr(stepper, "leaf_steps", 4)
    if family in {"torch", "petsc"}:  # what a library takes once, to reverse, is not the driver's
        stepper.start()
        stepper.record(0, leaf, cost=0.0, reach_stop=True)
        stepper.pull_back(0, leaf)
    if memory:
        schedule = None
        if kept:
            tape = functional._run.memory.tape_bytes(leaf, kept=True)
            block = functional._run.layout.memory_bytes
            schedule = Mixed(num_steps, kept, -(-tape // block), leaf_steps=leaf)
        with adjoint.Functional(stepper, num_steps, memory=memory, schedule=schedule) as functional:
            for _ in range(3):
                functional.value_and_gradient()
            reported = functional.report.memory_bytes
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            print(json.dumps({"peak": 1024 * int(line.split()[1]), "reported": reported}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
