"""Pendulums whose steps differ when they are taken again, each in a way of its own.

The differences are far below what a test of the gradient would see. `KINDS` has them by name.
"""

from collections import Counter

import numpy as np
from pendulums import Pendulums
from shown_tapes import ShowsTapes

SIZE = 1e-9


class Drawing(ShowsTapes, Pendulums):
    """Adds random numbers of its own generator from step `first` on."""

    def __init__(self, num_pendulums, num_steps, first=0, seed=0):
        super().__init__(num_pendulums, num_steps, seed)
        self.first = first
        self.generator = np.random.default_rng(seed)

    def step(self, step, state, out):
        super().step(step, state, out)
        if step >= self.first:
            out["v"] += SIZE * self.generator.random(out["v"].size)


class Counting(ShowsTapes, Pendulums):
    """Changes one value by the number of times that the step was taken before."""

    def __init__(self, num_pendulums, num_steps, first=0, seed=0):
        super().__init__(num_pendulums, num_steps, seed)
        self.first = first
        self.taken = Counter()

    def step(self, step, state, out):
        super().step(step, state, out)
        if step >= self.first:
            out["u"][-1] += SIZE * self.taken[step]
            self.taken[step] += 1


class Remembering(ShowsTapes, Pendulums):
    """Keeps the velocities of its last call in a buffer beside the state, and uses them."""

    def __init__(self, num_pendulums, num_steps, first=0, seed=0):
        super().__init__(num_pendulums, num_steps, seed)
        self.first = first
        self.buffer = np.full(num_pendulums, 0.5)

    def step(self, step, state, out):
        super().step(step, state, out)
        if step >= self.first:
            out["v"] += SIZE * self.buffer
        self.buffer[:] = out["v"]


class DrawingInReplayData(Drawing):
    """Puts random bits in the state, where they have no adjoint, but draws others the next time."""

    def step(self, step, state, out):
        Pendulums.step(self, step, state, out)
        if step >= self.first:
            out["count"] += 2 * self.generator.integers(1 << 40)


class DrawingCost(Drawing):
    """Repeats its states exactly; the cost of a step is drawn from a generator."""

    def step(self, step, state, out):
        Pendulums.step(self, step, state, out)

    def step_cost(self, step, state):
        drawn = self.generator.random() if step >= self.first else 0.0
        return super().step_cost(step, state) + SIZE * drawn


class OnceOdd(Counting):
    """Differs in one step only, and always computes the end of a leaf, as autograd does."""

    reaches_stop = True

    def __init__(self, num_pendulums, num_steps, odd, seed=0):
        super().__init__(num_pendulums, num_steps, seed=seed)
        self.odd = odd

    def step(self, step, state, out):
        self.first = step if step == self.odd else step + 1
        super().step(step, state, out)

    def record(self, start, stop, *, cost=None, reach_stop):
        del reach_stop
        return super().record(start, stop, cost=cost, reach_stop=True)


KINDS = {
    "draws": Drawing,
    "counts": Counting,
    "remembers": Remembering,
    "draws replay data": DrawingInReplayData,
    "draws costs": DrawingCost,
}
