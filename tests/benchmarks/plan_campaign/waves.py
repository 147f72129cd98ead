"""The wave equation on a line, in two time levels: with states as its tape, and with half of them.

``u[k+1] = 2 u[k] - u[k-1] + c (u[k] left - 2 u[k] + u[k] right)``, zero outside; each rank has a
piece of the line. The control is c, the cost half the square of the last level.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import adjoint
from adjoint.steppers import Scratch

Array = NDArray[np.float64]


class Line:
    """Second differences on this rank's piece of the line, a symmetric operator."""

    def __init__(self, cells: int, comm: Any) -> None:
        self._comm = comm
        rank, ranks = (0, 1) if comm is None else (comm.Get_rank(), comm.Get_size())
        place = (np.arange(cells) + rank * cells) / (ranks * cells)
        self.hump = np.exp(-200 * (place - 0.4) ** 2)
        self.speed = 0.2 + 0.1 * np.sin(7 * place)
        self._left = rank - 1 if rank > 0 else None
        self._right = rank + 1 if rank + 1 < ranks else None

    def differences(self, u: Array, out: Array) -> Array:
        """Write the second differences of `u` to `out`; return it. Collective."""
        np.multiply(u, -2, out=out)
        out[1:] += u[:-1]
        out[:-1] += u[1:]
        if self._left is not None:
            out[0] += self._comm.sendrecv(u[0], self._left, source=self._left)
        if self._right is not None:
            out[-1] += self._comm.sendrecv(u[-1], self._right, source=self._right)
        return out


class Wave(adjoint.FunctionStepper):
    """Both levels at each step: the tape of a leaf is its states."""

    distributed = ("c",)

    def __init__(self, cells: int, comm: Any) -> None:
        line = Line(cells, comm)
        super().__init__({"u": np.stack([line.hump, line.hump])}, {"c": line.speed.copy()})
        self._line = line
        self._work = np.empty(cells)
        self._other = np.empty(cells)

    def fingerprint(self):
        return {"cells": self.controls["c"].size}

    def step(self, k, state, out):
        (now, before), (new, kept) = state["u"], out["u"]
        np.multiply(self._line.differences(now, self._work), self.controls["c"], out=new)
        new -= before
        np.multiply(now, 2, out=kept)
        new += kept
        kept[:] = now

    def step_vjp(self, k, state, adjoint, gradient):
        now, (a, b) = state["u"][0], adjoint["u"]
        self._work[:] = a
        self._line.differences(now, self._other)
        self._other *= a
        gradient["c"] += self._other
        a *= self.controls["c"]
        self._line.differences(a, self._other)
        np.multiply(self._work, 2, out=a)
        a += self._other
        a += b
        np.negative(self._work, out=b)

    def terminal_cost(self, state):
        return 0.5 * float(state["u"][0] @ state["u"][0])

    def terminal_cost_vjp(self, state, adjoint, gradient):
        adjoint["u"][0] += state["u"][0]


class HalfTapeWave:
    """Both levels in place, ``u[k]`` in level ``k % 2``: the tape of a step is that level alone."""

    reproducible = True
    distributed = ("c",)

    def __init__(self, cells: int, num_steps: int, comm: Any) -> None:
        self._line, self._num_steps = Line(cells, comm), num_steps
        self.state = {"u": np.zeros((2, cells))}
        self.adjoint = {"u": np.zeros((2, cells))}
        self.controls = {"c": self._line.speed.copy()}
        self.accumulators = {"c": np.zeros(cells)}
        self._work = np.empty(cells)
        self._other = np.empty(cells)
        self.tape_memory = Scratch(partial(_level, cells))
        self._tapes: dict[tuple[int, int], list[Any]] = {}

    def fingerprint(self):
        return {"cells": self.controls["c"].size}

    def tape_bytes(self, steps: int) -> int:
        return steps * self._work.nbytes

    def start(self) -> None:
        self.state["u"][:] = self._line.hump
        self.accumulators["c"][:] = 0
        self._tapes.clear()
        self.tape_memory.begin()

    def _step(self, k: int) -> None:
        now, other = self.state["u"][k % 2], self.state["u"][(k + 1) % 2]
        self._line.differences(now, self._work)
        self._work *= self.controls["c"]
        np.subtract(self._work, other, out=other)
        np.multiply(now, 2, out=self._work)
        other += self._work

    def advance(self, start: int, stop: int, *, cost: float | None = None) -> float | None:
        for k in range(start, stop):
            self._step(k)
        return cost

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        tape = self._tapes[start, stop] = []
        for k in range(start, stop):
            tape.append(self.tape_memory.take(1)[0])
            tape[-1]["level"][:] = self.state["u"][k % 2]
            if reach_stop or k < stop - 1:
                self._step(k)
        return cost

    def turn(self, cost: float) -> float:
        last = self.state["u"][self._num_steps % 2]
        self.adjoint["u"][:] = 0
        self.adjoint["u"][self._num_steps % 2] = last
        return cost + 0.5 * float(last @ last)

    def pull_back(self, start: int, stop: int) -> None:
        a, tape = self.adjoint["u"], self._tapes.pop((start, stop))
        for k in reversed(range(start, stop)):
            now, kept, new = tape[k - start]["level"], a[k % 2], a[(k + 1) % 2]
            self._line.differences(now, self._work)
            self._work *= new
            self.accumulators["c"] += self._work
            np.multiply(new, self.controls["c"], out=self._other)
            kept += self._line.differences(self._other, self._work)
            np.multiply(new, 2, out=self._work)
            kept += self._work
            np.negative(new, out=new)
        self.tape_memory.give_back(tape)

    def finish(self) -> None:
        pass


def _level(cells: int) -> dict[str, Array]:
    return {"level": np.zeros(cells)}
