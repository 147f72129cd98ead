"""A pendulum that chooses its own steps: only it knows how many there will be.

``u += h v, v -= h k sin u`` with ``h = H / (1 + v^2)``, until time `END`, which the last step hits.
The first time a step is taken its length is noted; from then on it is that one, so that a state is
computed again bit for bit. The lengths are held fixed in the derivative.
"""

import numpy as np

from adjoint.steppers import Scratch, copy_arrays

END = 6.0
LONGEST = 0.2


class AdaptivePendulum:
    """A stepper written out in full, as one that stops early has to be."""

    reproducible = True

    def __init__(self, longest=LONGEST):
        self.longest = longest
        self.controls = {"stiffness": np.array([1.3]), "angle": np.array([0.7])}
        self.accumulators = {name: np.zeros(1) for name in self.controls}
        self.state = {"u": np.zeros(1), "v": np.zeros(1)}
        self.adjoint = {"u": np.zeros(1), "v": np.zeros(1)}
        self.tape_memory = Scratch(lambda: {"u": np.zeros(1), "v": np.zeros(1)})
        self.tapes = {}
        self.taken = np.empty((0, 2))
        self.position = 0

    # -- what makes it one that knows its end --------------------------------------------------

    @property
    def finished(self):
        return len(self.taken) > 0 and self.position == len(self.taken) and self.time >= END

    @property
    def time(self):
        return float(self.taken[-1].sum()) if len(self.taken) else 0.0

    @property
    def accepted_steps(self):
        return self.taken

    def accept_steps(self, rows):
        self.taken = np.array(rows)

    def length(self, step):
        if step == len(self.taken):
            h = self.longest / (1 + float(self.state["v"][0]) ** 2)
            start = self.time
            h = END - start if start + h >= END - 1e-9 else h
            row = [start, h]
            if start + h >= END - 1e-9:
                row = [start, END - start]
            self.taken = np.vstack([self.taken, row])
        return float(self.taken[step, 1])

    # -- the protocol --------------------------------------------------------------------------

    def start(self):
        self.state["u"][:] = self.controls["angle"]
        self.state["v"][:] = 0
        for grown in self.accumulators.values():
            grown[:] = 0
        self.position = 0
        self.taken = np.empty((0, 2))
        self.tapes.clear()
        self.tape_memory.begin()

    def restored(self, step):
        self.position = step

    def step(self, k):
        u, v, h = self.state["u"], self.state["v"], self.length(k)
        u += h * v
        v -= h * self.controls["stiffness"] * np.sin(u)

    def advance(self, start, stop, *, cost=None):
        self.position = start
        while self.position < stop and not self.finished:
            h = self.length(self.position)
            if cost is not None:
                cost += h * float(self.state["u"][0]) ** 2
            self.step(self.position)
            self.position += 1
        return cost

    def record(self, start, stop, *, cost=None, reach_stop):
        self.position = start
        tape = []
        for k in range(start, stop):
            tape += self.tape_memory.take(1)
            copy_arrays(self.state, tape[-1])
            if cost is not None:
                cost += self.length(k) * float(self.state["u"][0]) ** 2
            if k + 1 < stop or reach_stop:
                self.step(k)
        self.tapes[start, stop] = tape
        self.position = stop
        return cost

    def turn(self, cost):
        self.adjoint["u"][:] = 2 * self.state["u"]
        self.adjoint["v"][:] = 0
        return cost + float(self.state["u"][0]) ** 2

    def pull_back(self, start, stop):
        tape = self.tapes.pop((start, stop))
        for k in range(stop - 1, start - 1, -1):
            h = self.length(k)
            u, v = tape[k - start]["u"], tape[k - start]["v"]
            angle = u + h * v
            self.accumulators["stiffness"] -= h * np.sin(angle) * self.adjoint["v"]
            by_u = (
                self.adjoint["u"]
                - h * self.controls["stiffness"] * np.cos(angle) * (self.adjoint["v"])
            )
            self.adjoint["v"] += h * by_u
            self.adjoint["u"][:] = by_u + 2 * h * u
        self.tape_memory.give_back(tape)

    def finish(self):
        self.accumulators["angle"] += self.adjoint["u"]


def cost_by_hand(stiffness, angle, steps):
    """Return the cost over given step lengths; takes complex numbers."""
    u, v, cost = angle, 0.0, 0.0
    for h in steps:
        cost += h * u**2
        u = u + h * v
        v = v - h * stiffness * np.sin(u)
    return cost + u**2
