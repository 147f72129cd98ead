"""A store, an engine and a computation that take simulated time: what overlap is, by definition.

A machine of so many `cores` has one clock. Computing takes it alone; a transfer at work has a
share in it that depends on the engine:

hidden          a transfer goes on by itself, and computing goes on as fast as ever
in the call     it is all done in the call that posts it
in the wait     it is done when somebody waits for it, and not before
on the core     it takes the core that computing is on: both go half as fast
"""

from dataclasses import replace
from types import SimpleNamespace

from adjoint.storage.engines.transfer import Statistics

__all__ = ["Machine"]


class Machine:
    """A clock, and what goes on while it runs. `kind` is one of those above."""

    def __init__(self, kind, write_seconds, read_seconds, *, post_seconds=0.0, name="simulated"):
        self.kind, self.name = kind, name
        self.seconds = {"write": write_seconds, "read": read_seconds}
        self.post_seconds = post_seconds
        self.now = 1000.0
        self.left = []
        """What the transfers under way still take, with their blocks."""
        self.uses_page_cache = True
        self.figures = Statistics()
        self.rows = {}
        self.file = SimpleNamespace(placement=SimpleNamespace(rows=64))
        self.failure = None
        self.closed = 0

    # -- a clock, and a computation ------------------------------------------------------------

    def perf_counter(self):
        return self.now

    def run(self, steps, pause, *, step_seconds):
        for _ in range(steps):
            self.compute(step_seconds)
            pause()

    def compute(self, seconds):
        while seconds > 1e-15:
            if self.kind == "on the core" and self.left:
                both = min(seconds, self.left[0][0])
                self.pass_time(2 * both, both)
                seconds -= both
            else:
                piece = min([seconds, *(left for left, *_ in self.left[:1])])
                self.pass_time(piece, 0.0 if self.kind == "in the wait" else piece)
                seconds -= piece

    def pass_time(self, seconds, progress):
        self.now += seconds
        if self.left:
            self.figures.write_seconds += seconds if self.left[0][1] == "write" else 0.0
            self.figures.read_seconds += seconds if self.left[0][1] == "read" else 0.0
            left, what, block = self.left[0]
            self.left[0] = (left - progress, what, block)
            if left - progress <= 1e-15:
                self.end()

    def end(self):
        _, _, block = self.left.pop(0)
        block.busy = False

    # -- an engine and a store -----------------------------------------------------------------

    @property
    def engine(self):
        return self

    @property
    def statistics(self):
        return replace(self.figures)

    def progress(self):
        pass

    def post(self, what, block):
        self.now += self.post_seconds
        block.busy = True
        self.left.append((self.seconds[what], what, block))
        if self.kind == "in the call":
            self.settle()

    def offload(self, step, block):
        assert len(self.rows) < self.file.placement.rows
        assert step not in self.rows
        self.rows[step] = block
        self.post("write", block)

    def prefetch(self, step, block):
        assert step in self.rows
        self.post("read", block)

    def settle(self):
        while self.left:
            self.pass_time(self.left[0][0], self.left[0][0])
        return self.failure

    def clear(self):
        self.settle()
        self.rows.clear()

    def __len__(self):
        return len(self.rows)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.closed += 1
