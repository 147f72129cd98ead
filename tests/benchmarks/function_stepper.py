"""What a `FunctionStepper` takes beside a hand-written stepper, where a step is a few NumPy calls.

    python tests/benchmarks/function_stepper.py [num_steps]

The state is one number of 8 bytes. Prints nanoseconds a step of whole evaluations, the least of
several, of the same functions called by a `FunctionStepper` and by a stepper that is written
against the protocol for them alone, with plain dicts and no checks; and their ratio.
"""

import sys
import time

import numpy as np

import adjoint
from adjoint.schedules import Revolve, StoreAll

REPETITIONS = 15
SLOTS = 20
RATE, START = np.array([0.3]), np.array([1.0])

# Compiled once for each stepper: the interpreter adapts code to the types that pass through it.
FUNCTIONS = """
def step(self, k, state, out):
    u = state["u"]
    out["u"][:] = u + 1e-3 * self.controls["m"] * np.sin(u)

def step_vjp(self, k, state, adjoint, gradient):
    u, a = state["u"], adjoint["u"]
    gradient["m"] += 1e-3 * np.sin(u) * a
    adjoint["u"] += 1e-3 * self.controls["m"] * np.cos(u) * a

def terminal_cost(self, state):
    return 0.5 * float(state["u"][0]) ** 2

def terminal_cost_vjp(self, state, adjoint, gradient):
    adjoint["u"] += state["u"]
"""


def functions():
    """Return the functions of u' = u + h m sin u."""
    namespace = {"np": np}
    exec(FUNCTIONS, namespace)
    return {name: namespace[name] for name in namespace if name.startswith(("step", "terminal"))}


class ByHand:
    """Calls the functions with plain dicts, and adopts memory as a `FunctionStepper` does."""

    def __init__(self):
        self.state, self.spare = {"u": START.copy()}, {"u": START.copy()}
        self.adjoint = {"u": np.zeros(1)}
        self.controls, self.accumulators = {"m": RATE}, {"m": np.zeros(1)}
        self.tapes, self.idle = {}, []

    def start(self):
        self.state["u"][:] = START
        self.accumulators["m"][:] = 0

    def adopt(self, arrays):
        self.state = arrays

    def advance(self, start, stop, *, cost=None, out=None):
        home = self.state if out is None else out
        source, target, other = self.state, self.spare, home
        if source is not home and (stop - start) % 2:
            target, other = home, self.spare
        for k in range(start, stop):
            self.step(k, source, target)
            source, target, other = target, other, target
        if source is not home:
            home["u"][...] = source["u"]
        self.state = home
        return cost

    def taken(self):
        return self.idle.pop() if self.idle else {"u": np.zeros(1)}

    def record(self, start, stop, *, cost=None, reach_stop):
        first = self.state
        if reach_stop:
            first = self.taken()
            first["u"][...] = self.state["u"]
        tape = [first]
        for k in range(start, stop - 1):
            tape.append(self.taken())
            self.step(k, tape[-2], tape[-1])
        if reach_stop:
            self.step(stop - 1, tape[-1], self.state)
        self.tapes[start, stop] = tape
        return cost

    def turn(self, cost):
        self.adjoint["u"][:] = 0
        self.terminal_cost_vjp(self.state, self.adjoint, self.accumulators)
        return cost + self.terminal_cost(self.state)

    def pull_back(self, start, stop):
        tape = self.tapes.pop((start, stop))
        k = stop
        for state in reversed(tape):
            k -= 1
            self.step_vjp(k, state, self.adjoint, self.accumulators)
        if tape[0] is self.state:
            del tape[0]
        self.idle += reversed(tape)

    def finish(self):
        pass


def main(num_steps: int) -> None:
    print(f"{num_steps:,} steps of 8 bytes; nanoseconds a step")
    print(f"{'':14}{'leaf':>5}{'by hand':>9}{'functions':>11}{'ratio':>7}")
    for leaf in (1, 16):
        for schedule in (
            Revolve(num_steps, SLOTS, leaf_steps=leaf),
            StoreAll(num_steps, leaf_steps=leaf),
        ):
            by_hand = type("Model", (ByHand,), functions())()
            model = type("Model", (adjoint.FunctionStepper,), functions())
            stepper = model({"u": START}, {"m": RATE})
            runs = [adjoint.Functional(s, num_steps, schedule=schedule) for s in (by_hand, stepper)]
            seconds = [np.inf, np.inf]
            results = [run.value_and_gradient() for run in runs]
            assert results[0] == results[1]
            for _ in range(REPETITIONS):
                for i, run in enumerate(runs):
                    began = time.process_time()
                    run.value_and_gradient()
                    seconds[i] = min(seconds[i], time.process_time() - began)
            for run in runs:
                run.close()
            hand, functional = (s / num_steps * 1e9 for s in seconds)
            name, ratio = type(schedule).__name__, functional / hand
            print(f"{name:14}{leaf:5}{hand:9.0f}{functional:11.0f}{ratio:7.3f}")


if __name__ == "__main__":
    main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 2000)
