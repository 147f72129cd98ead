"""What the driver itself takes for one action: Revolve over a stepper that does nothing.

    python tests/benchmarks/driver_overhead.py [num_steps]

Prints microseconds an action, the schedule's own share of it, and the same for the loop that any
Python program would need: calling the stepper's methods as often.
"""

import sys
import time

import numpy as np

import adjoint
from adjoint.schedules import Revolve

SLOTS = (10, 32, 100)


class Empty:
    """A stepper whose calls return at once."""

    def __init__(self) -> None:
        self.state = {"u": np.zeros(1)}
        self.adjoint = {"u": np.zeros(1)}
        self.controls = {"m": np.zeros(1)}
        self.accumulators = {"m": np.zeros(1)}

    def start(self):
        pass

    def adopt(self, arrays):
        self.state = arrays

    def advance(self, start, stop, *, cost=None, out=None):
        if out is not None:
            self.state = out
        return cost

    def record(self, start, stop, *, cost=None, reach_stop):
        return cost

    def turn(self, cost):
        return cost

    def pull_back(self, start, stop):
        pass

    def finish(self):
        pass


def main(num_steps: int) -> None:
    print(f"{num_steps:,} steps of an empty stepper; microseconds an action")
    print(f"{'slots':>6}{'actions':>12}{'whole':>8}{'schedule':>10}{'driver':>8}")
    for slots in SLOTS:
        schedule = Revolve(num_steps, slots)
        began = time.perf_counter()
        actions = sum(1 for _ in schedule)
        alone = time.perf_counter() - began
        with adjoint.Functional(Empty(), num_steps, schedule=schedule) as functional:
            functional.value_and_gradient()
            report = functional.report
        whole = report.forward_seconds + report.reverse_seconds
        assert report.actions == actions
        each = 1e6 / actions
        shares = f"{whole * each:8.2f}{alone * each:10.2f}{(whole - alone) * each:8.2f}"
        print(f"{slots:6}{actions:12,}{shares}")


if __name__ == "__main__":
    main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 10**6)
