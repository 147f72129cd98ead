"""Time of a gradient through `TSStepper`, relative to PETSc's own: Gray-Scott reaction.

    python tests/benchmarks/petsc_ts_speed.py [--cells 64 128] [--steps 200] [--repeats 3]

F is the time of `TS.solve` without a trajectory, A that of `TS.adjointSolve` with all states and
stages in memory. Everything in a row is taken in one run, interleaved, each the best of its
repeats:

sweep      our first sweep over F
memory     PETSc's solve and adjoint solve with -ts_trajectory_type memory, over F + A
leaf       our gradient in one leaf of all steps, over *memory*
leaves     the same in leaves of 10 steps, all tapes kept, over *memory*
states     our gradient, all states in memory but no tape, over *memory*
budget     the same with memory for 32 states, as planned
basic      PETSc's with -ts_trajectory_type basic, a file a step, over *memory*
"""

import argparse
import os
import tempfile
import time

import numpy as np
from petsc_ts_problem import PETSc, Reaction

import adjoint
from adjoint.schedules import Mixed, StoreAll

METHODS = ("rk 3bs", "rk 4", "cn", "beuler")
LEAF = 10
TITLES = ("sweep", "memory", "leaf", "leaves", "states", "budget", "basic")


def timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def petsc(method: str, cells: int, num_steps: int, kind: str) -> tuple[float, float, np.ndarray]:
    """Return the seconds of PETSc's forward and adjoint solves, and its gradient."""
    database = PETSc.Options()
    database["ts_trajectory_type"] = kind
    if kind == "basic":
        database["ts_trajectory_dirname"] = "states"
        database["ts_trajectory_solution_only"] = False
    reaction = Reaction(method, cells, num_steps)
    ts, u = reaction.ts, reaction.u
    adjoint_vector = u.duplicate()
    adjoint_vector.set(0.0)
    ts.setSaveTrajectory()
    ts.setFromOptions()
    ts.setCostGradients([adjoint_vector])
    forward = timed(lambda: ts.solve(u))
    reaction.cost_vjp(u, adjoint_vector, None)
    backward = timed(ts.adjointSolve)
    ts.destroy()
    for name in ("type", "dirname", "solution_only"):
        if database.hasName(f"ts_trajectory_{name}"):
            database.delValue(f"ts_trajectory_{name}")
    return forward, backward, adjoint_vector.getArray().copy()


def alone(method: str, cells: int, num_steps: int) -> float:
    """Return the seconds of a solve that keeps nothing."""
    reaction = Reaction(method, cells, num_steps)
    return timed(lambda: reaction.ts.solve(reaction.u))


def first_sweep(method: str, cells: int, num_steps: int) -> float:
    stepper = Reaction(method, cells, num_steps).stepper()
    stepper.start()
    return timed(lambda: stepper.advance(0, num_steps, cost=0.0))


def gradient(method: str, cells: int, num_steps: int, **options) -> tuple[float, np.ndarray]:
    """Return the seconds of a gradient, planning not included, and the gradient."""
    stepper = Reaction(method, cells, num_steps).stepper()
    with adjoint.Functional(stepper, num_steps, **options) as functional:
        functional.plan()  # measures before the clock starts
        _, found = functional.value_and_gradient()
        report = functional.report
        assert report is not None
        return report.forward_seconds + report.reverse_seconds, found["initial"]


def schedules(num_steps: int) -> dict:
    """Return schedules that keep all tapes, in one leaf and in several, or all states."""
    slots = 5 * LEAF + 1  # no method keeps more than 5 states a step
    return {
        "leaf": StoreAll(num_steps, leaf_steps=num_steps),
        "leaves": Mixed(num_steps, slots * num_steps, slots, leaf_steps=LEAF),
        "states": StoreAll(num_steps),
    }


def measure(method: str, cells: int, num_steps: int, repeats: int) -> None:
    size = 16 * cells**2
    run = (method, cells, num_steps)
    best: dict[str, float] = {}

    def note(name: str, seconds: float) -> None:
        best[name] = min(best.get(name, 1e9), seconds)

    for _ in range(repeats):
        note("F", alone(*run))
        note("sweep", first_sweep(*run))
        forward, backward, expected = petsc(*run, "memory")
        note("A", backward)
        note("memory", forward + backward)
        for name, schedule in schedules(num_steps).items():
            seconds, found = gradient(*run, schedule=schedule)
            note(name, seconds)
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
        note("budget", gradient(*run, memory=32 * size)[0])
        with tempfile.TemporaryDirectory() as folder:
            home = os.getcwd()
            os.chdir(folder)
            note("basic", sum(petsc(*run, "basic")[:2]))
            os.chdir(home)
    ratios = [best["sweep"] / best["F"], best["memory"] / (best["F"] + best["A"])]
    ratios += [best[name] / best["memory"] for name in TITLES[2:]]
    print(
        f"{method:8}{cells:6}{1e3 * best['F'] / num_steps:9.3f}{1e3 * best['A'] / num_steps:9.3f}"
        + "".join(f"{ratio:10.3f}" for ratio in ratios),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    given = parser.parse_args()
    print(f"PETSc {'.'.join(map(str, PETSc.Sys.getVersion()))}, {given.steps} steps")
    print(f"{'method':8}{'cells':>6}{'F ms':>9}{'A ms':>9}", end="")
    print("".join(f"{name:>10}" for name in TITLES))
    for cells in given.cells:
        for method in given.methods:
            measure(method, cells, given.steps, given.repeats)


if __name__ == "__main__":
    main()
